"""Adding merchants, changing them, and what funds their rewards."""

import asyncio
from typing import Any

import msgspec
import pytest

from tallystick import ledger, merchants
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
)
from tallystick.base.work import Runtime, Tenant
from tallystick.ledger import Journal, Transfer
from tallystick.merchants import Changes, Funding, Merchant
from tallystick.merchants.api import ROUTES
from tests.merchants.cast import Door, add, caller, luna


async def change(runtime: Runtime, tenant: Tenant, merchant: Merchant, **changes: Any) -> Merchant | Refusal:
    async with runtime.work(tenant) as work:
        return await merchants.configure(work, merchant.id, Changes(**changes))


async def top_up(runtime: Runtime, tenant: Tenant, merchant: Merchant, amount: int, reference: str) -> Any:
    async with runtime.work(tenant) as work:
        return await merchants.top_up(work, merchant.id, amount, reference)


async def left(runtime: Runtime, tenant: Tenant, merchant: Merchant) -> Funding:
    async with runtime.reading(tenant) as work:
        found = await merchants.funding(work, merchant.id)
    assert found is not None
    return found


async def owe(runtime: Runtime, tenant: Tenant, merchant: Merchant, amount: int) -> list[ledger.Verdict]:
    """Value given at the merchant's expense."""
    value = ledger.NewAccount(ids.new(), merchant.id, merchant.currency, "wallet.lot", ids.new(), floor=0)
    transfers = (Transfer(merchant.receivable_account_id, value.id, amount),)
    journal = Journal(ids.new(), "reward.issue", ids.new(), merchant.id, merchant.currency, transfers)
    async with runtime.work(tenant) as work:
        return await ledger.post(work, [journal], opening=[value])


async def test_a_merchant_is_found_by_its_id_in_its_own_tenant_only(
    runtime: Runtime, tenant: Tenant, production: Tenant
) -> None:
    added = await add(runtime, tenant, reward_maximum=5000, claim_days=30)
    async with runtime.reading(tenant) as work:
        assert await merchants.by_ids(work, [added.id, ids.new()]) == {added.id: added}
    async with runtime.reading(production) as work:
        assert await merchants.by_ids(work, [added.id]) == {}


async def test_everything_wrong_with_a_new_merchant_is_told_at_once(
    runtime: Runtime, tenant: Tenant, auditor: Db
) -> None:
    with pytest.raises(Refusals) as refused:
        await add(
            runtime,
            tenant,
            name="\n",
            currency="XAU",
            country="de",
            time_zone="localtime",
            claim_days=0,
            reward_maximum=0,
            phone_day_maximum=-1,
            credit_limit=-1,
        )
    names = ["name", "currency", "country", "timeZone", "claimDays", "rewardMaximum", "phoneDayMaximum", "creditLimit"]
    assert [fault.source for fault in refused.value.faults] == [attribute(name) for name in names]
    assert await auditor.value("select count(*) from merchants where tenant_id = $1", tenant.id) == 0


@pytest.mark.parametrize("time_zone", ["", "Europe", "../etc/passwd", "Europe/Atlantis", "Factory", "europe/berlin"])
def test_a_time_zone_is_a_name_that_every_machine_knows(time_zone: str) -> None:
    from tallystick.merchants.model import faults

    assert [fault.source for fault in faults(luna(time_zone=time_zone))] == [attribute("timeZone")]


async def test_a_new_merchant_has_its_three_accounts_with_their_limits(runtime: Runtime, tenant: Tenant) -> None:
    merchant = await add(runtime, tenant, credit_limit=500)
    async with runtime.work(tenant) as work:
        accounts = await ledger.lock(work, [merchant.receivable_account_id, merchant.prefund_account_id])
    assert accounts[merchant.receivable_account_id].floor == -500
    assert accounts[merchant.prefund_account_id].floor == 0
    assert merchant.funding_account_id == merchant.receivable_account_id
    assert await left(runtime, tenant, merchant) == Funding("invoiced", "EUR", 500)


