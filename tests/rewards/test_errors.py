"""Every error of the contract as a partner meets it, and hostile values: always a clear 4xx at the right place, never a 500."""

import json
from typing import Any

import pytest

from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of
from tests.rewards.cast import OTHER_PHONE, cancel, configure, listed, refused, update

BASE = "/data/attributes"
NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"

WELL: dict[str, Any] = {
    "phoneNumber": "+12025550143",
    "amount": 500,
    "idempotencyKey": "k",
    "message": "Thank you!",
    "reasonCode": "CX",
    "costCenter": "4711",
    "notificationEmail": "agent@partner.example",
}


async def send(api: Api, **changed: Any) -> Answer:
    """A good request but for what is changed; `...` leaves an attribute out."""
    attributes = {name: value for name, value in {**WELL, **changed}.items() if value is not ...}
    return await api.post("rewards", document_of("IssueReward", **attributes))


async def test_an_invalid_request_is_400(api: Api) -> None:
    for wrong in ({"phoneNumber": "12"}, {"amount": 0}, {"notificationEmail": "nobody"}):
        (name,) = wrong
        refused(await send(api, **wrong), 400, "InvalidRequest", f"{BASE}/{name}")
    refused(await api.get("rewards"), 400, "InvalidRequest", "filter[phoneNumber]")


async def test_wallet_not_found_is_400(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, pre_issuing=False)
    refused(await send(api), 400, "WalletNotFound", f"{BASE}/phoneNumber")


async def test_multiple_active_wallets_is_400(api: Api) -> None:
    await api.wallet()
    await api.wallet()
    refused(await send(api), 400, "MultipleActiveWallets", f"{BASE}/phoneNumber")


async def test_wallet_not_issuable_is_409(api: Api) -> None:
    await api.post(f"wallets/{await api.wallet()}/suspend")
    refused(await send(api), 409, "WalletNotIssuable", f"{BASE}/phoneNumber")


async def test_pre_issued_conflict_is_409(api: Api) -> None:
    await send(api)
    refused(await send(api, idempotencyKey="l"), 409, "PreIssuedConflict", f"{BASE}/phoneNumber")


async def test_idempotency_conflict_is_409(api: Api) -> None:
    await send(api)
    refused(await send(api, amount=501), 409, "IdempotencyConflict", f"{BASE}/idempotencyKey")


async def test_not_found_is_404(api: Api) -> None:
    refused(await update(api, NOBODY, amount=1), 404, "NotFound")
    refused(await cancel(api, NOBODY), 404, "NotFound")


async def test_invalid_state_is_409(api: Api) -> None:
    await api.wallet(OTHER_PHONE)
    reward_id = (await send(api, phoneNumber=OTHER_PHONE)).data["id"]
    refused(await update(api, reward_id, amount=1), 409, "InvalidState")
    refused(await cancel(api, reward_id), 409, "InvalidState")


async def test_an_error_is_whole(api: Api) -> None:
    answer = await send(api, amount=0)
    (error,) = answer.body["errors"]
    assert {name: error[name] for name in ("status", "code", "source")} == {
        "status": "400",
        "code": "InvalidRequest",
        "source": {"pointer": f"{BASE}/amount"},
    }
    assert error["title"] and error["detail"] and error["id"]
    assert set(error["meta"]) == {"environment", "timestamp", "path", "requestId"}
    assert (error["meta"]["environment"], error["meta"]["path"]) == ("sandbox", "/api/v1/rewards")


NOT_TEXT: tuple[Any, ...] = (0, 1.5, True, [], {}, ["x"], {"x": 1}, 2**70)
NOT_AN_AMOUNT: tuple[Any, ...] = (
    *(0, -1, 2**31, 2**63, 2**64, -(2**63), 10**400),
    *(1.5, 500.0, 1e300, True, False, None),
    *("500", "", "🎉", "0x10", [], {}, [500], {"amount": 500}),
)
OPTIONAL = ("message", "reasonCode", "costCenter", "notificationEmail")
TOO_LONG = {
    "phoneNumber": "1" * 41,
    "idempotencyKey": "k" * 256,
    "message": "x" * 501,
    "reasonCode": "x" * 101,
    "costCenter": "x" * 101,
    "notificationEmail": "x@" + "y" * 300 + ".example",
}


