"""Columns are sent once where all rows are alike."""

from collections.abc import Sequence

import pytest

from tallystick.base.columns import one_or_all, shortened


@pytest.mark.parametrize(
    ("column", "values", "one"),
    [
        (["a", "a", "a"], [], "a"),
        ([None, None], [], None),
        ([0], [], 0),
        (["a", "b", "a"], ["a", "b", "a"], None),
        (["a", None], ["a", None], None),
        ([None, "a"], [None, "a"], None),
        ([], [], None),
    ],
)
def test_a_column_comes_as_its_values_or_as_the_one_that_all_have(
    column: Sequence[object], values: Sequence[object], one: object
) -> None:
    sent, alike = one_or_all(column)
    assert (list(sent), alike) == (values, one)


def test_a_shortened_column_keeps_its_first_value_only_where_all_are_alike() -> None:
    assert shortened(["a", "a"]) == ["a"]
    assert shortened(["a", "b"]) == ["a", "b"]
    assert shortened(["a", "b", "a"]) == ["a", "b", "a"]
    assert shortened([]) == []