async def test_without_a_credit_limit_there_is_no_bound(runtime: Runtime, tenant: Tenant) -> None:
    merchant = await add(runtime, tenant)
    assert await left(runtime, tenant, merchant) == Funding("invoiced", "EUR", None)


async def test_the_credit_limit_bounds_what_a_merchant_owes_and_moves_down_to_that_only(
    runtime: Runtime, tenant: Tenant
) -> None:
    merchant = await add(runtime, tenant, credit_limit=500)
    assert await owe(runtime, tenant, merchant, 400) == ["posted"]
    assert await owe(runtime, tenant, merchant, 101) == ["below_floor"]
    refused = await change(runtime, tenant, merchant, credit_limit=399, claim_days=7)
    assert isinstance(refused, InvalidState)
    assert refused.source == attribute("creditLimit")
    assert "4.00 EUR" in refused.detail
    async with runtime.reading(tenant) as work:
        assert (await merchants.by_ids(work, [merchant.id]))[merchant.id].claim_days == 90
    assert await left(runtime, tenant, merchant) == Funding("invoiced", "EUR", 100)
    assert await change(runtime, tenant, merchant, credit_limit=400) == merchant
    assert await left(runtime, tenant, merchant) == Funding("invoiced", "EUR", 0)
    await change(runtime, tenant, merchant, credit_limit=None)
    assert await owe(runtime, tenant, merchant, 10_000_000) == ["posted"]


async def test_money_paid_ahead_funds_a_prefunded_merchant_once_for_its_reference(
    runtime: Runtime, tenant: Tenant
) -> None:
    merchant = await add(runtime, tenant, funding_mode="prefunded")
    assert merchant.funding_account_id == merchant.prefund_account_id
    assert await left(runtime, tenant, merchant) == Funding("prefunded", "EUR", 0)
    first = await top_up(runtime, tenant, merchant, 700, "transfer 1")
    assert await top_up(runtime, tenant, merchant, 700, "transfer 1") == first
    other = await top_up(runtime, tenant, merchant, 701, "transfer 1")
    assert isinstance(other, IdempotencyConflict)
    assert await left(runtime, tenant, merchant) == Funding("prefunded", "EUR", 700)
    assert await top_up(runtime, tenant, merchant, 1, "transfer 2") != first
    assert await left(runtime, tenant, merchant) == Funding("prefunded", "EUR", 701)


async def test_racing_top_ups_of_one_reference_are_one(runtime: Runtime, tenant: Tenant) -> None:
    merchant = await add(runtime, tenant, funding_mode="prefunded")
    journals = await asyncio.gather(*(top_up(runtime, tenant, merchant, 700, "transfer") for _ in range(6)))
    assert len(set(journals)) == 1
    assert (await left(runtime, tenant, merchant)).available == 700


async def test_a_reference_belongs_to_its_merchant(runtime: Runtime, tenant: Tenant) -> None:
    for _ in range(2):
        merchant = await add(runtime, tenant, funding_mode="prefunded")
        await top_up(runtime, tenant, merchant, 5, "transfer")
        assert (await left(runtime, tenant, merchant)).available == 5


@pytest.mark.parametrize(
    ("amount", "reference"), [(0, "r"), (-1, "r"), (2**53, "r"), (1, ""), (1, "x" * 256), (1, "\n")]
)
async def test_a_top_up_that_cannot_be_is_refused(
    runtime: Runtime, tenant: Tenant, amount: int, reference: str
) -> None:
    merchant = await add(runtime, tenant)
    assert isinstance(await top_up(runtime, tenant, merchant, amount, reference), InvalidRequest)


