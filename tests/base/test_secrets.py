"""Secrets: drawn evenly, recognised by their checksum, masked by default."""

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import secrets
from tallystick.base.work import Environment

ENVIRONMENTS = st.sampled_from(("sandbox", "production"))


@given(ENVIRONMENTS)
def test_secrets_and_tokens_say_what_they_are(environment: Environment) -> None:
    secret, token = secrets.new_secret(environment), secrets.new_token(environment)
    assert secret.startswith(f"tly_{environment}_")
    assert token.startswith(f"tly_at_{environment}_")
    assert secrets.well_formed(secret) == ("secret", environment)
    assert secrets.well_formed(token) == ("token", environment)
    for one in (secret, token):
        assert re.findall(secrets.SECRET_PATTERN, f'key="{one}",') == [one]
        assert len(one.rpartition("_")[2]) == 49


@given(st.data(), st.sampled_from(string.ascii_letters + string.digits + "_\u0661\u00e9\ud800\0"))
def test_no_other_character_anywhere_is_well_formed(data: st.DataObject, character: str) -> None:
    secret = secrets.new_secret("sandbox")
    at = data.draw(st.integers(0, len(secret) - 1))
    changed = secret[:at] + character + secret[at + 1 :]
    assert (secrets.well_formed(changed) is not None) == (changed == secret)


@given(st.text())
def test_no_text_makes_the_look_fail(text: str) -> None:
    assert secrets.well_formed(text) is None
    assert secrets.well_formed("tly_sandbox_" + text) is None
    assert secrets.mask(text) == "…"


def test_a_secret_is_not_well_formed_cut_or_lengthened_or_in_another_environment() -> None:
    secret = secrets.new_secret("sandbox")
    for changed in (
        secret[:-1],
        secret + "0",
        secret.replace("sandbox", "production"),
        secret.replace("tly_", "tly_at_"),
    ):
        assert secrets.well_formed(changed) is None


def test_every_character_is_drawn_equally_often() -> None:
    drawn = Counter("".join(secrets._drawn() for _ in range(3000)))
    assert len(drawn) == 62
    expected = 3000 * secrets.RANDOM_LENGTH / 62
    # Chi-squared with 61 degrees of freedom; 150 is passed once in a hundred million runs.
    assert sum((count - expected) ** 2 / expected for count in drawn.values()) < 150


def test_the_checksum_is_the_crc_32_of_all_before_it_in_base62() -> None:
    # 0xCBF43926 is the published check value of CRC-32 for these nine digits.
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    value = 0
    for character in secrets._checksum(b"123456789"):
        value = value * 62 + digits.index(character)
    assert value == 0xCBF43926
    assert len(secrets._checksum(b"")) == secrets.CHECKSUM_LENGTH


def test_a_masked_secret_shows_prefix_and_tail_only() -> None:
    secret = secrets.new_secret("production")
    assert secrets.mask(secret) == f"tly_production_…{secret[-4:]}"


@pytest.mark.parametrize("digits", [4, 6, 12])
def test_a_one_time_code_has_its_digits_leading_zeros_too(digits: int) -> None:
    codes = {secrets.new_code(digits) for _ in range(500)}
    assert {len(code) for code in codes} == {digits}
    assert all(re.fullmatch("[0-9]+", code) for code in codes)
    assert any(code.startswith("0") for code in codes)
