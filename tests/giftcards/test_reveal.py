"""Seeing a number again: the partner that made the card, and never without a trace."""

import asyncio
from datetime import timedelta

import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Api, join
from tests.conftest import Clock
from tests.giftcards.hands import card, look_up, put_in, reveal, row
from tests.rewards.cast import another_client, header, refused


async def test_the_number_and_the_pin_are_shown_whole(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    answer = await reveal(api, held.id)
    assert (answer.status, answer.data["type"], answer.data["id"]) == (200, "GiftCardSecret", str(held.id))
    assert answer.attributes == {"code": held.code, "pin": held.pin}
    assert header(answer, "cache-control") == "no-store"
    assert (await look_up(api, answer.attributes["code"], answer.attributes["pin"])).status == 200
    assert (await reveal(api, held.id)).attributes == answer.attributes
    plain = await card(runtime, api)
    assert (await reveal(api, plain.id)).attributes == {"code": plain.code, "pin": None}


async def test_each_time_stands_in_the_log_of_requests(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    answers = [await reveal(api, held.id) for _ in range(3)]
    logged = [each["attributes"] for each in (await api.get("request-logs?page[limit]=50")).data]
    shown = [each for each in logged if each["route"] == "/api/v1/gift-cards/{id}/reveal"]
    assert [(each["status"], each["resourceId"], each["clientId"]) for each in shown] == [
        (200, str(held.id), api.client_id)
    ] * len(answers)


async def test_the_first_time_is_kept(api: Api, runtime: Runtime, clock: Clock) -> None:
    held = await card(runtime, api)
    await put_in(runtime, api, held.id, "active", first_revealed_at=None)
    first = clock.now
    await reveal(api, held.id)
    clock.move(timedelta(hours=1))
    await reveal(api, held.id)
    found = await row(runtime, api, held.id)
    assert (found.first_revealed_at, found.version) == (first, 1)


@pytest.mark.parametrize("status", ["pending", "active", "frozen", "depleted", "expired"])
async def test_a_number_that_is_not_dead_is_shown(api: Api, runtime: Runtime, status: str) -> None:
    held = await card(runtime, api, status=status)
    assert (await reveal(api, held.id)).attributes["code"] == held.code


@pytest.mark.parametrize("status", ["cancelled", "replaced"])
async def test_a_dead_number_is_not_shown(api: Api, runtime: Runtime, status: str) -> None:
    held = await card(runtime, api, status=status)
    answer = await reveal(api, held.id)
    refused(answer, 409, "InvalidState")
    assert held.code not in answer.text


async def test_only_the_partner_that_made_it_sees_it(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    strangers = [
        await join(runtime, api.session, api.base_url),
        await join(runtime, api.session, api.base_url, tenant=api.tenant),
        await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme"),
        await another_client(runtime, api, merchant_ids=(ids.new(),)),
    ]
    for stranger in strangers:
        answer = await reveal(stranger, held.id)
        refused(answer, 404, "NotFound")
        assert answer.body["errors"][0]["detail"] == (await reveal(stranger, ids.new())).body["errors"][0]["detail"]
    assert (await reveal(await another_client(runtime, api), held.id)).status == 200
    reader = await another_client(runtime, api, scopes=frozenset({"gift-cards:read", "gift-cards:write"}))
    refused(await reveal(reader, held.id), 403, "InsufficientScope")


@pytest.mark.parametrize("card_id", ["lookup", "x", "0", "%00", "7K3M-9XQ2-B8TR-04ZN-H5WC"])
async def test_what_is_no_id_is_missing(api: Api, card_id: str) -> None:
    refused(await reveal(api, card_id), 404, "NotFound")


async def test_many_at_once_are_shown_alike(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    answers = await asyncio.gather(*(reveal(api, held.id) for _ in range(10)))
    assert {(answer.status, answer.attributes["code"]) for answer in answers} == {(200, held.code)}
