"""Ids: what a UUIDv7 holds, and which texts are one."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids


@given(st.integers(0, ids.MS_LIMIT - 1))
def test_an_id_is_a_uuid_of_version_7_that_holds_its_millisecond(at_ms: int) -> None:
    made = ids.new(at_ms)
    assert isinstance(made, uuid.UUID)
    # The standard library reads it without us.
    read = uuid.UUID(bytes=made.bytes)
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == at_ms
    assert made == read
    assert hash(made) == hash(read)


def test_an_id_without_an_instant_is_made_now() -> None:
    before = time.time_ns() // 1_000_000
    made = ids.new()
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_of_one_millisecond_differ_in_74_bits() -> None:
    made = [ids.new(1).int for _ in range(2000)]
    assert len(set(made)) == 2000
    ever_set, ever_clear = 0, 0
    for one in made:
        ever_set |= one
        ever_clear |= ~one
    assert (ever_set & ever_clear & (2**128 - 1)).bit_count() == 74


@pytest.mark.parametrize("at_ms", [-1, ids.MS_LIMIT])
def test_an_instant_beyond_48_bits_is_refused(at_ms: int) -> None:
    with pytest.raises(ValueError, match="between 1970"):
        ids.new(at_ms)


@given(st.uuids())
def test_canonical_text_of_any_version_and_either_case_is_read(value: uuid.UUID) -> None:
    assert ids.parse(str(value)) == value
    assert ids.parse(str(value).upper()) == value


@given(st.text())
def test_no_text_makes_parse_fail_and_only_canonical_text_is_read(text: str) -> None:
    read = ids.parse(text)
    assert read is None or str(read) == text.lower()


@given(st.uuids(), st.integers(0, 35), st.characters())
def test_one_changed_character_is_another_id_or_none(value: uuid.UUID, at: int, character: str) -> None:
    text = str(value)
    changed = text[:at] + character + text[at + 1 :]
    read = ids.parse(changed)
    assert read is None or str(read) == changed.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "497f6eca627649938bfeb53cbbbba6f08",
        "497f6eca62764993bfeb53cbbbba6f08",
        "{497f6eca-6276-4993-bfeb-53cbbbba6f08}",
        "urn:uuid:497f6eca-6276-4993-bfeb-53cbbbba6f08",
        " 497f6eca-6276-4993-bfeb-53cbbbba6f08",
        "497f6eca-6276-4993-bfeb-53cbbbba6f0",
        "497f6eca-6276-4993-bfeb-53cbbbba6f0-",
        "497f6eca-6276-4993-bfeb-53cbbbba6f0\0",
        "497f6eca-6276-4993-bfeb-53cbbbba6f0\u0661",
        "497f6eca-6276-4993-bfeb-53cbbbba6f0\ud800",
        "497f6eca-6276-4993-bfeb-53cbbbb\U0001f600",
        "497f6eca6-276-4993-bfeb-53cbbbba6f08",
        "497f6eca-62764-993-bfeb-53cbbbba6f08",
        "497f6eca-6276-4993b-feb-53cbbbba6f08",
        "497f6eca-6276-4993-bfe-b53cbbbba6f08",
        "--------------------------------------",
    ],
)
def test_what_is_not_canonical_is_no_id(text: str) -> None:
    assert ids.parse(text) is None
