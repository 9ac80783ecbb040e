"""The history of a card."""

from typing import Any

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, join
from tests.giftcards.living import check_cards, done, new, pay, settle
from tests.rewards.cast import another_client, configure, refused, story


async def test_a_history_tells_everything_newest_first_with_the_balance_after(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    await configure(runtime, api, region="US-CA")
    card_id = await new(api, 900, activate=False)
    await done(api, card_id, "activate")
    await done(api, card_id, "load", amount=100)
    await done(api, card_id, "adjust", amount=-200, reason="support_issue")
    intent_id = await pay(api, card_id, 300)
    await settle(api, intent_id, "refund", 50)
    await done(api, card_id, "freeze", reason="lost")
    await done(api, card_id, "unfreeze", reason="found")
    await done(api, card_id, "cash-out")
    answer = await api.get(f"gift-cards/{card_id}/activities?page[limit]=50")
    lines = [each["attributes"] for each in answer.data]
    assert [(each["kind"], each["amount"], each["balanceAfter"], each["reason"]) for each in lines] == [
        ("deplete", 0, 0, "cashed_out"),
        ("cash_out", -550, 0, None),
        ("unfreeze", 0, 550, "found"),
        ("freeze", 0, 550, "lost"),
        ("refund", 50, 550, None),
        ("redeem", -300, 500, None),
        ("adjust", -200, 800, "support_issue"),
        ("load", 100, 1000, None),
        ("activate", 0, 900, "activated"),
        ("issue", 900, 900, None),
    ]
    assert [each["sequence"] for each in lines] == list(range(10, 0, -1))
    assert {each["giftCardId"] for each in lines} == {card_id}
    assert [number for _, number, _ in await story(api, card_id)] == list(range(1, 11))
    assert lines[5]["causeId"] == intent_id
    assert len({each["id"] for each in answer.data}) == 10
    await check_cards(auditor, api.tenant)


async def test_each_line_names_the_request_that_made_it(api: Api) -> None:
    card_id = await new(api, 900)
    answer = await done(api, card_id, "freeze", reason="lost")
    [line, _] = (await api.get(f"gift-cards/{card_id}/activities")).data
    assert line["attributes"]["requestId"] == answer.headers["Request-Id"]


async def test_it_comes_in_pages(api: Api) -> None:
    card_id = await new(api, 900)
    for amount in (1, 2, 3):
        await done(api, card_id, "load", amount=amount)
    answer = await api.get(f"gift-cards/{card_id}/activities?page[offset]=1&page[limit]=2")
    assert [each["attributes"]["amount"] for each in answer.data] == [2, 1]
    assert answer.body["meta"] == {"total": 4, "limit": 2, "offset": 1}
    refused(await api.get(f"gift-cards/{card_id}/activities?page[limit]=0"), 400, "InvalidRequest")


async def test_the_history_of_somebody_elses_card_is_missing(api: Api, runtime: Runtime) -> None:
    card_id = await new(api)
    path = f"gift-cards/{card_id}/activities"
    strangers: list[Any] = [
        await join(runtime, api.session, api.base_url),
        await join(runtime, api.session, api.base_url, tenant=api.tenant),
        await another_client(runtime, api, merchant_ids=(ids.new(),)),
    ]
    for stranger in strangers:
        refused(await stranger.get(path), 404, "NotFound")
    seeing = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    assert (await seeing.get(path)).status == 200
    refused(await api.get(f"gift-cards/{ids.new()}/activities"), 404, "NotFound")
    refused(await api.get("gift-cards/x/activities"), 404, "NotFound")
