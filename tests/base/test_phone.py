"""Phones: every way of writing one number is that number; the fast path never differs from libphonenumber."""

import random
import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat

from tallystick.base import phone
from tallystick.base.phone import ImpossiblePhone

CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
E164 = re.compile(r"\+[1-9][0-9]{4,19}")


def by_library(text: str, country: str | None = None) -> str | None:
    """What libphonenumber itself makes of the text."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def by_us(text: str, country: str | None = None) -> str | None:
    try:
        return phone.normalise(text, country)
    except ImpossiblePhone:
        return None


@settings(max_examples=1500)
@given(st.sampled_from(CODES), st.from_regex(r"[0-9]{1,18}", fullmatch=True), st.sampled_from([None, *REGIONS]))
@example(44, "07912345678", "GB")
@example(39, "0612345678", None)
@example(54, "91123456789", None)
@example(52, "15551234567", "MX")
@example(1, "15551234567", "US")
@example(55, "01511961234567", None)
@example(7, "88005553535", None)
def test_a_plain_number_is_what_the_library_says(code: int, national: str, country: str | None) -> None:
    assert by_us(f"+{code}{national}", country) == by_library(f"+{code}{national}", country)


def test_plain_numbers_of_every_calling_code_and_length_are_what_the_library_says() -> None:
    drawn = random.Random(7)
    fast = 0
    for code in CODES:
        for length in range(1, 19):
            text = f"+{code}{drawn.randrange(10**length):0{length}d}"
            assert by_us(text) == by_library(text), text
            fast += phone._plainly(text) is not None
    # The comparison is worth something only while many of these take the fast path.
    assert fast > 500


@settings(max_examples=1000)
@given(st.from_regex(r"\+[0-9]{1,20}", fullmatch=True))
def test_any_digits_after_a_plus_are_what_the_library_says(text: str) -> None:
    assert by_us(text) == by_library(text)


@settings(max_examples=500)
@given(
    st.from_regex(r"[ ()\-.]{0,2}\+?[0-9 ()\-./\u00a0\u2011\uff0d\uff10-\uff19\u0660-\u0669]{1,24}", fullmatch=True),
    st.sampled_from(REGIONS),
)
def test_marks_and_other_digits_are_read_as_the_library_reads_them(text: str, country: str) -> None:
    if len(text) <= phone.LENGTH_MAX:
        assert by_us(text, country) == by_library(text, country)


@given(st.text(max_size=50), st.sampled_from([None, "US", "de", "IT", "ZZ", ""]))
def test_any_text_is_a_number_in_e164_or_refused(text: str, country: str | None) -> None:
    read = by_us(text, country)
    assert read is None or E164.fullmatch(read)


@given(st.sampled_from(CODES), st.from_regex(r"[1-9][0-9]{5,11}", fullmatch=True))
def test_a_number_once_normal_stays_as_it_is(code: int, national: str) -> None:
    once = by_us(f"+{code}{national}")
    assert once is None or by_us(once) is None or by_us(by_us(once) or "") == by_us(once)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+15551234567", None),
        ("+1 (555) 123-4567", None),
        ("(+1) 555.123.4567", None),
        ("\uff0b\uff11\uff15\uff15\uff15\uff11\uff12\uff13\uff14\uff15\uff16\uff17", None),
        ("\u202a+1 555 123 4567\u202c", None),
        ("\t+1\u00a0555\u00a0123\u20114567\n", None),
        ("5551234567", "US"),
        ("(555) 123-4567", "us"),
        ("1-555-123-4567", "US"),
        ("011 1 555 123 4567", "US"),
        ("001 555 123 4567", "DE"),
        ("+15551234567", "DE"),
        ("+15551234567", "nowhere"),
    ],
)
def test_every_way_of_writing_one_number_is_that_number(text: str, country: str | None) -> None:
    assert phone.normalise(text, country) == "+15551234567"


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("06 1234 5678", "IT", "+390612345678"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("0171 1234567", "DE", "+491711234567"),
        ("+44 (0) 7912 345678", None, "+447912345678"),
        ("+4407912345678", None, "+447912345678"),
        ("\u0660\u0661\u0667\u0661 \u0661\u0662\u0663\u0664\u0665\u0666\u0667", "DE", "+491711234567"),
    ],
)
def test_national_numbers_follow_the_rules_of_their_country(text: str, country: str | None, number: str) -> None:
    assert phone.normalise(text, country) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++15551234567",
        "+1555",
        "+155512345678901",
        "+09991234567",
        "+2101234567890",
        "1+5551234567",
        "+1555+1234567",
        "+1 555 CALL NOW",
        "1-800-FLOWERS",
        "+15551234567 ext. 12",
        "+15551234567x12",
        "+15551234567;ext=12",
        "+15551234567#12",
        "+15551234567~12",
        "tel:+15551234567",
        "*67 555 123 4567",
        "+1555123456\0",
        "\0+15551234567",
        "+1555123456\U0001f600",
        "+1555123456\ud800",
        "+1555\n1234567",
        "call +15551234567",
        "+15551234567" + " " * 40,
        "+1" + "5" * 300,
        "()-. ",
    ],
)
def test_what_is_no_possible_number_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ImpossiblePhone) as refused:
        phone.normalise(text, "US")
    digits = re.sub(r"\D", "", text)
    assert len(digits) < 6 or digits not in str(refused.value).replace("+15551234567", "")


def test_a_national_number_needs_a_country() -> None:
    with pytest.raises(ImpossiblePhone, match="calling code"):
        phone.normalise("5551234567", None)


@pytest.mark.parametrize(
    ("e164", "masked"),
    [
        ("+15551234567", "+1*******67"),
        ("+390612345678", "+39*******78"),
        ("+3545551234", "+354*******34"),
        ("not a number", "*******"),
        ("", "*******"),
        ("+2101234567890", "*******"),
    ],
)
def test_a_masked_number_keeps_calling_code_and_two_digits(e164: str, masked: str) -> None:
    assert phone.mask(e164) == masked
