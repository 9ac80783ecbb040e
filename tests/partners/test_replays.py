"""The first answer is repeated to whoever may do at least what its asker could, and to nobody else of the same partner."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest

from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, luna
from tests.giftcards.living import new
from tests.rewards.cast import another_client, refused

FEW = frozenset({"credentials:read", "credentials:write"})


async def elsewhere(runtime: Runtime, api: Api) -> Api:
    """Another credential of the same partner, for another merchant only."""
    return await another_client(runtime, api, merchant_ids=((await luna(runtime, api.tenant, "Café Sol")).id,))


async def rotate(api: Api, credential_id: str, key: str) -> Answer:
    return await api.post(f"credentials/{credential_id}/rotate", headers={"Idempotency-Key": key})


async def test_a_secret_is_not_repeated_to_a_credential_that_may_do_less(api: Api, runtime: Runtime) -> None:
    narrow = await another_client(runtime, api, scopes=FEW)
    first = await rotate(api, api.client_id, "rotate-2026-11")
    assert first.status == 200, first.text
    answer = await rotate(narrow, api.client_id, "rotate-2026-11")
    refused(answer, 409, "IdempotencyConflict")
    assert first.attributes["clientSecret"] not in answer.text
    assert (await rotate(api, api.client_id, "rotate-2026-11")).text == first.text


async def test_nor_to_a_token_of_the_same_credential_that_was_asked_for_less(api: Api) -> None:
    first = await rotate(api, api.client_id, "once")
    wanted = {"grant_type": "client_credentials", "scope": " ".join(sorted(FEW))}
    basic = base64.b64encode(f"{api.client_id}:{api.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    async with api.session.post(f"{api.base_url}/oauth/token", data=wanted, headers=headers) as minted:
        token = (await minted.json())["access_token"]
    answer = await rotate(replace(api, secret=token), api.client_id, "once")
    refused(answer, 409, "IdempotencyConflict")
    assert first.attributes["clientSecret"] not in answer.text


async def test_a_credential_that_may_do_as_much_is_given_the_first_answer(api: Api, runtime: Runtime) -> None:
    successor = await another_client(runtime, api)
    first = await rotate(api, api.client_id, "once")
    answer = await rotate(successor, api.client_id, "once")
    assert (answer.status, answer.text) == (200, first.text)


@pytest.mark.parametrize("what", ["till code", "suspend", "change", "cancel", "merchant", "freeze", "signing secret"])
async def test_what_one_merchant_was_answered_is_not_repeated_to_another(api: Api, runtime: Runtime, what: str) -> None:
    method, path, document = await wish(api, what)
    other = await elsewhere(runtime, api)
    keyed = {"Idempotency-Key": "once"}
    first = await api.request(method, path, document, headers=keyed)
    assert first.status < 300, first.text
    refused(await other.request(method, path, document, headers=keyed), 409, "IdempotencyConflict")
    again = await api.request(method, path, document, headers=keyed)
    assert (again.status, again.text) == (first.status, first.text)


async def test_who_races_for_the_same_key_from_another_merchant_is_given_nothing(api: Api, runtime: Runtime) -> None:
    path = f"wallets/{await api.wallet()}/till-codes"
    other = await elsewhere(runtime, api)
    answers = await asyncio.gather(*(each.post(path, headers={"Idempotency-Key": "once"}) for each in (api, other) * 6))
    assert [answer.status for answer in answers[::2]] == [201] * 6
    assert len({answer.text for answer in answers[::2]}) == 1
    assert {answer.status for answer in answers[1::2]} <= {404, 409}


async def wish(api: Api, what: str) -> tuple[str, str, Any]:
    """A write at Café Luna: method, path and document."""
    if what == "till code":
        return "POST", f"wallets/{await api.wallet()}/till-codes", None
    if what == "suspend":
        return "POST", f"wallets/{await api.wallet()}/suspend", None
    if what in ("change", "cancel"):
        reward = f"rewards/{(await api.issue()).data['id']}"
        return (
            ("PATCH", reward, document_of("UpdateReward", amount=200)) if what == "change" else ("DELETE", reward, None)
        )
    if what == "merchant":
        change = document_of("MerchantConfiguration", claimDays=30)
        return "PATCH", f"merchants/{api.merchant_id}/configuration", change
    if what == "freeze":
        return "POST", f"gift-cards/{await new(api, 900)}/freeze", document_of("FreezeGiftCard", reason="lost")
    wanted = document_of("Webhook", url="http://127.0.0.1:9/hook", topics=["reward.credited"])
    made = await api.post("webhooks", wanted)
    assert made.status == 201, made.text
    return "POST", f"webhooks/{made.data['id']}/rotate-secret", None
