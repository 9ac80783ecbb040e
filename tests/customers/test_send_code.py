"""One-time codes: sent, tried, limited."""

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID

from tallystick import customers
from tallystick.base.db import Db
from tallystick.base.work import Tenant
from tallystick.customers import SendCode, codes
from tests.conftest import Clock
from tests.customers.cast import Partner, answered, attributes, refused
from tests.world import MIRA_PHONE


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def sent(harbour: Partner, user_id: UUID) -> str:
    """A code that was sent just now."""
    answered(await harbour.send_code(user_id))
    return await harbour.last_code()


async def test_a_code_is_accepted_for_sending_and_only_its_digest_is_kept(
    harbour: Partner, auditor: Db, tenant: Tenant
) -> None:
    user_id = await harbour.mira(verified=False)
    answer = answered(await harbour.send_code(user_id))
    assert answer.status == 202
    assert attributes(answer.body)["phoneVerified"] is False
    code = await harbour.last_code()
    assert code.isdecimal()
    kept = await auditor.rows("select digest from phone_codes where tenant_id = $1", tenant.id)
    assert [len(row[0]) for row in kept] == [32]
    assert kept[0][0] != hashlib.sha256(code.encode()).digest()


async def test_the_right_code_verifies(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    answer = answered(await harbour.verify(user_id, await sent(harbour, user_id)))
    assert answer.status == 200
    assert attributes(answer.body)["phoneVerified"] is True
    assert (await harbour.show_user(user_id))["phoneVerified"] is True


async def test_every_kind_of_wrong_code_is_refused_alike(harbour: Partner, clock: Clock) -> None:
    user_id, other_id = await harbour.mira(verified=False), await harbour.mira(verified=False)
    refusals = [await harbour.verify(user_id, "123456")]  # none was sent
    replaced = await sent(harbour, user_id)
    code = await sent(harbour, user_id)
    refusals.append(await harbour.verify(user_id, other_than(code)))
    if replaced != code:
        refusals.append(await harbour.verify(user_id, replaced))
    refusals.append(await harbour.verify(other_id, code))  # the same phone, another user
    clock.move(timedelta(minutes=10))
    refusals.append(await harbour.verify(user_id, code))  # expired at that very instant
    code = await sent(harbour, user_id)
    answered(await harbour.verify(user_id, code))
    refusals.append(await harbour.verify(user_id, code))  # used
    assert len({refused(each, "InvalidRequest", "/data/attributes/code").detail for each in refusals}) == 1


async def test_a_code_holds_until_just_before_ten_minutes(harbour: Partner, clock: Clock) -> None:
    user_id = await harbour.mira(verified=False)
    code = await sent(harbour, user_id)
    clock.move(timedelta(minutes=10) - timedelta(milliseconds=1))
    answered(await harbour.verify(user_id, code))


async def test_five_wrong_tries_end_a_code_though_each_was_refused(
    harbour: Partner, auditor: Db, tenant: Tenant
) -> None:
    user_id = await harbour.mira(verified=False)
    code = await sent(harbour, user_id)
    for _ in range(5):
        refused(await harbour.verify(user_id, other_than(code)), "InvalidRequest")
    refused(await harbour.verify(user_id, code), "InvalidRequest")
    tries = await auditor.rows("select tries, used_at from phone_codes where tenant_id = $1", tenant.id)
    assert [(row[0], row[1]) for row in tries] == [(5, None)]
    answered(await harbour.verify(user_id, await sent(harbour, user_id)))


async def test_four_wrong_tries_leave_the_fifth_for_the_right_one(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    code = await sent(harbour, user_id)
    for _ in range(4):
        refused(await harbour.verify(user_id, other_than(code)), "InvalidRequest")
    answered(await harbour.verify(user_id, code))


async def test_guesses_that_race_are_all_counted(harbour: Partner, auditor: Db, tenant: Tenant) -> None:
    user_id = await harbour.mira(verified=False)
    code = await sent(harbour, user_id)
    await asyncio.gather(*(harbour.verify(user_id, other_than(code)) for _ in range(12)))
    assert [row[0] for row in await auditor.rows("select tries from phone_codes where tenant_id = $1", tenant.id)] == [
        5
    ]
    refused(await harbour.verify(user_id, code), "InvalidRequest")


async def test_of_two_that_use_a_code_at_once_one_does(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    code = await sent(harbour, user_id)
    outcomes = await asyncio.gather(*(harbour.verify(user_id, code) for _ in range(4)))
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1


async def test_five_codes_an_hour_go_to_a_phone_whoever_it_belongs_to(harbour: Partner, clock: Clock) -> None:
    first, second = await harbour.mira(verified=False), await harbour.mira(verified=False)
    for user_id in (first, second, first, second, first):
        answered(await harbour.send_code(user_id))
        clock.move(timedelta(minutes=1))
    refusal = refused(await harbour.send_code(second), "RateLimited")
    assert dict(refusal.headers) == {"retry-after": str(55 * 60)}
    assert await harbour.count("phone_codes") == 5
    clock.move(timedelta(minutes=55))
    answered(await harbour.send_code(second))
    refused(await harbour.send_code(second), "RateLimited")


async def test_sends_that_race_keep_the_limit(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    outcomes = await asyncio.gather(*(harbour.send_code(user_id) for _ in range(9)))
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == codes.SENDS_MAX


async def test_the_same_key_sends_once(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    answers = [answered(await harbour.send_code(user_id, key="k")) for _ in range(3)]
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert {answer.status for answer in answers} == {202}
    assert await harbour.count("messages") == 1


async def test_a_foreign_user_is_a_missing_one(harbour: Partner, stranger: Partner, overseer: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    for partner in (stranger, overseer):
        foreign = refused(await partner.send_code(user_id), "NotFound")
        missing = refused(await partner.send_code(partner.caller.client_id), "NotFound")
        assert foreign.detail == missing.detail
        refused(await partner.verify(user_id, "123456"), "NotFound")


async def test_a_user_without_a_phone_gets_no_code(harbour: Partner) -> None:
    refused(await harbour.send_code((await harbour.create()).resource_id), "InvalidState")


async def test_a_code_for_the_old_phone_does_not_verify_the_new_one(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    code = await sent(harbour, user_id)
    answered(await harbour.change(user_id, phone="+12025550199"))
    refused(await harbour.verify(user_id, code), "InvalidRequest")
    answered(await harbour.change(user_id, phone=MIRA_PHONE))
    answered(await harbour.verify(user_id, code))


async def test_a_batch_of_sends_keeps_the_limit_in_order(harbour: Partner) -> None:
    user_id = await harbour.mira(verified=False)
    outcomes = await harbour.do(customers.send_code, *(SendCode(harbour.asked(), user_id) for _ in range(7)))
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False] * 5 + [True] * 2
