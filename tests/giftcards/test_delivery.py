"""Cards on their way to their recipients: at their time, as soon as they can be used, and again when asked."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick import giftcards
from tallystick.base import clock
from tallystick.base.work import Runtime
from tests.api import Answer, Api, join
from tests.conftest import Clock
from tests.giftcards.cast import NOBODY, issue, issued, now, rows, show, tell
from tests.giftcards.hands import put_in
from tests.rewards.cast import advance, another_client, mailbox, refused, story

MAIL = {"channel": "email", "to": "kim@example.com"}


async def resend(api: Api, card_id: str, key: str | None = None, **attributes: Any) -> Answer:
    return await tell(api, f"gift-cards/{card_id}/resend", "ResendGiftCard", key, attributes or None)


async def topics(api: Api, card_id: str) -> list[tuple[str, int]]:
    return [(topic, sequence) for topic, sequence, _ in await story(api, card_id)]


async def test_a_card_is_sent_at_once_with_its_number_and_what_is_said(api: Api, runtime: Runtime) -> None:
    wish = MAIL | {"message": "Happy birthday!", "recipientName": "Kim", "senderName": "von Berg"}
    card = await issued(api, 5000, pin=True, delivery=wish)
    assert await mailbox(api) == []
    assert await giftcards.deliver_due(runtime)
    (message,) = await mailbox(api)
    assert (message["channel"], message["kind"], message["to"]) == ("email", "gift_card", "kim@example.com")
    for told in ("Dear Kim", "von Berg sends you", "50.00 USD", "Café Luna", '"Happy birthday!"'):
        assert told in message["text"], message
    assert card.attributes["code"] in message["text"] and card.attributes["pin"] in message["text"]
    assert await topics(api, card.data["id"]) == [("gift_card.issued", 1), ("gift_card.delivered", 2)]
    assert not await giftcards.deliver_due(runtime)
    assert len(await mailbox(api)) == 1


async def test_a_card_is_sent_by_sms_to_the_number_as_dialled(api: Api, runtime: Runtime) -> None:
    await issued(api, 100, delivery={"channel": "sms", "to": "(202) 555-0143"})
    await giftcards.deliver_due(runtime)
    (message,) = await mailbox(api)
    assert (message["channel"], message["to"], message["subject"]) == ("sms", "+12025550143", None)
    assert message["text"].startswith("Here is a gift card of 1.00 USD for Café Luna.")


async def test_a_card_is_sent_at_its_time_by_the_tenants_clock(api: Api) -> None:
    at = clock.render(await now(api) + timedelta(days=3))
    card = await issued(api, 100, delivery=MAIL | {"deliverAt": at})
    await advance(api, "P2DT23H")
    assert await mailbox(api) == []
    await advance(api, "P5D")
    assert len(await mailbox(api)) == 1
    assert [(topic, when) for topic, _, when in await story(api, card.data["id"])][-1] == ("gift_card.delivered", at)


async def test_a_card_is_not_sent_after_it_has_expired(api: Api) -> None:
    until = await now(api) + timedelta(days=10)
    wish = MAIL | {"deliverAt": clock.render(until)}
    answer = await issue(api, 100, valueClass="promotional", expiresAt=clock.render(until), delivery=wish)
    refused(answer, 400, "InvalidRequest", "/data/attributes/delivery/deliverAt")


async def test_a_card_that_cannot_be_used_yet_waits_and_is_sent_when_it_can(api: Api, runtime: Runtime) -> None:
    pending = await issued(api, 100, activate=False, delivery=MAIL)
    frozen = await issued(api, 200, delivery=MAIL)
    await put_in(runtime, api, UUID(frozen.data["id"]), "frozen")
    await advance(api, "P1D")
    assert await mailbox(api) == []
    for card in (pending, frozen):
        await put_in(runtime, api, UUID(card.data["id"]), "active", updated_at=await now(api))
    await advance(api, "PT1S")
    assert sorted("1.00 USD" in message["text"] for message in await mailbox(api)) == [False, True]


@pytest.mark.parametrize("ended", ["cancelled", "replaced", "expired"])
async def test_a_card_that_ended_is_not_sent_and_its_recipient_is_forgotten(
    api: Api, runtime: Runtime, ended: str
) -> None:
    at = clock.render(await now(api) + timedelta(days=3))
    card = await issued(api, 100, delivery=MAIL | {"deliverAt": at})
    await put_in(runtime, api, UUID(card.data["id"]), ended)
    await advance(api, "P4D")
    assert await mailbox(api) == []
    assert await topics(api, card.data["id"]) == [("gift_card.issued", 1)]
    kept = await rows(
        runtime, api, "select content_sealed, cancelled_at is null from gift_card_deliveries where tenant_id = $1"
    )
    assert kept == [(None, False)]


async def test_a_card_past_its_expiry_is_not_sent_even_before_the_books_have_moved(api: Api, runtime: Runtime) -> None:
    card = await issued(api, 100, delivery=MAIL)
    await put_in(runtime, api, UUID(card.data["id"]), "active", expires_at=await now(api))
    await giftcards.deliver_due(runtime)
    assert await mailbox(api) == []


async def test_a_card_is_sent_again_to_where_it_went_or_to_another_address(api: Api, runtime: Runtime) -> None:
    card = await issued(api, 100, delivery=MAIL | {"message": "For you"})
    card_id = card.data["id"]
    refused(await resend(api, card_id), 409, "InvalidState")
    await giftcards.deliver_due(runtime)
    again = await resend(api, card_id)
    assert again.status == 202, again.text
    assert again.attributes["code"] is None
    await giftcards.deliver_due(runtime)
    await resend(api, card_id, channel="sms", to="+12025550144")
    await giftcards.deliver_due(runtime)
    sent = [(message["to"], card.attributes["code"] in message["text"]) for message in await mailbox(api)]
    assert sent == [("+12025550144", True), ("kim@example.com", True), ("kim@example.com", True)]
    assert await topics(api, card_id) == [("gift_card.issued", 1), *(("gift_card.delivered", n) for n in (2, 3, 4))]


async def test_a_card_that_was_never_sent_needs_an_address(api: Api, runtime: Runtime) -> None:
    card_id = (await issued(api, 100)).data["id"]
    refused(await resend(api, card_id), 400, "InvalidRequest", "/data/attributes/to")
    refused(await resend(api, card_id, channel="email", to="x"), 400, "InvalidRequest", "/data/attributes/to")
    assert (await resend(api, card_id, channel="email", to="a@b.example")).status == 202
    await giftcards.deliver_due(runtime)
    assert len(await mailbox(api)) == 1


async def test_a_card_is_sent_five_times_a_day_at_most(api: Api, runtime: Runtime) -> None:
    card_id = (await issued(api, 100, delivery=MAIL)).data["id"]
    for _ in range(4):
        await giftcards.deliver_due(runtime)
        assert (await resend(api, card_id)).status == 202
    await giftcards.deliver_due(runtime)
    refused(answer := await resend(api, card_id), 429, "RateLimited")
    assert answer.headers["Retry-After"] == "86401"
    await advance(api, "P1DT1S")
    assert (await resend(api, card_id)).status == 202


async def test_a_key_sends_a_card_again_once(api: Api, runtime: Runtime) -> None:
    card_id = (await issued(api, 100, delivery=MAIL)).data["id"]
    await giftcards.deliver_due(runtime)
    assert (await resend(api, card_id, "k")).text == (await resend(api, card_id, "k")).text
    refused(await resend(api, card_id, "k", channel="email", to="a@b.example"), 409, "IdempotencyConflict")
    await giftcards.deliver_due(runtime)
    assert len(await mailbox(api)) == 2


async def test_only_an_active_card_of_ones_own_is_sent_again(api: Api, runtime: Runtime) -> None:
    card_id = (await issued(api, 100, delivery=MAIL)).data["id"]
    await giftcards.deliver_due(runtime)
    elsewhere = await another_client(runtime, api, (UUID(NOBODY),))
    reader = await another_client(runtime, api, scopes=frozenset({"gift-cards:read"}))
    for missing in (await resend(elsewhere, card_id), await resend(api, NOBODY), await resend(api, "x")):
        refused(missing, 404, "NotFound")
    refused(await resend(elsewhere, card_id, channel="email", to="a@b.example"), 404, "NotFound")
    refused(await resend(reader, card_id), 403, "InsufficientScope")
    await put_in(runtime, api, UUID(card_id), "frozen")
    refused(await resend(api, card_id), 409, "InvalidState")
    assert (await show(api, card_id))["status"] == "frozen"


async def test_two_workers_send_a_card_once(api: Api, runtime: Runtime) -> None:
    await issued(api, 100, delivery=MAIL)
    at = await now(api)
    await asyncio.gather(*(giftcards.deliver_at(runtime, api.tenant, at) for _ in range(6)))
    assert len(await mailbox(api)) == 1


async def test_deliveries_of_production_go_by_real_time(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock
) -> None:
    api = await join(runtime, session, base_url, environment="production")
    at = clock.now + timedelta(hours=2)
    await issued(api, 100, delivery=MAIL)
    await giftcards.deliver_due(runtime)
    await issued(api, 100, delivery=MAIL | {"deliverAt": at.isoformat()})
    async with runtime.reading(api.tenant) as work:
        assert await giftcards.next_delivery(work) == at
    assert not await giftcards.deliver_due(runtime)
    clock.move(timedelta(hours=2))
    assert await giftcards.deliver_due(runtime)
    due = await rows(runtime, api, "select kind, due_at from messages where tenant_id = $1 order by due_at")
    assert due == [("gift_card", at - timedelta(hours=2)), ("gift_card", at)]
    async with runtime.reading(api.tenant) as work:
        assert await giftcards.next_delivery(work) is None
