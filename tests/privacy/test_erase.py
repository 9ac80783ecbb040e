"""A person is erased: nothing is known of them any more, and the books are whole."""

import asyncio
import json
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from tallystick import ledger, wallets
from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join
from tests.giftcards.cast import books
from tests.payments.cast import filled, pay
from tests.rewards.cast import OTHER_PHONE, advance, configure, mailbox, reverse
from tests.wallets.cast import until_done
from tests.world import MIRA_PHONE

REASON = "personRequest"
EMPTY = {"available": 0, "pending": 0, "held": 0, "owed": 0}
MARKS = ("crm-of-mira", "mira@northwind.example", "Okafor", "told-in-confidence", MIRA_PHONE, MIRA_PHONE[1:])


async def erase(api: Api, user_id: str, *, key: str | None = None, **more: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    document = document_of("EraseUser", **{"reason": REASON, **more})
    return await api.post(f"users/{user_id}/erase", document, headers=headers)


async def mira(api: Api, **more: Any) -> str:
    """A user of whom everything is known."""
    return await api.user(
        email="mira@northwind.example", firstName="Mira", lastName="Okafor", externalId="crm-of-mira", **more
    )


async def open_wallet(api: Api, user_id: str) -> str:
    answer = await api.post("wallets", document_of("Wallet", userId=user_id, merchantId=str(api.merchant_id)))
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def bought(api: Api, source_id: str, **who: str) -> Answer:
    source = {"id": source_id, "createdAt": "2026-03-02T08:00:00Z", **who}
    return await api.post(
        "external-transactions",
        document_of(
            "ExternalTransaction",
            type="Purchase",
            source=source,
            merchantId=str(api.merchant_id),
            payments=[{"amount": 1250, "method": "Cash"}],
            payload={"note": "told-in-confidence"},
        ),
    )


async def everything(owner: Any, api: Api) -> str:
    """Every row of the tenant, of every table, as text; bytes in hexadecimal."""
    tables = await owner.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname"
    )
    found = []
    for table in tables:
        rows = await owner.fetch(f"select t::text as row from {table['relname']} as t")
        found += [f"{table['relname']}: {row['row']}" for row in rows]
    return "\n".join(row for row in found if str(api.tenant.id) in row)


async def faults(runtime: Runtime) -> list[Any]:
    async with runtime.discovering() as db:
        return list(await ledger.check_books(db))