async def test_a_merchant_that_is_not_there_is_not_found(runtime: Runtime, tenant: Tenant, production: Tenant) -> None:
    foreign = await add(runtime, production)
    assert isinstance(await change(runtime, tenant, foreign, claim_days=7), NotFound)
    assert isinstance(await top_up(runtime, tenant, foreign, 1, "r"), NotFound)
    async with runtime.reading(tenant) as work:
        assert await merchants.funding(work, foreign.id) is None


async def test_each_change_tells_once_in_order_and_what_changes_nothing_tells_nobody(
    runtime: Runtime, tenant: Tenant, auditor: Db
) -> None:
    merchant = await add(runtime, tenant)
    for days in (10, 10, 20):
        await change(runtime, tenant, merchant, claim_days=days)
    async with runtime.work(tenant) as work:
        await merchants.configure(work, merchant.id, Changes(stacking=True))
        await merchants.configure(work, merchant.id, Changes(stacking=False))
    await asyncio.gather(*(change(runtime, tenant, merchant, claim_days=days) for days in range(30, 34)))
    rows = await auditor.rows(
        "select topic, sequence, document from events where tenant_id = $1 and subject_id = $2 order by position",
        tenant.id,
        merchant.id,
    )
    assert [row[1] for row in rows] == list(range(1, 9))
    assert {row[0] for row in rows} == {"merchant.updated"}
    assert msgspec.json.decode(rows[1][2])["attributes"]["claimDays"] == 20


@pytest.fixture
def door(runtime: Runtime) -> Door:
    return Door.of(runtime, ROUTES)


async def test_a_client_sees_the_merchants_it_may_act_for(runtime: Runtime, tenant: Tenant, door: Door) -> None:
    first = await add(runtime, tenant)
    second = await add(runtime, tenant, name="Sol")
    everyone = await door.call(caller(tenant), "GET", "/merchants")
    assert [one["id"] for one in everyone.data] == [str(first.id), str(second.id)]
    assert everyone.meta["total"] == 2
    limited = await door.call(caller(tenant, (second.id,)), "GET", "/merchants")
    assert [one["attributes"]["name"] for one in limited.data] == ["Sol"]
    one = await door.call(caller(tenant), "GET", "/merchants/{id}", id=first.id)
    assert one.data["type"] == "Merchant"
    assert one.data["attributes"]["timeZone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("method", "path", "attributes"),
    [
        ("GET", "/merchants/{id}", None),
        ("GET", "/merchants/{id}/configuration", None),
        ("PATCH", "/merchants/{id}/configuration", {"claimDays": 5}),
    ],
)
async def test_a_merchant_of_someone_else_is_as_one_that_is_not_there(
    runtime: Runtime, tenant: Tenant, production: Tenant, door: Door, method: str, path: str, attributes: Any
) -> None:
    mine, other = await add(runtime, tenant), await add(runtime, tenant)
    foreign = await add(runtime, production)
    told = set()
    for merchant_id in (other.id, foreign.id, ids.new(), "nonsense"):
        with pytest.raises(NotFound) as refused:
            await door.call(caller(tenant, (mine.id,)), method, path, attributes=attributes, id=merchant_id)
        told.add(refused.value.detail)
    assert len(told) == 1


UNTOUCHED = {
    "claimDays": 90,
    "preIssuing": True,
    "stacking": False,
    "rewardMaximum": None,
    "phoneDayMaximum": None,
    "valueDays": None,
    "paymentMinimum": None,
    "paymentMaximum": None,
    "walletDayMaximum": None,
    "walletDayCount": None,
    "cardDayMaximum": None,
    "cardDayCount": None,
    "merchantDayMaximum": None,
    "cardMaximum": None,
    "adjustMaximum": None,
    "authorizationDays": 7,
    "refundGraceDays": 30,
    "expiryNoticeDays": 14,
    "memberCodePays": False,
    "activityAttribution": "immediate",
    "activityReleaseDays": None,
    "activityUnknownDays": 30,
    "returnCountSignal": None,
    "returnWindowDays": 30,
}