@pytest.mark.parametrize("amount", NOT_AN_AMOUNT, ids=lambda value: ascii(value)[:20])
async def test_what_is_no_amount_is_told_there(api: Api, amount: Any) -> None:
    refused(await send(api, amount=amount), 400, "InvalidRequest", f"{BASE}/amount")
    reward_id = (await send(api)).data["id"]
    refused(await update(api, reward_id, amount=amount), 400, "InvalidRequest", f"{BASE}/amount")


@pytest.mark.parametrize("literal", ["1e2", "5E2", "500.00", "-0", "1e999", "-1e999", "9" * 5000])
async def test_an_amount_is_a_whole_number_as_it_is_written(api: Api, literal: str) -> None:
    raw = json.dumps(document_of("IssueReward", **{**WELL, "amount": 12345})).replace("12345", literal)
    refused(await api.post("rewards", raw=raw.encode()), 400, "InvalidRequest", f"{BASE}/amount")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "0500", "+500", "5_00", "0x1F4", "", "'500'"])
async def test_what_is_not_json_is_refused_as_a_whole(api: Api, literal: str) -> None:
    raw = json.dumps(document_of("IssueReward", **{**WELL, "amount": 12345})).replace("12345", literal)
    refused(await api.post("rewards", raw=raw.encode()), 400, "InvalidRequest", "")


@pytest.mark.parametrize("name", ["phoneNumber", "idempotencyKey", "merchantId", *OPTIONAL])
async def test_what_is_no_text_is_told_there(api: Api, name: str) -> None:
    for value in NOT_TEXT:
        refused(await send(api, **{name: value}), 400, "InvalidRequest", f"{BASE}/{name}")


@pytest.mark.parametrize("name", ["phoneNumber", "amount", "idempotencyKey"])
async def test_what_is_required_cannot_be_null_or_left_out(api: Api, name: str) -> None:
    refused(await send(api, **{name: None}), 400, "InvalidRequest", f"{BASE}/{name}")
    answer = await send(api, **{name: ...})
    refused(answer, 400, "InvalidRequest")
    assert answer.pointers in ([BASE], [f"{BASE}/{name}"])


@pytest.mark.parametrize("name", OPTIONAL)
async def test_what_is_optional_may_be_null_or_left_out(api: Api, name: str) -> None:
    answer = await send(api, **{name: None})
    assert (answer.status, answer.attributes[name]) == (200, None)
    assert (await send(api, **{name: ...})).text == answer.text


@pytest.mark.parametrize("name", TOO_LONG)
async def test_what_is_too_long_is_told_there(api: Api, name: str) -> None:
    refused(await send(api, **{name: TOO_LONG[name]}), 400, "InvalidRequest", f"{BASE}/{name}")


@pytest.mark.parametrize("name", ["phoneNumber", "idempotencyKey", *OPTIONAL])
@pytest.mark.parametrize("escaped", [r"\ud800", r"\udfff", r"\ude00\ud83d", r"\u0000", r"x\u0000y"])
async def test_a_nul_or_half_a_character_is_told_there(api: Api, name: str, escaped: str) -> None:
    raw = json.dumps(document_of("IssueReward", **{**WELL, name: "CANARY"})).replace("CANARY", escaped)
    refused(await api.post("rewards", raw=raw.encode()), 400, "InvalidRequest", f"{BASE}/{name}")


async def test_what_is_not_utf_8_is_refused(api: Api) -> None:
    raw = json.dumps(document_of("IssueReward", **WELL)).encode().replace(b"Thank", b"\xff\xfe")
    refused(await api.post("rewards", raw=raw), 400, "InvalidRequest")
    raw = json.dumps(document_of("IssueReward", **WELL)).encode("utf-16")
    refused(await api.post("rewards", raw=raw), 400, "InvalidRequest")


@pytest.mark.parametrize(
    "name", ["unknown", "Amount", "phone_number", "amount ", "🎉", "__proto__", "status", "walletId"]
)
async def test_an_unknown_attribute_is_told_there(api: Api, name: str) -> None:
    answer = await send(api, **{name: "x"})
    refused(answer, 400, "InvalidRequest", f"{BASE}/{name}")


