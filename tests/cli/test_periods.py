"""Periods in a shell: closed by an operator, looked at before and after."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick.base.keys import MasterKeys
from tests.cli.running import tallystick, told

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"


@pytest.fixture
def settings(dsn: str, keys: MasterKeys, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "master.key"
    keys.write_new(file)
    return {"TALLYSTICK_DATABASE_URL": dsn, "TALLYSTICK_MASTER_KEY_FILE": str(file)}


@pytest.fixture
def within(settings: dict[str, str]) -> tuple[str, ...]:
    """The sandbox of a new programme."""
    return ("--programme", told("programmes", "add", "Southwind", settings=settings)["id"])


def now(ahead: timedelta = timedelta(0)) -> str:
    return (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds")


def prefunded(settings: dict[str, str], within: tuple[str, ...], paid: int) -> str:
    """The id of a merchant in whose books one journal stands."""
    place = ("--currency", "EUR", "--country", "DE", "--time-zone", "Europe/Berlin", "--funding", "prefunded")
    made = told("merchants", "add", "Café Luna", *within, *place, settings=settings)
    words = ("--amount", str(paid), "--reference", "bank-1")
    told("merchants", "top-up", made["id"], *words, *within, settings=settings)
    return str(made["id"])


def close(settings: dict[str, str], within: tuple[str, ...], merchant: str, until: str, *more: str) -> Any:
    return told("periods", "close", "--merchant", merchant, "--until", until, *within, *more, settings=settings)


def test_an_operator_looks_first_and_then_closes_what_was_shown(
    settings: dict[str, str], within: tuple[str, ...]
) -> None:
    luna, other = prefunded(settings, within, 700), prefunded(settings, within, 1)
    until = now()
    seen = close(settings, within, luna, until, "--dry-run")
    assert (seen["dryRun"], seen["status"], seen["number"], seen["entries"], seen["id"]) == (True, "open", 1, 2, None)
    assert sorted(seen["sums"].values()) == [-700, 700]
    assert told("periods", "list", *within, settings=settings) == []

    made = close(settings, within, luna, until)
    assert made["status"] == "closed"
    same = ("number", "merchantId", "startsAt", "endsAt", "entries", "sums", "inTransit", "digest")
    assert {name: made[name] for name in same} == {name: seen[name] for name in same}

    again = close(settings, within, luna, now())
    assert (again["number"], again["startsAt"], again["entries"]) == (2, made["endsAt"], 0)
    close(settings, within, other, now())
    listed = told("periods", "list", *within, settings=settings)
    assert [each["merchantId"] for each in listed] == [other, luna, luna]
    of_luna = told("periods", "list", "--merchant", luna, *within, settings=settings)
    assert [each["id"] for each in of_luna] == [again["id"], made["id"]]
    shown = tallystick("periods", "list", *within, settings=settings).stdout
    assert len(shown.splitlines()) == 4 and made["id"] in shown and "sums" not in shown


def test_who_does_not_wait_is_told_that_it_closes_and_the_next_look_finds_it(
    settings: dict[str, str], within: tuple[str, ...]
) -> None:
    luna = prefunded(settings, within, 700)
    assert close(settings, within, luna, now(), "--wait", "0")["status"] == "closing"
    words = ("periods", "close", "--merchant", luna, "--until", now(), *within)
    refused = tallystick(*words, settings=settings)
    assert refused.exit_code == 1 and "is being closed" in refused.stderr


@pytest.mark.parametrize("looking", [(), ("--dry-run",)])
def test_what_cannot_be_closed_is_refused_in_a_sentence_and_changes_nothing(
    settings: dict[str, str], within: tuple[str, ...], looking: tuple[str, ...]
) -> None:
    luna = prefunded(settings, within, 700)
    for merchant, until, sentence in (
        (NOBODY, now(), "There is no such merchant."),
        ("nonsense", now(), "nonsense is not an id"),
        (luna, "yesterday", "An instant is written as"),
        (luna, now(timedelta(days=1)), "what is to come cannot be closed"),
        (luna, now(-timedelta(days=1)), "The books begin at"),
    ):
        words = ("--merchant", merchant, "--until", until, *within, *looking)
        refused = tallystick("periods", "close", *words, settings=settings)
        assert refused.exit_code == 1, sentence
        assert sentence in refused.stderr
    elsewhere = tallystick("periods", "list", "--programme", NOBODY, settings=settings)
    assert elsewhere.exit_code == 1 and "There is no such programme." in elsewhere.stderr
    assert told("periods", "list", *within, settings=settings) == []