async def test_nothing_is_known_of_a_person_who_was_erased(
    api: Api, runtime: Runtime, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    user_id = await mira(api)
    assert (await bought(api, "t-1", customerId="crm-of-mira")).status == 201
    kept = await owner.fetch(
        "select c.key_wrapped as own, r.key_wrapped as phone, r.phone_index from customers as c"
        " join recipients as r on r.tenant_id = c.tenant_id and r.id = c.recipient_id where c.id = $1", UUID(user_id),
    )  # fmt: skip
    before = await everything(owner, api)
    assert all(bytes(secret).hex() in before for secret in kept[0])
    assert "crm-of-mira" in before
    done = await erase(api, user_id)
    assert (done.status, done.attributes["status"], done.attributes["reason"]) == (200, "erased", REASON)
    after = await everything(owner, api)
    assert [bytes(secret).hex() for secret in kept[0] if bytes(secret).hex() in after] == []
    assert [mark for mark in MARKS if mark in after or mark.encode().hex() in after] == []
    shown = (await api.get(f"users/{user_id}")).attributes
    assert shown["status"] == "erased"
    assert {shown[name] for name in ("phoneNumber", "email", "firstName", "lastName", "externalId")} == {None}
    for query in (f"filter[phoneNumber]=%2B{MIRA_PHONE[1:]}", "filter[externalId]=crm-of-mira"):
        assert (await api.get(f"users?{query}")).data == []
    (bill,) = (await api.get(f"external-transactions?filter[userId]={user_id}")).data
    assert (bill["attributes"]["payload"], bill["attributes"]["payments"][0]["amount"]) == (None, 1250)


async def test_the_partner_is_told_once_and_nothing_personal(api: Api) -> None:
    user_id = await mira(api)
    await erase(api, user_id)
    again = await erase(api, user_id, reason="legalObligation")
    assert (again.attributes["status"], again.attributes["reason"]) == ("erased", REASON)
    (event,) = (await api.get("webhook-events?filter[topic]=user.erased")).data
    told = event["attributes"]["envelope"]["data"]
    assert (told["type"], told["id"], told["attributes"]["reason"]) == ("UserErasure", user_id, REASON)
    assert set(told["attributes"]) == {"status", "reason", "erasedAt"}


async def test_the_same_phone_is_somebody_new_afterwards(api: Api, runtime: Runtime) -> None:
    user_id = await mira(api)
    await open_wallet(api, user_id)
    await erase(api, user_id)
    assert (await api.issue()).attributes["kind"] == "preIssued"
    again = await mira(api)
    wallet_id = await open_wallet(api, again)
    (reward,) = (await api.get(f"rewards?filter[phoneNumber]=%2B{MIRA_PHONE[1:]}")).data
    assert (again != user_id, reward["attributes"]["walletId"], reward["attributes"]["status"]) == (
        True, wallet_id, "Claimed",
    )  # fmt: skip
    assert await faults(runtime) == []


async def test_what_was_answered_about_them_is_forgotten_and_says_so(api: Api) -> None:
    wish = document_of("User", phoneNumber=MIRA_PHONE, email="mira@northwind.example")
    made = await api.post("users", wish, headers={"Idempotency-Key": "make-mira"})
    await api.issue(key="give-mira", message="told-in-confidence")
    await erase(api, str(made.data["id"]))
    again = await api.post("users", wish, headers={"Idempotency-Key": "make-mira"})
    assert (again.status, again.codes) == (410, ["Erased"])
    replayed = await api.issue(key="give-mira", message="told-in-confidence")
    assert (replayed.status, replayed.codes) == (410, ["Erased"])
    assert (await api.issue(key="give-mira", message="another")).status == 409


async def test_what_was_answered_about_their_rewards_is_forgotten_too(api: Api) -> None:
    user_id = await mira(api)
    await api.issue(amount=300, key="waits")
    (waits,) = (await api.get(f"rewards?filter[phoneNumber]=%2B{MIRA_PHONE[1:]}")).data
    change = document_of("UpdateReward", amount=200, message="told-in-confidence")
    keyed = {"Idempotency-Key": "change-it"}
    assert (await api.patch(f"rewards/{waits['id']}", change, headers=keyed)).status == 200
    await erase(api, user_id)
    again = await api.patch(f"rewards/{waits['id']}", change, headers=keyed)
    assert (again.status, again.codes) == (410, ["Erased"])


async def test_erasing_with_a_key_is_answered_alike_again(api: Api) -> None:
    user_id = await mira(api)
    first, second = await asyncio.gather(*(erase(api, user_id, key="once") for _ in range(2)))
    assert (first.status, second.status) == (200, 200)
    assert first.data == second.data
    assert (await erase(api, user_id, key="once", reason="createdInError")).codes == ["IdempotencyConflict"]


async def test_whoever_has_value_stays_until_it_may_be_forfeited(api: Api, runtime: Runtime) -> None:
    user_id = await mira(api)
    wallet_id = await open_wallet(api, user_id)
    await api.issue(amount=700)
    refused = await erase(api, user_id)
    assert (refused.status, refused.codes) == (409, ["ValueLeft"])
    assert (await api.get(f"users/{user_id}")).attributes["firstName"] == "Mira"
    assert (await erase(api, user_id, forfeitValue=True)).status == 200
    wallet = (await api.get(f"wallets/{wallet_id}")).attributes
    assert (wallet["status"], wallet["balance"]["available"]) == ("closed", 0)
    assert await faults(runtime) == []


async def test_value_that_ended_with_its_holder_is_not_taken_back_once_more(api: Api, runtime: Runtime) -> None:
    user_id = await mira(api)
    wallet_id = await open_wallet(api, user_id)
    reward = await api.issue(amount=700)
    await erase(api, user_id, forfeitValue=True)
    refused = await api.post(f"rewards/{reward.data['id']}/reverse")
    assert (refused.status, refused.codes) == (409, ["InvalidState"])
    assert (await api.get(f"wallets/{wallet_id}")).attributes["balance"]["owed"] == 0
    assert await faults(runtime) == []


@pytest.mark.parametrize("ended", [True, False], ids=["in a closed wallet", "in an active one"])
async def test_what_they_owed_is_a_loss_of_the_merchant(api: Api, runtime: Runtime, ended: bool) -> None:
    user_id = await mira(api)
    wallet_id = await open_wallet(api, user_id)
    reward = await api.issue(amount=700)
    assert (await pay(api, 300, walletId=wallet_id)).status == 201
    assert (await reverse(api, str(reward.data["id"]))).status == 200
    if ended:
        assert (await api.post(f"wallets/{wallet_id}/close")).attributes["status"] == "closed"
    assert (await api.get(f"wallets/{wallet_id}")).attributes["balance"]["owed"] == 300
    assert (await erase(api, user_id)).status == 200
    assert (await api.get(f"wallets/{wallet_id}")).attributes["balance"] == EMPTY
    assert await books(runtime, api, "merchant.losses") == -300
    assert await faults(runtime) == []


async def test_nobody_is_erased_while_a_payment_holds_their_value(api: Api, runtime: Runtime) -> None:
    wallet_id = await filled(runtime, api, 1000)
    assert (await pay(api, 300, walletId=wallet_id, capture="manual")).status == 201
    user_id = (await api.get(f"wallets/{wallet_id}")).attributes["userId"]
    for forfeit in (False, True):
        refused = await erase(api, user_id, forfeitValue=forfeit)
        assert (refused.status, refused.codes) == (409, ["ValueHeld"])


async def test_what_waits_for_them_is_cancelled_and_its_funding_returns(api: Api, runtime: Runtime) -> None:
    user_id = await mira(api)
    reward = await api.issue(amount=900, message="told-in-confidence")
    assert reward.attributes["kind"] == "preIssued"
    assert (await erase(api, user_id)).status == 200
    shown = (await api.get(f"rewards/{reward.data['id']}")).attributes
    assert (shown["status"], shown["message"]) == ("Cancelled", None)
    assert await faults(runtime) == []


async def test_a_phone_that_somebody_else_has_too_stays_theirs(api: Api) -> None:
    first, second = await mira(api), await api.user(firstName="Noor")
    reward = await api.issue(amount=900, message="for whoever has the phone")
    assert (await erase(api, first)).status == 200
    assert (await api.get(f"users/{second}")).attributes["phoneNumber"] == MIRA_PHONE
    shown = (await api.get(f"rewards/{reward.data['id']}")).attributes
    assert (shown["status"], shown["message"]) == ("Created", "for whoever has the phone")


async def test_what_came_by_a_phone_that_they_once_had_is_theirs_too(
    api: Api, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    user_id = await mira(api)
    await open_wallet(api, user_id)
    reward = await api.issue(message="told-in-confidence", key="then")
    assert (await api.patch(f"users/{user_id}", document_of("User", phoneNumber=OTHER_PHONE))).status == 200
    exported = (await api.post(f"users/{user_id}/export")).body["included"]
    assert reward.data["id"] in {each["id"] for each in exported if each["type"] == "Reward"}
    assert (await erase(api, user_id, forfeitValue=True)).status == 200
    assert (await api.get(f"rewards/{reward.data['id']}")).attributes["message"] is None
    assert (await api.get(f"rewards?filter[phoneNumber]=%2B{MIRA_PHONE[1:]}")).body["meta"]["total"] == 0
    assert (await api.issue(message="told-in-confidence", key="then")).codes == ["Erased"]
    after = await everything(owner, api)
    assert [mark for mark in MARKS if mark in after or mark.encode().hex() in after] == []


async def test_a_phone_that_they_once_had_stays_with_whoever_something_waits_for(api: Api) -> None:
    user_id = await mira(api)
    await open_wallet(api, user_id)
    await api.issue(message="hers")
    assert (await api.patch(f"users/{user_id}", document_of("User", phoneNumber=OTHER_PHONE))).status == 200
    waits = await api.issue(message="for whoever has the phone now")
    assert waits.attributes["kind"] == "preIssued"
    assert (await erase(api, user_id, forfeitValue=True)).status == 200
    shown = (await api.get(f"rewards/{waits.data['id']}")).attributes
    assert (shown["status"], shown["message"]) == ("Created", "for whoever has the phone now")


@pytest.mark.parametrize("shared", [True, False], ids=["of a phone of two", "of no phone"])
async def test_a_notice_of_value_is_forgotten(api: Api, runtime: Runtime, shared: bool) -> None:
    await configure(runtime, api, value_days=10, expiry_notice_days=5)
    user_id = await mira(api)
    await open_wallet(api, user_id)
    await api.issue()
    if shared:
        await api.user(firstName="Noor")
    else:
        assert (await api.patch(f"users/{user_id}", document_of("User", phoneNumber=None))).status == 200
    await advance(api, "P6D")
    await until_done(runtime, wallets.notify_due)
    assert "value_notice" in {letter["kind"] for letter in await mailbox(api)}
    assert (await erase(api, user_id, forfeitValue=True)).status == 200
    assert [letter for letter in await mailbox(api) if "mira@northwind.example" in json.dumps(letter)] == []


async def test_what_another_partner_gave_is_not_ended_by_who_never_gave_it(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    reward = await api.issue(amount=900, message="told-in-confidence", key="theirs")
    other = await join(runtime, session, base_url, tenant=api.tenant)
    assert (await erase(other, await other.user(verified=False))).status == 200
    shown = (await api.get(f"rewards/{reward.data['id']}")).attributes
    assert (shown["status"], shown["message"]) == ("Created", "told-in-confidence")
    assert (await api.issue(amount=900, message="told-in-confidence", key="theirs")).text == reward.text


async def test_of_a_phone_of_two_what_came_into_their_own_wallet_is_forgotten(api: Api) -> None:
    user_id = await mira(api)
    await open_wallet(api, user_id)
    reward = await api.issue(message="told-in-confidence", key="hers")
    await api.user(firstName="Noor")
    assert (await erase(api, user_id, forfeitValue=True)).status == 200
    assert (await api.get(f"rewards/{reward.data['id']}")).attributes["message"] is None
    assert (await api.issue(message="told-in-confidence", key="hers")).codes == ["Erased"]


async def test_a_card_for_a_phone_that_somebody_else_has_too_is_sent(
    api: Api, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    user_id, _ = await mira(api), await api.user(firstName="Noor")
    delivery = {"channel": "sms", "to": MIRA_PHONE, "deliverAt": "2027-01-01T00:00:00Z"}
    wish = {"amount": 500, "merchantId": str(api.merchant_id), "idempotencyKey": str(ids.new()), "delivery": delivery}
    card = await api.post("gift-cards", document_of("GiftCard", **wish))
    await erase(api, user_id)
    cancelled = "select cancelled_at from gift_card_deliveries where card_id = $1"
    assert await owner.fetchval(cancelled, UUID(card.data["id"])) is None


async def test_whoever_was_merged_into_them_goes_with_them(api: Api) -> None:
    user_id, other = await mira(api), await api.user(OTHER_PHONE, lastName="Okafor")
    merged = await api.post(f"users/{other}/merge", document_of("MergeUser", intoUserId=user_id))
    assert merged.status == 200, merged.text
    refused = await erase(api, other)
    assert (refused.status, refused.codes) == (409, ["InvalidState"])
    assert (await erase(api, user_id)).status == 200
    for each in (user_id, other):
        shown = (await api.get(f"users/{each}")).attributes
        assert (shown["status"], shown["lastName"]) == ("erased", None)


async def test_what_others_made_is_missing_like_what_is_unknown(
    api: Api, runtime: Runtime, session: Any, base_url: str
) -> None:
    user_id = await mira(api)
    stranger = await join(runtime, session, base_url)
    colleague = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    weak = await join(runtime, session, base_url, tenant=api.tenant, scopes=frozenset({"users:write"}))
    for asking, asked in ((stranger, user_id), (colleague, user_id), (api, str(ids.new())), (api, "nobody")):
        refused = await erase(asking, asked)
        assert (refused.status, refused.codes) == (404, ["NotFound"])
        assert (await asking.post(f"users/{asked}/export")).codes == ["NotFound"]
    assert (await erase(weak, user_id)).codes == ["InsufficientScope"]
    assert (await api.get(f"users/{user_id}")).attributes["status"] == "active"


@pytest.mark.parametrize(
    "body", [{}, {"reason": "because"}, {"reason": None}, {"reason": REASON, "forfeitValue": "yes"}]
)
async def test_a_wish_that_cannot_be_read_erases_nobody(api: Api, body: dict[str, Any]) -> None:
    user_id = await mira(api)
    refused = await api.post(f"users/{user_id}/erase", document_of("EraseUser", **body))
    assert refused.status == 400
    assert (await api.get(f"users/{user_id}")).attributes["status"] == "active"


async def test_rewards_given_while_somebody_is_erased_go_to_them_or_to_whoever_comes_next(
    api: Api, runtime: Runtime
) -> None:
    user_id = await mira(api)
    await open_wallet(api, user_id)
    gone, *given = await asyncio.gather(
        erase(api, user_id, forfeitValue=True), *(api.issue(amount=100) for _ in range(8)), bought(api, "t-9")
    )
    assert gone.status == 200, gone.text
    assert {answer.status for answer in given} <= {200, 201, 400, 409}, [answer.text for answer in given]
    assert (await api.get(f"users/{user_id}")).attributes["status"] == "erased"
    assert await faults(runtime) == []


async def test_a_card_on_its_way_to_them_is_not_sent(api: Api, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    user_id = await mira(api)
    delivery = {"channel": "email", "to": "Mira@Northwind.example", "deliverAt": "2027-01-01T00:00:00Z"}
    card = await api.post(
        "gift-cards",
        document_of(
            "GiftCard", amount=500, merchantId=str(api.merchant_id), idempotencyKey=str(ids.new()), delivery=delivery
        ),
    )
    assert card.status == 201, card.text
    await erase(api, user_id)
    row = await owner.fetchrow(
        "select content_sealed, cancelled_at from gift_card_deliveries where card_id = $1", UUID(card.data["id"])
    )
    assert row is not None
    assert (row["content_sealed"], row["cancelled_at"] is None) == (None, False)