async def test_a_name_that_stands_twice_is_refused(api: Api) -> None:
    raw = json.dumps(document_of("IssueReward", **WELL)).replace('"amount": 500', '"amount": 500, "amount": 1')
    refused(await api.post("rewards", raw=raw.encode()), 400, "InvalidRequest", f"{BASE}/amount")


async def test_thousands_of_members_are_told_up_to_a_hundred(api: Api) -> None:
    answer = await send(api, **{f"k{n}": n for n in range(10_000)})
    refused(answer, 400, "InvalidRequest")
    assert len(answer.codes) == 100


async def test_what_nests_a_thousand_deep_is_refused(api: Api) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = opening * 1000 + "1" + closing * 1000
        raw = json.dumps(document_of("IssueReward", **{**WELL, "message": 12345})).replace("12345", deep)
        refused(await api.post("rewards", raw=raw.encode()), 400, "InvalidRequest")
        refused(await api.post("rewards", raw=deep.encode()), 400, "InvalidRequest")


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_ten_megabytes_are_too_much(api: Api) -> None:
    refused(await api.post("rewards", raw=b'"' + b"x" * 10_000_000 + b'"'), 413, "PayloadTooLarge")
    refused(await api.post("reward-batches", raw=b'"' + b"x" * 10_000_000 + b'"'), 413, "PayloadTooLarge")


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"null", b"[]", b"7", b'"x"', b"{}", b'{"data":null}', b'{"data":[]}', b'{"data":{}}', b"\x00"),
        b'{"data":{"type":"IssueReward"}}',
        b'{"data":{"type":"IssueReward","attributes":null}}',
        b'{"data":{"type":"IssueReward","attributes":[]}}',
        b'{"data":{"type":7,"attributes":{}}}',
        b'{"data":{"type":"IssueReward","attributes":{}}}',
        json.dumps(document_of("IssueReward", **WELL)).encode()[:-20],
        json.dumps(document_of("IssueReward", **WELL)).encode() + b"{}",
    ],
)
async def test_what_is_no_document_is_refused(api: Api, raw: bytes) -> None:
    refused(await api.post("rewards", raw=raw), 400, "InvalidRequest")


async def test_another_type_is_a_conflict(api: Api) -> None:
    for kind in ("Reward", "issueReward", "", "🎉"):
        refused(await api.post("rewards", document_of(kind, **WELL)), 409, "TypeConflict", "/data/type")


async def test_all_faults_of_a_document_are_told_at_once(api: Api) -> None:
    answer = await send(api, phoneNumber=7, amount="x", idempotencyKey="", message=[], unknown=1)
    names = ("phoneNumber", "amount", "idempotencyKey", "message", "unknown")
    assert set(answer.pointers) == {f"{BASE}/{name}" for name in names}


@pytest.mark.parametrize("name", OPTIONAL)
async def test_an_update_is_held_against_the_same_rules(api: Api, name: str) -> None:
    reward_id = (await send(api)).data["id"]
    wrong: tuple[Any, ...] = (7, True, [], {}, TOO_LONG[name])
    for value in wrong:
        refused(await update(api, reward_id, **{name: value}), 400, "InvalidRequest", f"{BASE}/{name}")


@pytest.mark.parametrize("name", ["phoneNumber", "idempotencyKey", "merchantId", "status", "walletId"])
async def test_what_cannot_change_is_not_known_to_an_update(api: Api, name: str) -> None:
    reward_id = (await send(api)).data["id"]
    refused(await update(api, reward_id, **{name: "x"}), 400, "InvalidRequest", f"{BASE}/{name}")


async def test_nothing_hostile_left_a_trace(api: Api) -> None:
    for wrong in ({"amount": 2**31}, {"phoneNumber": ""}, {"message": 7}, {"unknown": 1}):
        refused(await send(api, **wrong), 400, "InvalidRequest")
    assert (await listed(api)).body["meta"]["total"] == 0
    assert (await send(api)).status == 200
