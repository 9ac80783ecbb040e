"""The numbers of gift cards: drawn at random, read as people type them, and every slip of the finger found."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant
from tallystick.giftcards import codes

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
drawn = st.builds(codes.new)
places = st.integers(0, codes.LENGTH - 1)


@given(drawn)
def test_a_number_has_twenty_characters_in_five_groups_and_is_well_formed(code: str) -> None:
    assert len(code) == 20 and set(code) <= set(ALPHABET)
    assert codes.well_formed(code)
    assert codes.written(code) == "-".join(code[start : start + 4] for start in (0, 4, 8, 12, 16))
    assert codes.tail(code) == code[-4:]


@given(drawn, places, st.sampled_from(ALPHABET))
def test_every_single_mistyped_character_is_found(code: str, place: int, typed: str) -> None:
    mistyped = code[:place] + typed + code[place + 1 :]
    assert codes.well_formed(mistyped) == (typed == code[place])


@given(drawn)
def test_every_swap_of_two_characters_is_found(code: str) -> None:
    for left in range(codes.LENGTH):
        for right in range(left + 1, codes.LENGTH):
            if code[left] != code[right]:
                swapped = list(code)
                swapped[left], swapped[right] = swapped[right], swapped[left]
                assert not codes.well_formed("".join(swapped)), (code, left, right)


@given(drawn)
def test_a_number_is_read_in_any_case_with_spaces_and_hyphens_and_with_letters_that_look_like_digits(
    code: str,
) -> None:
    typed = code.replace("0", "o").replace("1", "l").lower()
    assert codes.canonical(typed) == code
    assert codes.canonical(code.replace("0", "O").replace("1", "I")) == code
    assert codes.canonical(f"  {codes.written(code).lower()} ") == code
    assert codes.canonical(" ".join(code)) == code


@given(st.text(max_size=130))
def test_any_text_at_all_is_read_as_a_number_or_as_none(text: str) -> None:
    found = codes.canonical(text)
    assert found is None or codes.well_formed(found)


def test_what_is_no_number_is_none() -> None:
    code = codes.new()
    for wrong in (
        "",
        code[:-1],
        code + "0",
        code.replace(code[3], "U"),
        "\u0131" * 20,
        code + " " * 100,
        "\u017f" * 20,
    ):
        assert codes.canonical(wrong) is None


def test_numbers_are_random_in_every_place() -> None:
    many = [codes.new() for _ in range(2_000)]
    assert len(set(many)) == 2_000
    for place in range(codes.LENGTH):
        assert {code[place] for code in many} == set(ALPHABET)


def test_the_check_character_is_the_one_of_the_books() -> None:
    # The polynomial over GF(32) with x⁵ + x² + 1 vanishes at 2: worked out by hand for one short and one long number.
    assert codes.well_formed("0" * 18 + "12")
    assert codes.well_formed("0" * 20)
    assert not codes.well_formed("0" * 18 + "13")
    # 16 times the root is 32, which the polynomial makes 5.
    assert codes.well_formed("0" * 18 + "G5")


def test_pins_have_four_to_eight_digits() -> None:
    pins = {codes.new_pin() for _ in range(500)}
    assert len(pins) > 450
    assert all(codes.well_formed_pin(pin) and len(pin) == 6 for pin in pins)
    for wrong in ("", "123", "123456789", "12a4", "١٢٣٤", "1234\n", " 1234"):
        assert not codes.well_formed_pin(wrong)


async def test_equal_pins_of_two_cards_and_equal_numbers_of_two_tenants_look_unlike(
    runtime: Runtime, tenant: Tenant, production: Tenant
) -> None:
    code, first, second = codes.new(), ids.new(), ids.new()
    async with runtime.work(tenant) as work:
        mine = codes.index(work, code)
        assert mine == codes.index(work, code)
        assert codes.pin_digest(work, first, "123456") != codes.pin_digest(work, second, "123456")
        assert codes.seal(work, first, code) != codes.seal(work, first, code)
        assert codes.unseal(work, first, codes.seal(work, first, code)) == code
        assert codes.unseal_pin(work, UUID(int=7), codes.seal_pin(work, UUID(int=7), "0042")) == "0042"
    async with runtime.work(production) as work:
        assert codes.index(work, code) != mine
