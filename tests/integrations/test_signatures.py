"""Signatures as the systems document them, held against what they published where they published something."""

import base64
import hashlib
import hmac

import pytest

from tallystick.integrations import lightspeed, shopify, square

# The sample that Square publishes with its own client libraries (square/square-python-sdk, tests of the webhooks helper).
SQUARE_KEY = b"Ibxx_5AKakO-3qeNVR61Dw"
SQUARE_URL = "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9"
SQUARE_SIGNATURE = "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4="
SQUARE_BODY = (
    b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification",'
    b'"event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z",'
    b'"data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}'
)


def test_squares_own_sample_is_signed() -> None:
    assert square.is_signed(SQUARE_KEY, SQUARE_URL, {square.SIGNATURE: SQUARE_SIGNATURE}, SQUARE_BODY)


@pytest.mark.parametrize(
    ("key", "url", "signature", "body"),
    [
        (b"MCmhFRxGX82xMwg5FsaoQA", SQUARE_URL, SQUARE_SIGNATURE, SQUARE_BODY),
        (SQUARE_KEY, SQUARE_URL + "/", SQUARE_SIGNATURE, SQUARE_BODY),
        (SQUARE_KEY, SQUARE_URL, "1z2n3DEJJiUPKcPzQo1ftvbxGdw=", SQUARE_BODY),
        (SQUARE_KEY, SQUARE_URL, SQUARE_SIGNATURE, SQUARE_BODY.replace(b"2022-07", b"2022-06")),
        (SQUARE_KEY, SQUARE_URL, SQUARE_SIGNATURE, SQUARE_BODY.replace(b",", b", ")),
        (SQUARE_KEY, SQUARE_URL, "", SQUARE_BODY),
    ],
)
def test_square_did_not_sign_anything_else(key: bytes, url: str, signature: str, body: bytes) -> None:
    assert not square.is_signed(key, url, {square.SIGNATURE: signature}, body)


def test_shopify_signs_the_body_with_the_secret_in_base64() -> None:
    secret, body = b"hush", b'{"id":1}'
    written = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
    assert shopify.is_signed(secret, "", {shopify.SIGNATURE: written}, body)
    assert not shopify.is_signed(secret, "", {shopify.SIGNATURE: written}, body + b" ")
    assert not shopify.is_signed(b"other", "", {shopify.SIGNATURE: written}, body)
    assert not shopify.is_signed(secret, "", {}, body)


def test_lightspeed_signs_the_form_as_it_was_sent() -> None:
    secret, body = b"hush", b"payload=%7B%7D&domain_prefix=cafeluna"
    digits = hmac.new(secret, body, hashlib.sha256).hexdigest()

    def is_signed(written: str, sent: bytes = body) -> bool:
        return lightspeed.is_signed(secret, "", {lightspeed.SIGNATURE: written}, sent)

    assert is_signed(f"signature={digits},algorithm=HMAC-SHA256")
    assert is_signed(f" algorithm=HMAC-SHA256 , signature={digits.upper()} ")
    assert not is_signed(f"signature={digits},algorithm=HMAC-MD5")
    assert not is_signed(f"signature={digits}")
    assert not is_signed("algorithm=HMAC-SHA256")
    assert not is_signed(f"signature={digits},algorithm=HMAC-SHA256", b"payload={}&domain_prefix=cafeluna")
    # The placeholder of the documentation is no signature of anything.
    assert not is_signed("signature=897hRT893qkA783M093ha903f,algorithm=HMAC-SHA256")
