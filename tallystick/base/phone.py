"""Phones: any common way of writing a number → E.164, by libphonenumber.

A number is taken when libphonenumber says it is *possible*: its length fits the numbering plan of its calling code.
Plain international numbers take a fast path built from the library's own metadata; the rest is left to the library.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, NumberParseException, PhoneMetadata, PhoneNumberFormat

LENGTH_MAX = 40
"""Characters of text that may write a number."""

# What surrounds a number copied from a contact list: white space, marks of writing direction.
_AROUND = " \t\r\n\u00a0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
# The library's own punctuation without `x`, `~`, `#` and letters, which write extensions and vanity numbers. The
# library would also search prose for a number and guess; here every character is one that belongs to a number.
_MARKS = r"\-\u2010-\u2015\u2212\u30fc\uff0d-\uff0f \u00a0\u00ad\u200b\u2060\u3000()\uff08\uff09\uff3b\uff3d.\[\]/"
_NUMBER = re.compile(rf"[{_MARKS}]*[+\uff0b]?[\d{_MARKS}]+")
_PLAIN = re.compile(r"\+[1-9][0-9]{2,20}")
_SIMPLE_MARKS = str.maketrans("", "", " -().")


class ImpossiblePhone(ValueError):
    """The text is not a possible phone number. The sentence is for people and never repeats the text."""


def normalise(text: str, country: str | None) -> str:
    """The number in E.164. Raises ImpossiblePhone.

    `text` is international (`+…`), or written as dialled in `country` (ISO 3166-1 alpha-2), with `00` and the like.
    """
    if len(text) > LENGTH_MAX:
        raise ImpossiblePhone(f"A phone number has at most {LENGTH_MAX} characters.")
    plain = text if text[:1] == "+" and text[1:].isdigit() else text.translate(_SIMPLE_MARKS)
    return _plainly(plain) or _by_library(text, country)


def mask(e164: str) -> str:
    """The number for logs and screens: calling code and last two digits, always seven stars (`+1*******67`)."""
    plan = _plan(e164[1:4]) if _PLAIN.fullmatch(e164) else None
    return f"{e164[: 1 + plan.code_length]}*******{e164[-2:]}" if plan else "*******"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the library knows of one calling code, as far as a plain number needs it."""

    code_length: int
    lengths: frozenset[int]
    """Possible lengths of the whole text: `+`, calling code, national number."""
    rewritten: re.Pattern[str] | None
    """National numbers that begin so may be rewritten by the library (`+4407…`, `+549…`)."""


def _plainly(text: str) -> str | None:
    """`text` itself when it is certain that the library would answer just that, else None."""
    if _PLAIN.fullmatch(text) is None:
        return None
    plan = _plan(text[1:4])
    if plan is None or len(text) not in plan.lengths:
        return None
    begin = plan.code_length + 1
    if text[begin] == "0" or (plan.rewritten is not None and plan.rewritten.match(text, begin)):
        return None
    return text


# At most a thousand keys of three digits: nothing is kept that could name a person.
@lru_cache(maxsize=1000)
def _plan(digits: str) -> _Plan | None:
    """The plan of the calling code that a number beginning with these three digits has. No code begins another."""
    for length in (1, 2, 3):
        code = int(digits[:length])
        if code in COUNTRY_CODE_TO_REGION_CODE:
            region = phonenumbers.region_code_for_country_code(code)
            metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            assert metadata is not None, "every calling code has metadata"
            general = metadata.general_desc
            assert general is not None, "every calling code has lengths"
            prefix = metadata.national_prefix_for_parsing
            lengths = frozenset(1 + length + n for n in general.possible_length)
            return _Plan(length, lengths, re.compile(prefix) if prefix else None)
    return None


def _by_library(text: str, country: str | None) -> str:
    text = text.strip(_AROUND)
    if _NUMBER.fullmatch(text) is None:
        raise ImpossiblePhone("A phone number has digits only, such as +15551234567: no letters and no extension.")
    try:
        number = phonenumbers.parse(text, country and country.upper())
    except NumberParseException as error:
        raise ImpossiblePhone(_sentence(error, country)) from None
    # The library calls a number possible, too, that lacks its area code.
    if number.extension or not phonenumbers.is_possible_number(number):
        raise ImpossiblePhone("No phone number of that country has this length; check the digits.")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _sentence(error: NumberParseException, country: str | None) -> str:
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        return (
            "The phone number does not begin with a known calling code."
            if country
            else "The phone number needs its calling code, such as +15551234567."
        )
    return "The text is not a possible phone number; write it as +15551234567."
