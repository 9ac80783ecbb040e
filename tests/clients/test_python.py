"""The verifier for Python: whatever arrives, it answers or raises its one error."""

import base64
import builtins
import json
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.tallystick_webhooks import VerificationError, verify
from tallystick.webhooks import signing
from tallystick.webhooks.model import Signer
from tests.clients.vectors import CASES, NEW, NOW, OLD, PUBLIC, SEED, Case, v1, v1a

AT = datetime.fromtimestamp(NOW, UTC)
ID = "019a0000-0000-7000-8000-000000000001"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_delivery_is_taken_or_refused(case: Case) -> None:
    if case.verified:
        assert verify(case.body, case.headers, case.secrets, now=case.now) == json.loads(case.body)
    else:
        with pytest.raises(VerificationError):
            verify(case.body, case.headers, case.secrets, now=case.now)


@given(
    body=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=4),
    symmetric=st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3),
    seeds=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=2),
    place=st.integers(0, 100),
)
def test_what_the_house_signs_is_verified_by_each_of_its_secrets(
    body: dict[str, Any], symmetric: list[bytes], seeds: list[bytes], place: int
) -> None:
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    signer = Signer(tuple(symmetric), tuple(Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds))
    headers = signing.headers(signer, ID, AT, content)
    known = [
        *(signing.secret_text(each) for each in symmetric),
        *(signing.public_text(signing.public_key(seed)) for seed in seeds),
    ]
    assert verify(content, headers, known[place % len(known)], now=NOW + 3) == body


@given(st.data())
def test_a_single_changed_byte_is_found(data: st.DataObject) -> None:
    body = b'{"amount":500}'
    place = data.draw(st.integers(0, len(body) - 1))
    changed = body[:place] + bytes([body[place] ^ data.draw(st.integers(1, 255))]) + body[place + 1 :]
    headers = _headers(f"{v1(NEW, ID, str(NOW), body)} {v1a(SEED, ID, str(NOW), body)}")
    with pytest.raises(VerificationError):
        verify(changed, headers, [NEW, PUBLIC], now=NOW)


hostile = st.text(max_size=60) | st.text(alphabet="v1a,= +/" + string.ascii_letters + string.digits, max_size=60)


@given(
    body=st.binary(max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "Webhook-Id", "webhook-timestamp", "webhook-signature", "WEBHOOK-SIGNATURE"])
        | st.text(max_size=10),
        hostile | st.just(str(NOW)),
        max_size=5,
    ),
)
def test_whatever_arrives_nothing_but_its_own_error_is_raised(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(VerificationError):
        verify(body, headers, [NEW, PUBLIC], now=NOW)


@given(body=st.binary(max_size=40).filter(lambda body: b"{" not in body))
def test_a_signed_body_that_is_no_json_object_is_refused_with_its_error(body: bytes) -> None:
    for each in (body, b"[]", b"null", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(VerificationError, match="The body is no JSON"):
            verify(each, _headers(v1(NEW, ID, str(NOW), each)), NEW, now=NOW)


def test_names_of_headers_are_read_whatever_their_case_and_refused_twice() -> None:
    headers = _headers(v1(NEW, ID, str(NOW), b"{}"))
    upper = {name.title(): value for name, value in headers.items()}
    assert verify(b"{}", upper, NEW, now=NOW) == {}
    with pytest.raises(VerificationError, match="there twice"):
        verify(b"{}", headers | upper, NEW, now=NOW)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsk_" + "A" * 44,
        NEW[:-1],
        NEW[:20],
        OLD.removeprefix("whsec_"),
        PUBLIC[:-8],
        "whpk_é",
        [],
        [NEW, "x"],
    ],
)
def test_a_secret_that_is_none_is_the_receivers_mistake(secret: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"secret|public key"):
        verify(b"{}", _headers(v1(NEW, ID, str(NOW), b"{}")), secret, now=NOW)


def test_without_cryptography_a_secret_works_and_a_public_key_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really: Callable[..., Any] = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return really(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    headers = _headers(v1(NEW, ID, str(NOW), b"{}"))
    assert verify(b"{}", headers, NEW, now=NOW) == {}
    with pytest.raises(ImportError, match="pip install cryptography"):
        verify(b"{}", headers, PUBLIC, now=NOW)


def test_the_clock_is_the_one_of_the_machine_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = _headers(v1(NEW, ID, str(NOW), b"{}"))
    monkeypatch.setattr("time.time", lambda: NOW + 299.0)
    assert verify(b"{}", headers, NEW) == {}
    with pytest.raises(VerificationError):
        verify(b"{}", headers, NEW, tolerance_seconds=298)


@given(body=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), secret=st.binary(min_size=24, max_size=64))
def test_the_usual_library_agrees(body: dict[str, int], secret: bytes) -> None:
    text = "whsec_" + base64.b64encode(secret).decode()
    content = json.dumps(body).encode()
    at = datetime.now(UTC)
    theirs = standardwebhooks.Webhook(text).sign(ID, at, content.decode())
    headers = _headers(theirs, str(int(at.timestamp())))
    assert theirs == v1(text, ID, str(int(at.timestamp())), content)
    assert verify(content, headers, text) == standardwebhooks.Webhook(text).verify(content, dict(headers)) == body
    for wrong in (content + b" ", b"{"):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(text).verify(wrong, dict(headers))
        with pytest.raises(VerificationError):
            verify(wrong, headers, text)


def _headers(signature: str, timestamp: str = str(NOW)) -> dict[str, str]:
    return {"webhook-id": ID, "webhook-timestamp": timestamp, "webhook-signature": signature}