async def test_a_partner_sets_the_terms_of_spending_and_takes_them_away_again(
    runtime: Runtime, tenant: Tenant, door: Door
) -> None:
    merchant, path = await add(runtime, tenant), "/merchants/{id}/configuration"
    sent = {
        "paymentMaximum": 5000,
        "walletDayCount": 3,
        "authorizationDays": 2,
        "memberCodePays": True,
        "valueDays": 365,
    }
    changed = await door.call(caller(tenant), "PATCH", path, attributes=sent, id=merchant.id)
    assert changed.data["attributes"] == UNTOUCHED | sent
    back = await door.call(caller(tenant), "PATCH", path, attributes={"paymentMaximum": None}, id=merchant.id)
    assert back.data["attributes"] == UNTOUCHED | sent | {"paymentMaximum": None}


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [({"authorizationDays": 366}, "authorizationDays"), ({"expiryNoticeDays": 400}, "expiryNoticeDays")],
)
async def test_terms_out_of_bounds_are_refused_at_their_place(
    runtime: Runtime, tenant: Tenant, door: Door, attributes: Any, pointer: str
) -> None:
    merchant = await add(runtime, tenant)
    with pytest.raises(InvalidRequest) as refused:
        await door.call(caller(tenant), "PATCH", "/merchants/{id}/configuration", attributes=attributes, id=merchant.id)
    assert refused.value.source is not None
    assert refused.value.source.name == f"/data/attributes/{pointer}"


async def test_a_partner_changes_settings_and_leaves_the_rest(runtime: Runtime, tenant: Tenant, door: Door) -> None:
    merchant = await add(runtime, tenant, reward_maximum=5000, phone_day_maximum=9000)
    path = "/merchants/{id}/configuration"
    sent = {"claimDays": 30, "stacking": True, "rewardMaximum": None}
    changed = await door.call(caller(tenant), "PATCH", path, attributes=sent, id=merchant.id)
    assert changed.data["attributes"] == UNTOUCHED | {
        "claimDays": 30,
        "stacking": True,
        "phoneDayMaximum": 9000,
    }
    assert (await door.call(caller(tenant), "GET", path, id=merchant.id)).data == changed.data


async def test_a_change_with_a_key_happens_once(runtime: Runtime, tenant: Tenant, door: Door) -> None:
    merchant, who, path = await add(runtime, tenant), caller(tenant), "/merchants/{id}/configuration"
    first = await door.call(who, "PATCH", path, attributes={"claimDays": 5}, key="k", id=merchant.id)
    await door.call(who, "PATCH", path, attributes={"claimDays": 6}, id=merchant.id)
    again = await door.call(who, "PATCH", path, attributes={"claimDays": 5}, key="k", id=merchant.id)
    assert again.reply.body == first.reply.body
    assert again.reply.replayed
    assert (await door.call(who, "GET", path, id=merchant.id)).data["attributes"]["claimDays"] == 6
    for attributes in ({"claimDays": 7}, {"claimDays": 5, "rewardMaximum": None}):
        with pytest.raises(IdempotencyConflict):
            await door.call(who, "PATCH", path, attributes=attributes, key="k", id=merchant.id)


@pytest.mark.parametrize(
    "attributes", [{"claimDays": 0}, {"claimDays": 3651}, {"rewardMaximum": 0}, {"currency": "USD"}]
)
async def test_settings_out_of_bounds_and_the_operators_own_are_not_taken(
    runtime: Runtime, tenant: Tenant, door: Door, attributes: Any
) -> None:
    merchant = await add(runtime, tenant)
    with pytest.raises(msgspec.ValidationError):
        await door.call(caller(tenant), "PATCH", "/merchants/{id}/configuration", attributes=attributes, id=merchant.id)
    with pytest.raises(InvalidRequest):
        await door.call(caller(tenant), "PATCH", "/merchants/{id}/configuration", attributes={}, id=merchant.id)
