"""What payments tell of a card: its state, its history and its events follow the value."""

import json
from datetime import timedelta

import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.giftcards import spending
from tests.api import Api
from tests.conftest import Clock
from tests.giftcards.hands import add_lot, card, history, hold, put_in, redeem, row, take_back, topics
from tests.rewards.cast import story

DAY = timedelta(days=1)


async def test_spending_to_the_last_depletes_and_a_refund_makes_active_again(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, 1000)
    assert await redeem(runtime, api, held.id, 400)
    assert (await row(runtime, api, held.id)).status == "active"
    assert await redeem(runtime, api, held.id, 600)
    found = await row(runtime, api, held.id)
    assert (found.status, found.reason, found.version) == ("depleted", "spent", 4)
    await take_back(runtime, api, held.id, 250)
    found = await row(runtime, api, held.id)
    assert (found.status, found.reason, found.version) == ("active", "refunded", 5)
    assert await history(runtime, api, held.id) == [
        ("issue", 1000, 1000),
        ("redeem", -400, 600),
        ("redeem", -600, 0),
        ("deplete", 0, 0),
        ("refund", 250, 250),
    ]
    assert [(topic, number) for topic, number, _ in await story(api, str(held.id))] == [
        ("gift_card.issued", 1),
        ("gift_card.redeemed", 2),
        ("gift_card.redeemed", 3),
        ("gift_card.depleted", 4),
        ("gift_card.refunded", 5),
    ]


async def test_events_tell_what_is_there_and_what_is_held(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, 1000)
    await add_lot(runtime, api, held.id, "paid", 1)
    await hold(runtime, api, held.id, 1)
    await redeem(runtime, api, held.id, 400)
    [(_, document, partner_id)] = await topics(runtime, api, ["gift_card.redeemed"])
    assert json.loads(document)["attributes"]["balance"] == {"available": 600, "held": 1}
    assert partner_id == api.partner_id


async def test_a_card_with_something_held_is_not_depleted(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, 1000)
    await hold(runtime, api, held.id, 300)
    assert await redeem(runtime, api, held.id, 700)
    found = await row(runtime, api, held.id)
    assert (found.status, found.version) == ("active", 2)


async def test_a_refund_to_an_expired_card_can_be_spent_until_it_expires_itself(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    held = await card(runtime, api, 1000)
    await redeem(runtime, api, held.id, 1000)
    for status in ("depleted", "expired"):
        await put_in(runtime, api, held.id, status, expires_at=clock.now)
        clock.move(DAY)
        await take_back(runtime, api, held.id, 100, clock.now + 30 * DAY)
        found = await row(runtime, api, held.id)
        assert (found.status, found.reason, found.expires_at) == ("active", "refunded", clock.now + 30 * DAY)
        assert await redeem(runtime, api, held.id, 100)
        clock.move(30 * DAY)


@pytest.mark.parametrize("status", ["frozen"])
async def test_a_refund_thaws_no_card(api: Api, runtime: Runtime, status: str) -> None:
    held = await card(runtime, api, 1000)
    await redeem(runtime, api, held.id, 400)
    await put_in(runtime, api, held.id, status, reason="stolen")
    await take_back(runtime, api, held.id, 400)
    found = await row(runtime, api, held.id)
    assert (found.status, found.reason) == ("frozen", "stolen")


async def test_value_is_found_where_replacements_brought_it(api: Api, runtime: Runtime) -> None:
    first, second, third, other = [await card(runtime, api, 10) for _ in range(4)]
    await put_in(runtime, api, first.id, "replaced", replaced_by=second.id)
    await put_in(runtime, api, second.id, "replaced", replaced_by=third.id)
    unknown = ids.new()
    async with runtime.reading(api.tenant) as work:
        found = await spending.successors(work, [first.id, second.id, other.id, unknown])
    assert found == {first.id: third.id, second.id: third.id, other.id: other.id}


async def test_nothing_told_is_nothing_written(api: Api, runtime: Runtime) -> None:
    async with runtime.work(api.tenant) as work:
        await spending.note_redeemed(work, [])
        await spending.note_refunded(work, [])
        assert await spending.find_codes(work, []) == []
        assert await spending.lock_cards(work, []) == {}
        assert not work.recorded
