"""What is written and read by position stands in one order everywhere: neighbours of one type would be swapped in silence."""

import re
from dataclasses import fields

import pytest

from tallystick.activity import outcome_store
from tallystick.rewards import store as reward_store
from tallystick.rewards.model import Reward


def _names(text: str) -> list[str]:
    return [re.sub(r"^\w+\.", "", name.strip()) for name in text.split(",")]


def _insert(sql: str) -> tuple[list[str], list[str]]:
    """The columns that an insert fills, and the names of the columns that it is given."""
    into, given = (
        re.search(r"insert into \w+ \((.+?)\)", sql, re.DOTALL),
        re.search(r"\) as \w+ \((.+?)\)", sql, re.DOTALL),
    )
    assert into is not None and given is not None
    return _names(into[1]), _names(given[1])


def test_an_outcome_is_written_and_read_in_the_order_of_its_fields() -> None:
    known = [field.name for field in fields(outcome_store.Outcome)]
    into, given = _insert(outcome_store.INSERT)
    assert (_names(outcome_store.COLUMNS), into, given) == (known, ["tenant_id", *known], known)


def test_a_reward_is_read_in_the_order_of_its_fields() -> None:
    assert _names(reward_store.COLUMNS) == list(Reward.__struct_fields__)


def test_a_new_reward_is_given_column_by_column_in_the_order_of_its_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is its own column's name, so that what is deferred tells where it goes."""

    class Work:
        deferred: tuple[object, ...] = ()
        tenant = type("Tenant", (), {"id": "tenant_id"})
        now = "now"

        def defer(self, _step: object, *args: object) -> None:
            self.deferred = args

    named = type("Reward", (), {name: name for name in Reward.__struct_fields__})
    work = Work()
    reward_store.insert(work, [reward_store.NewReward(named, "private_sealed", "answer_sealed")])  # type: ignore[arg-type]
    _, given = _insert(reward_store.INSERT.expressions[0][1])
    assert [column[0] for column in work.deferred[2:]] == given  # type: ignore[index]
