"""One gift card: issued once for its key, paid for in the books, its number shown once and kept nowhere."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from tallystick.base import clock
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.giftcards import codes, issuing
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.issuing import IssueCard, Issued
from tallystick.merchants import InsufficientFunding
from tests.api import Answer, Api, document_of, join, luna
from tests.giftcards.cast import NOBODY, books, issue, issued, lots_of, now, rows, show
from tests.giftcards.hands import asked
from tests.governance.cast import agree, line
from tests.rewards.cast import (
    advance,
    another_client,
    check_whole,
    configure,
    feed,
    header,
    left,
    refused,
    story,
    top_up,
)

CODE = re.compile(r"([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}")


async def later(api: Api, days: int) -> str:
    return clock.render(await now(api) + timedelta(days=days))


async def test_a_card_is_issued_with_its_number_and_what_it_holds(api: Api, runtime: Runtime) -> None:
    answer = await issued(api, 5000, externalReference="order-4711", currency="USD")
    card = answer.attributes
    assert header(answer, "location") == f"/api/v1/gift-cards/{answer.data['id']}"
    assert CODE.fullmatch(card["code"]) and codes.canonical(card["code"]) is not None
    assert card["codeTail"] == card["code"][-4:]
    assert card["balance"] == {"available": 5000, "held": 0}
    assert (card["status"], card["valueClass"], card["initialAmount"], card["currency"]) == (
        "active",
        "paid",
        5000,
        "USD",
    )
    assert (card["pin"], card["hasPin"], card["reloadable"]) == (None, False, True)
    assert card["merchantId"] == str(api.merchant_id) and card["externalReference"] == "order-4711"

    shown = await show(api, answer.data["id"])
    assert shown == card | {"code": None}
    assert await books(runtime, api, "merchant.sales") == -5000
    (lot,) = await lots_of(runtime, api, answer.data["id"])
    assert (lot.lot_class, lot.funder_id, lot.available, lot.expires_at) == ("paid", None, 5000, None)


async def test_a_card_may_have_a_pin_that_is_shown_with_its_number(api: Api) -> None:
    card = (await issued(api, pin=True)).attributes
    assert card["hasPin"] and codes.well_formed_pin(card["pin"])
    twin = (await issued(api, pin=True)).attributes
    assert card["code"] != twin["code"]


async def test_a_card_that_is_not_activated_yet_is_pending_and_holds_its_value_already(
    api: Api, runtime: Runtime
) -> None:
    answer = await issued(api, 700, activate=False)
    assert (answer.attributes["status"], answer.attributes["activatedAt"]) == ("pending", None)
    assert await books(runtime, api, "merchant.sales") == -700
    assert (await lots_of(runtime, api, answer.data["id"]))[0].available == 700


async def test_what_happened_is_told_and_written_down_once_without_number_or_pin(api: Api, runtime: Runtime) -> None:
    answer = await issued(api, 900, pin=True)
    assert [(topic, sequence) for topic, sequence, _ in await story(api, answer.data["id"])] == [
        ("gift_card.issued", 1)
    ]
    (event,) = await feed(api)
    assert event["document"]["attributes"]["balance"] == {"available": 900, "held": 0}
    assert answer.attributes["code"] not in str(event) and answer.attributes["pin"] not in str(event)
    assert not {"code", "pin"} & event["document"]["attributes"].keys()
    written = await rows(
        runtime,
        api,
        "select kind, sequence, amount, balance_after, journal_id is not null, partner_id from gift_card_activities "
        "where tenant_id = $1 and card_id = $2",
        UUID(answer.data["id"]),
    )
    assert written == [("issue", 1, 900, 900, True, api.partner_id)]


async def test_a_promotional_card_is_paid_for_by_the_merchant_and_expires_back_to_it(
    api: Api, runtime: Runtime
) -> None:
    await configure(runtime, api, funding_mode="prefunded")
    await top_up(runtime, api, 1000)
    until = await later(api, 30)
    answer = await issued(api, 600, valueClass="promotional", expiresAt=until)
    assert await left(runtime, api) == 400
    assert await books(runtime, api, "merchant.sales") == 0
    (lot,) = await lots_of(runtime, api, answer.data["id"])
    assert lot.lot_class == "promotional" and clock.render(lot.expires_at or await now(api)) == until
    assert lot.funder_id is not None
    due = await rows(
        runtime,
        api,
        "select code, due_at = expires_at from lot_deadlines where tenant_id = $1 and account_id = $2",
        lot.id,
    )
    assert due == [("card.lot", True)]
    refused(await issue(api, 401, valueClass="promotional"), 409, "InsufficientFunding", "/data/attributes/amount")
    # What is sold is paid for by whoever buys it.
    await issued(api, 5000)
    await issued(api, 400, valueClass="promotional")
    assert await left(runtime, api) == 0


async def test_rivals_never_give_away_more_than_the_funding_holds(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, funding_mode="prefunded")
    await top_up(runtime, api, 500)
    answers = await asyncio.gather(*(issue(api, 100, valueClass="promotional") for _ in range(12)))
    assert sorted(answer.status for answer in answers) == [201] * 5 + [409] * 7
    assert await left(runtime, api) == 0


async def test_rivals_in_one_work_are_decided_as_if_one_came_after_the_other(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, funding_mode="prefunded")
    await top_up(runtime, api, 250)
    assert api.merchant_id is not None
    wish = Terms(api.merchant_id, 100, value_class="promotional")
    keys = ("a", "a", "b", "c", "d", "c")
    commands = [IssueCard(asked(api), key, wish, merchant_named=False) for key in keys]
    async with runtime.work(api.tenant) as work:
        outcomes = await issuing.issue(work, commands)
    told = [("again" if each.replayed else "new") if isinstance(each, Issued) else each.code for each in outcomes]
    assert told == ["new", "again", "new", "InsufficientFunding", "InsufficientFunding", "InsufficientFunding"]
    # A key whose first request was refused belongs to a later twin that was not.
    await top_up(runtime, api, 50)
    large = replace(commands[3], terms=replace(wish, amount=101))
    async with runtime.work(api.tenant) as work:
        outcomes = await issuing.issue(work, [large, commands[3], commands[5]])
    assert isinstance(outcomes[0], InsufficientFunding) and [type(each) for each in outcomes[1:]] == [Issued, Issued]
    assert isinstance(outcomes[1], Issued)
    assert (await issue(api, 100, "c", valueClass="promotional")).data["id"] == str(outcomes[1].card_id)


@pytest.mark.parametrize(
    ("attributes", "places"),
    [
        ({"amount": 0}, ["/data/attributes/amount"]),
        ({"amount": 2_147_483_648}, ["/data/attributes/amount"]),
        ({"amount": "5"}, ["/data/attributes/amount"]),
        ({"currency": "EUR"}, ["/data/attributes/currency"]),
        ({"currency": "usd"}, ["/data/attributes/currency"]),
        ({"valueClass": "refund"}, ["/data/attributes/valueClass"]),
        ({"merchantId": NOBODY}, ["/data/attributes/merchantId"]),
        ({"merchantId": "luna"}, ["/data/attributes/merchantId"]),
        ({"designId": NOBODY}, ["/data/attributes/designId"]),
        ({"designId": "winter"}, ["/data/attributes/designId"]),
        ({"expiresAt": "tomorrow"}, ["/data/attributes/expiresAt"]),
        ({"expiresAt": "2020-01-01T00:00:00Z", "valueClass": "promotional"}, ["/data/attributes/expiresAt"]),
        ({"expiresAt": "2026-03-02T09:00:00Z", "valueClass": "promotional"}, ["/data/attributes/expiresAt"]),
        ({"idempotencyKey": ""}, ["/data/attributes/idempotencyKey"]),
        ({"externalReference": "x" * 256}, ["/data/attributes/externalReference"]),
        ({"code": "0000"}, ["/data/attributes/code"]),
        ({"delivery": {"channel": "post", "to": "x"}}, ["/data/attributes/delivery/channel"]),
        ({"delivery": {"channel": "email", "to": "nowhere"}}, ["/data/attributes/delivery/to"]),
        ({"delivery": {"channel": "sms", "to": "12"}}, ["/data/attributes/delivery/to"]),
        (
            {"delivery": {"channel": "email", "to": "a b", "deliverAt": "soon", "senderName": "A\nB"}},
            [
                "/data/attributes/delivery/deliverAt",
                "/data/attributes/delivery/senderName",
                "/data/attributes/delivery/to",
            ],
        ),
        (
            {"delivery": {"channel": "email", "to": "a@b.example", "message": "x" * 501}},
            ["/data/attributes/delivery/message"],
        ),
    ],
)
async def test_what_is_wrong_is_told_where_it_is(api: Api, attributes: dict[str, Any], places: list[str]) -> None:
    refused(await issue(api, **{"amount": 100, "key": "k", **attributes}), 400, "InvalidRequest", *places)
    assert (await api.get("gift-cards")).body["meta"]["total"] == 0
    # Only success is remembered: the key is free.
    await issued(api, 100, key="k")


async def test_a_key_may_not_be_left_out(api: Api) -> None:
    refused(await api.post("gift-cards", document_of("GiftCard", amount=100)), 400, "InvalidRequest")


async def test_the_merchant_bounds_what_one_card_holds(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, card_maximum=1000)
    refused(await issue(api, 1001), 400, "InvalidRequest", "/data/attributes/amount")
    await issued(api, 1000)


async def test_a_closed_merchant_sells_no_cards(api: Api, runtime: Runtime) -> None:
    await issued(api, 1)
    await configure(runtime, api, status="closed")
    refused(
        await issue(api, 100, merchantId=str(api.merchant_id)), 400, "InvalidRequest", "/data/attributes/merchantId"
    )


async def test_paid_value_does_not_expire_below_what_the_law_grants(api: Api) -> None:
    early, late = await later(api, 365), await later(api, 365 * 6)
    answer = await issue(api, 100, expiresAt=early)
    refused(answer, 400, "InvalidRequest", "/data/attributes/expiresAt")
    assert "2031" in answer.text, "the earliest date is named"
    assert (await issued(api, 100, expiresAt=late)).attributes["expiresAt"] == late
    assert (await issued(api, 100, expiresAt=early, valueClass="promotional")).attributes["expiresAt"] == early


async def test_quotas_bound_number_and_value_exactly(api: Api, runtime: Runtime) -> None:
    await agree(
        runtime, api.tenant, api.partner_id, line("giftCards.count", 4), line("giftCards.value", 500, currency="USD")
    )
    answers = await asyncio.gather(*(issue(api, 100) for _ in range(9)))
    assert sorted(answer.status for answer in answers) == [201] * 4 + [409] * 5
    refused(await issue(api, 1), 409, "QuotaExceeded", "/data/attributes/amount")


async def test_a_quota_of_value_that_is_exceeded_uses_up_no_number(api: Api, runtime: Runtime) -> None:
    await agree(
        runtime, api.tenant, api.partner_id, line("giftCards.count", 2), line("giftCards.value", 300, currency="USD")
    )
    answers = [await issue(api, amount) for amount in (200, 200, 200, 100, 1)]
    assert [answer.status for answer in answers] == [201, 409, 409, 201, 409]


async def test_the_same_key_twice_at_once_is_one_card(api: Api, runtime: Runtime) -> None:
    answers = await asyncio.gather(*(issue(api, 100, "one", pin=True) for _ in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum(header(answer, "idempotent-replayed") == "true" for answer in answers) == 7
    assert await books(runtime, api, "merchant.sales") == -100


async def test_a_key_for_another_request_is_a_conflict(api: Api) -> None:
    await issued(api, 100, key="k")
    others: list[dict[str, Any]] = [
        {"amount": 101},
        {"pin": True},
        {"externalReference": "x"},
        {"activate": False},
        {"reloadable": False},
    ]
    for more in others:
        answer = await issue(api, **{"amount": 100, "key": "k", **more})
        refused(answer, 409, "IdempotencyConflict", "/data/attributes/idempotencyKey")


async def test_a_replay_shows_number_and_pin_for_a_day_and_then_only_the_tail(api: Api) -> None:
    first = await issued(api, 100, key="k", pin=True)
    await advance(api, "PT23H59M59S")
    again = await issue(api, 100, "k", pin=True)
    assert (again.status, again.text) == (201, first.text)
    await advance(api, "PT1S")
    late = await issue(api, 100, "k", pin=True)
    assert late.status == 201 and header(late, "idempotent-replayed") == "true"
    assert late.attributes == first.attributes | {"code": None, "pin": None}
    assert late.attributes["codeTail"] == first.attributes["code"][-4:]


async def test_number_and_pin_lie_nowhere_in_the_clear(
    api: Api, runtime: Runtime, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    wish = {"channel": "email", "to": "kim@example.com", "message": "for you", "recipientName": "Kim"}
    made = [(await issued(api, 100, pin=True, delivery=wish)).attributes for _ in range(3)]
    await advance(api, "PT1M")
    secrets = [codes.canonical(card["code"]) or "" for card in made] + [card["code"] for card in made]
    columns = await owner.fetch(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'public' and data_type in ('text', 'bytea', 'json', 'jsonb', 'character varying', 'ARRAY')"
    )
    assert len(columns) > 50
    for table, column, kind in columns:
        value = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
        found = await owner.fetchval(
            f'select count(*) from "{table}" where exists (select 1 from unnest($1::text[]) s where strpos({value}, s) > 0)',
            [*secrets, "kim@example.com", "for you"],
        )
        assert found == 0, (table, column)
    # A PIN is six digits that may be part of anything, so it is looked for where it belongs.
    for card in made:
        kept = await rows(runtime, api, "select pin_digest, pin_sealed from gift_cards where tenant_id = $1")
        assert all(card["pin"].encode() not in value for pair in kept for value in pair)


async def test_a_card_of_another_partner_is_not_there(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    card = await issued(api, 100)
    stranger = await join(runtime, session, base_url, tenant=api.tenant)
    seer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    elsewhere = await another_client(runtime, api, ((await luna(runtime, api.tenant, "Other")).id,))
    for other in (stranger, elsewhere):
        missing = await other.get(f"gift-cards/{card.data['id']}")
        refused(missing, 404, "NotFound")
        assert _told(missing) == _told(await other.get(f"gift-cards/{NOBODY}"))
        assert (await other.get("gift-cards")).body["meta"]["total"] == 0
    assert (await seer.get(f"gift-cards/{card.data['id']}")).status == 200
    assert (await seer.get("gift-cards")).body["meta"]["total"] == 1
    # Keys are a partner's own, and a client that may not act for the card's merchant learns nothing by its key.
    refused(await issue(elsewhere, 100, "k2", merchantId=str(api.merchant_id)), 400, "InvalidRequest")


def _told(answer: Answer) -> Any:
    return [{name: error[name] for name in ("code", "title", "detail")} for error in answer.body["errors"]]


async def test_cards_are_listed_by_what_they_are(api: Api, runtime: Runtime) -> None:
    other = await luna(runtime, api.tenant, "Other")
    here = {"merchantId": str(api.merchant_id)}
    first = await issued(api, 100, externalReference="a", **here)
    await issued(api, 200, externalReference="b", activate=False, **here)
    expiring = await issued(api, 300, valueClass="promotional", expiresAt=await later(api, 1), **here)
    await issued(api, 400, merchantId=str(other.id))

    async def amounts(query: str) -> list[int]:
        answer = await api.get(f"gift-cards?{query}")
        assert answer.status == 200, answer.text
        return sorted(card["attributes"]["initialAmount"] for card in answer.data)

    assert await amounts("") == [100, 200, 300, 400]
    assert await amounts(f"filter[merchantId]={api.merchant_id}") == [100, 200, 300]
    assert await amounts("filter[externalReference]=b") == [200]
    assert await amounts("filter[status]=pending") == [200]
    assert await amounts(f"filter[merchantId]={other.id}") == [400]
    assert await amounts(f"filter[batchId]={NOBODY}") == []
    async with runtime.work(api.tenant) as work:  # past its expiry it reads so, whether or not the books moved yet
        await work.db.run(
            "update gift_cards set expires_at = $3 where tenant_id = $1 and id = $2",
            api.tenant.id,
            UUID(expiring.data["id"]),
            work.now,
        )
    assert await amounts("filter[status]=expired") == [300]
    assert await amounts("filter[status]=active&filter[externalReference]=a") == [100]
    assert (await show(api, first.data["id"]))["status"] == "active"
    for wrong in ("filter[status]=lost", "filter[merchantId]=x", "filter[batchId]=x", "filter[code]=x"):
        refused(await api.get(f"gift-cards?{wrong}"), 400, "InvalidRequest")


async def test_scopes_part_reading_from_issuing(api: Api, runtime: Runtime) -> None:
    reader = await another_client(runtime, api, scopes=frozenset({"gift-cards:read"}))
    writer = await another_client(runtime, api, scopes=frozenset({"gift-cards:write"}))
    refused(await issue(reader, 100), 403, "InsufficientScope")
    card = await issued(writer, 100)
    refused(await writer.get(f"gift-cards/{card.data['id']}"), 403, "InsufficientScope")
    assert (await reader.get(f"gift-cards/{card.data['id']}")).status == 200


async def test_a_card_is_issued_in_production_too(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, environment="production")
    card = await issued(api, 100)
    assert (await show(api, card.data["id"]))["balance"]["available"] == 100
    await check_whole(auditor, api.tenant)
