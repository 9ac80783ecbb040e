"""Looking a card up by its number: whoever holds it sees it, and whoever tries learns nothing."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Db, Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.giftcards import codes, lookup
from tallystick.giftcards.lookup import CodeTried
from tallystick.main import CLOSINGS
from tests.api import Answer, Api, document_of, join, luna
from tests.conftest import Clock
from tests.giftcards.hands import add_lot, asked, card, counted, guess, hold, look_up, put_in, row, tries
from tests.rewards.cast import another_client, refused

CODE = "/data/attributes/code"


async def test_the_number_shows_the_card_with_what_it_holds(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, 5000, external_reference="order-1")
    await add_lot(runtime, api, held.id, "promotional", 700)
    await hold(runtime, api, held.id, 300)
    answer = await look_up(api, held.code)
    assert answer.status == 200, answer.text
    shown = answer.attributes
    assert (answer.data["id"], answer.data["type"], shown["status"]) == (str(held.id), "GiftCard", "active")
    assert shown["balance"] == {"available": 5400, "held": 300}
    assert (shown["code"], shown["pin"], shown["codeTail"]) == (None, None, held.code[-4:])
    assert shown["externalReference"] == "order-1"
    assert held.code not in answer.text


async def test_a_number_may_be_written_as_people_write(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    bare = held.code.replace("-", "")
    for written in (
        bare,
        held.code.lower(),
        held.code.replace("-", " "),
        f" {bare} ",
        bare.replace("0", "o").replace("1", "l"),
    ):
        assert (await look_up(api, written)).status == 200, written


@pytest.mark.parametrize("status", ["pending", "frozen", "depleted", "expired"])
async def test_a_card_that_cannot_be_spent_says_so_to_whoever_holds_it(api: Api, runtime: Runtime, status: str) -> None:
    held = await card(runtime, api, status=status)
    assert (await look_up(api, held.code)).attributes["status"] == status


async def test_a_till_of_another_partner_finds_the_card_but_not_its_makers_notes(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, external_reference="order-1")
    await put_in(runtime, api, held.id, "frozen", reason="suspected_fraud")
    till = await join(runtime, api.session, api.base_url, tenant=api.tenant, scopes=frozenset({"gift-cards:lookup"}))
    shown = (await look_up(till, held.code)).attributes
    assert shown["status"] == "frozen"
    assert (shown["externalReference"], shown["batchId"], shown["reason"]) == (None, None, None)
    assert (await look_up(api, held.code)).attributes["reason"] == "suspected_fraud"


async def test_a_named_merchant_finds_its_own_cards_only(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    other = await luna(runtime, api.tenant, "Café Sol")
    assert (await look_up(api, held.code, merchantId=str(api.merchant_id))).status == 200
    refused(await look_up(api, held.code, merchantId=str(other.id)), 404, "CodeRefused")
    for unknown in (str(ids.new()), "no-id", ""):
        refused(await look_up(api, held.code, merchantId=unknown), 400, "InvalidRequest", "/data/attributes/merchantId")


Case = Callable[[Runtime, Api], Any]


async def _unknown(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    return codes.written(codes.new()), None


async def _mistyped(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    code = (await card(runtime, api)).code
    return code[:-1] + ("2" if code[-1] != "2" else "3"), None


async def _nonsense(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    return "É" * 24, None


async def _wrong_pin(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    held = await card(runtime, api, pin=True)
    return held.code, held.wrong_pin


async def _no_pin(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    return (await card(runtime, api, pin=True)).code, None


async def _locked(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    held = await card(runtime, api, pin=True)
    await guess(runtime, api, held, 5)
    return held.code, held.pin


async def _cancelled(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    return (await card(runtime, api, status="cancelled")).code, None


async def _replaced_with_pin(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    held = await card(runtime, api, status="replaced", pin=True)
    return held.code, held.pin


async def _foreign_merchant(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    held = await card(runtime, api, merchant_id=(await luna(runtime, api.tenant, "Café Sol")).id, pin=True)
    return held.code, held.pin


async def _another_programme(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    return (await card(runtime, await join(runtime, api.session, api.base_url))).code, None


async def _canary(runtime: Runtime, api: Api) -> tuple[str, str | None]:
    from tallystick.giftcards import canaries

    async with runtime.work(api.tenant) as work:
        return (await canaries.plant(work, 1, "a list"))[0], None


CASES: list[Case] = [
    _unknown, _mistyped, _nonsense, _wrong_pin, _no_pin, _locked, _cancelled, _replaced_with_pin, _foreign_merchant,
    _another_programme, _canary,
]  # fmt: skip


def told(answer: Answer) -> Any:
    """What an answer tells, with its length, but for the names and the time of this one request."""
    body = json.loads(answer.text)
    for error in body["errors"]:
        del error["id"], error["meta"]["requestId"], error["meta"]["timestamp"]
    kept = {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower() not in {"date", "request-id", "ratelimit"}
    }
    return answer.status, body, len(answer.text), kept


@pytest.fixture
async def narrow(api: Api, runtime: Runtime) -> Api:
    """A client of the same partner that acts for Café Luna only."""
    assert api.merchant_id is not None
    return await another_client(runtime, api, merchant_ids=(api.merchant_id,))


async def test_whatever_is_not_found_is_answered_alike(api: Api, narrow: Api, runtime: Runtime) -> None:
    answers = {}
    for case in CASES:
        code, pin = await case(runtime, api)
        answer = await look_up(narrow, code, pin)
        assert (answer.status, answer.codes) == (404, ["CodeRefused"]), case.__name__
        assert code not in answer.text
        answers[case.__name__] = told(answer)
    first = answers["_unknown"]
    assert first[1]["errors"][0].keys() == {"status", "code", "title", "detail", "meta"}
    assert {name: answer for name, answer in answers.items() if answer != first} == {}


@dataclass
class Listener:
    """A house of one connection, with every statement that this one carried out."""

    house: Runtime
    statements: list[str]


@pytest.fixture
async def listener(
    dsn: str, keys: MasterKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Listener]:
    pool, heard = Pool(dsn, 1), list[str]()
    async with pool.lend() as only:
        pass

    def listen(name: str) -> None:
        carry_out = getattr(Db, name)

        async def told(self: Db, sql: str, *args: object) -> Any:
            if self is only:
                heard.append(sql)
            return await carry_out(self, sql, *args)

        monkeypatch.setattr(Db, name, told)

    for name in ("rows", "row", "value", "run", "script"):
        listen(name)
    yield Listener(Runtime(pool, clock, keys, CLOSINGS), heard)
    await pool.close()


async def test_whatever_is_not_found_takes_the_same_statements(
    api: Api, narrow: Api, runtime: Runtime, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.merchant_id is not None
    compared: list[int] = []
    digest = codes.pin_digest

    def listen(*args: Any) -> bytes:
        compared.append(1)
        return digest(*args)

    monkeypatch.setattr(codes, "pin_digest", listen)
    taken = {}
    for case in CASES:
        code, pin = await case(runtime, api)
        request = asked(narrow)
        request = msgspec.structs.replace(request, caller=replace(request.caller, merchant_ids=(api.merchant_id,)))
        listener.statements.clear()
        compared.clear()
        outcomes = await run_batch(listener.house, lookup.look_up, api.tenant, [CodeTried(request, None, code, pin)])
        assert isinstance(outcomes[0], lookup.CodeRefused), case.__name__
        taken[case.__name__] = (list(listener.statements), len(compared))
    alarm = taken.pop("_canary")
    first = taken["_unknown"]
    assert len(first[0]) > 5
    assert first[1] == 1
    assert {name: each for name, each in taken.items() if each != first} == {}
    # A canary is told of, in one statement more at the very end.
    assert alarm[0][: len(first[0]) - 1] == first[0][:-1]
    assert alarm[1] == 1


@pytest.mark.parametrize("code", [1, 1.5, None, True, [], {}, "", "x" * 101, ["7K3M"], {"a": 1}, "\u0000", "\ud800"])
async def test_a_code_that_is_no_text_is_refused_before_anything_is_looked_for(
    api: Api, runtime: Runtime, code: Any
) -> None:
    refused(await look_up(api, code), 400, "InvalidRequest", CODE)
    assert await counted(runtime, api) == (0, 0, None)


@pytest.mark.parametrize("pin", [1234, 12.5, True, [], {}, "", "1" * 21, "\u0000"])
async def test_a_pin_that_is_no_text_is_refused_and_counts_nothing(api: Api, runtime: Runtime, pin: Any) -> None:
    held = await card(runtime, api, pin=True)
    refused(await look_up(api, held.code, pin), 400, "InvalidRequest", "/data/attributes/pin")
    assert await tries(runtime, api, held.id) == (0, 0, None)


@pytest.mark.parametrize("pin", ["abcd", "١٢٣٤", " 1234", "1234 ", "-1", "1e3", "'; drop table", "0" * 20, "é"])
async def test_a_pin_of_whatever_text_is_just_wrong(api: Api, runtime: Runtime, pin: str) -> None:
    held = await card(runtime, api, pin=True)
    refused(await look_up(api, held.code, pin), 404, "CodeRefused")
    assert await tries(runtime, api, held.id) == (1, 0, None)


async def test_a_number_is_taken_from_the_body_only(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    assert (await api.get(f"gift-cards/lookup?code={held.code}")).status in {404, 405}
    refused(await api.post(f"gift-cards/lookup?code={held.code}", document_of("LookUpGiftCard")), 400, "InvalidRequest")
    refused(await api.post("gift-cards/lookup"), 415, "UnsupportedMediaType")
    refused(await look_up(api, held.code, balance=1), 400, "InvalidRequest", "/data/attributes/balance")
    refused(await api.post("gift-cards/lookup", document_of("GiftCard", code=held.code)), 409, "TypeConflict")


async def test_looking_changes_no_card(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    before = await row(runtime, api, held.id)
    await look_up(api, held.code, held.pin)
    await look_up(api, held.code, held.wrong_pin)
    assert await row(runtime, api, held.id) == before


def test_what_somebody_tried_does_not_show_in_a_traceback(api: Api) -> None:
    tried = CodeTried(asked(api), None, "7K3M-CANARY", "4711")
    assert "CANARY" not in repr(tried)
    assert "4711" not in repr(tried)
    assert isinstance(asked(api).request_id, UUID)
