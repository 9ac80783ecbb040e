"""Whose data may be sent: everyone's, of those who permitted it, or nobody's; of the others nothing is kept."""

from uuid import UUID

import pytest

from tallystick.activity import Identity, PermissionMissing, Recorded
from tallystick.base.work import DataPolicy, Runtime
from tests.activity.cast import accept, caller_of, names, recorded, stored, told
from tests.api import Api


async def permit(runtime: Runtime, api: Api, user: str, kind: str = "transactions", *, withdrawn: bool = False) -> None:
    async with runtime.work(api.tenant) as work:
        await work.db.run(
            "insert into data_permissions (tenant_id, customer_id, partner_id, kind, given_at, withdrawn_at) "
            "values ($1, $2, $3, $4, $5, $6)",
            api.tenant.id,
            UUID(user),
            api.partner_id,
            kind,
            work.now,
            work.now if withdrawn else None,
        )


CONSENTED = DataPolicy("consented", "consented", "consented")


async def test_without_an_agreement_to_it_nothing_may_be_sent(runtime: Runtime, api: Api) -> None:
    caller = caller_of(api, data_policy=DataPolicy(transactions="none"))
    (outcome,) = await accept(runtime, api, told(api, "s1", caller=caller, user=await api.user()))
    assert isinstance(outcome, PermissionMissing)
    visit = told(api, "v1", caller=caller, kind="visit", type="Visit", amount=0)
    assert isinstance((await accept(runtime, api, visit))[0], Recorded)
    assert await names(runtime, api) == {"v1": True}


async def test_only_of_those_who_permitted_it(runtime: Runtime, api: Api) -> None:
    caller = caller_of(api, data_policy=CONSENTED)
    gave, withdrew, never = await api.user(), await api.user(), await api.user()
    await permit(runtime, api, gave)
    await permit(runtime, api, withdrew, withdrawn=True)
    await permit(runtime, api, never, "visits")
    outcomes = await accept(
        runtime,
        api,
        *(told(api, f"s{number}", caller=caller, user=user) for number, user in enumerate((gave, withdrew, never))),
        told(api, "s3", caller=caller),
        told(api, "v", caller=caller, user=never, kind="visit", type="Visit", amount=0),
        told(api, "w", caller=caller, user=gave, kind="visit", type="Visit", amount=0),
    )
    assert [isinstance(each, Recorded) for each in outcomes] == [True, False, False, False, True, False]
    assert {type(each) for each in outcomes} == {Recorded, PermissionMissing}
    assert await names(runtime, api) == {"s0": True, "v": True}
    async with runtime.reading(api.tenant) as work:
        assert set(await stored(work)) == {"s0", "v"}


@pytest.mark.parametrize("together", [False, True])
async def test_a_refund_is_of_whom_it_takes_back_from(runtime: Runtime, api: Api, together: bool) -> None:
    caller = caller_of(api, data_policy=CONSENTED)
    user = await api.user()
    await permit(runtime, api, user)
    bought = told(api, "p", caller=caller, user=user)
    back = told(api, "r", caller=caller, type="Refund", amount=5, linked_source_id="p")
    assert isinstance((await accept(runtime, api, back))[0], PermissionMissing)
    for group in [[bought, back]] if together else [[bought], [back]]:
        await recorded(runtime, api, *group)


async def test_a_resend_is_answered_though_permission_was_withdrawn(runtime: Runtime, api: Api) -> None:
    user = await api.user()
    first = told(api, "s1", user=user)
    await recorded(runtime, api, first)
    (again,) = await recorded(runtime, api, told(api, "s1", user=user, caller=caller_of(api, data_policy=CONSENTED)))
    assert again.duplicate


async def test_what_names_who_is_not_known_is_not_kept(runtime: Runtime, api: Api) -> None:
    caller = caller_of(api, data_policy=CONSENTED)
    command = told(api, "s1", caller=caller, identity=Identity("phone", "+12025550143"))
    assert isinstance((await accept(runtime, api, command))[0], PermissionMissing)
    async with runtime.reading(api.tenant) as work:
        for table in ("activities", "activity_keys", "activity_waits", "activity_cursors"):
            assert await work.db.value(f"select count(*) from {table} where tenant_id = $1", api.tenant.id) == 0
