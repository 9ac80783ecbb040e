"""Quotas and operators in a shell."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick.base.keys import MasterKeys
from tests.cli.running import tallystick, told


@pytest.fixture
def settings(dsn: str, keys: MasterKeys, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "master.key"
    keys.write_new(file)
    return {"TALLYSTICK_DATABASE_URL": dsn, "TALLYSTICK_MASTER_KEY_FILE": str(file)}


def line(**more: Any) -> Any:
    return {
        "metric": "rewards.value", "currency": "EUR", "period": "month", "timeZone": "Europe/Berlin", "included": 100,
        "beyond": "block", **more,
    }  # fmt: skip


def test_quotas_are_agreed_and_looked_at_in_a_shell(settings: dict[str, str], tmp_path: Path) -> None:
    programme = told("programmes", "add", "Southwind", settings=settings)["id"]
    partner = told("partners", "add", "Quayside", settings=settings)["id"]
    of = ("--partner", partner, "--programme", programme, "-e", "production")
    file = tmp_path / "lines.json"
    file.write_text(json.dumps([line()]))
    refused = tallystick("quotas", "set", *of, "--lines", file, settings=settings)
    assert refused.exit_code == 1 and "tallystick agreements add" in refused.stderr
    told("agreements", "add", "--partner", partner, "--programme", programme, settings=settings)
    made = told("quotas", "set", *of, "--lines", file, "--version", "0", settings=settings)
    assert (made["version"], made["versionInForce"], made["createdBy"]) == (1, 1, None)
    assert made["lines"][0]["included"] == 100
    again = tallystick("quotas", "set", *of, "--lines", file, "--version", "0", settings=settings)
    assert again.exit_code == 1 and "The last version is 1, not 0." in again.stderr
    later = (datetime.now(UTC) + timedelta(days=40)).isoformat("T", "milliseconds")
    told("quotas", "set", *of, "--lines", file, "--effective-from", later, settings=settings)
    shown = told("quotas", "show", *of, settings=settings)
    assert [(each["version"], each["versionInForce"]) for each in shown] == [(1, 1), (2, 1)]
    [used] = told("quotas", "usage", *of, settings=settings)
    assert (used["metric"], used["used"], used["included"]) == ("rewards.value", 0, 100)
    assert told("quotas", "overage", *of, "--since", "2026-01-01T00:00:00Z", settings=settings) == []
    assert "rewards.value" in tallystick("quotas", "usage", *of, settings=settings).stdout
    sandbox = ("--partner", partner, "--programme", programme)
    assert told("quotas", "show", *sandbox, settings=settings) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no list of quota lines"),
        ("{}", "is no list of quota lines"),
        (json.dumps([line(included="x")]), "is no list of quota lines"),
        (json.dumps([line(timeZone="x"), line()]), "timeZone: The time zone is a name of the IANA database"),
        (None, "cannot be read"),
    ],
)
def test_lines_that_make_no_sense_are_answered_by_a_sentence(
    settings: dict[str, str], tmp_path: Path, text: str | None, sentence: str
) -> None:
    programme = told("programmes", "add", "Southwind", settings=settings)["id"]
    partner = told("partners", "add", "Quayside", settings=settings)["id"]
    file = tmp_path / "lines.json"
    if text is not None:
        file.write_text(text)
    done = tallystick(
        "quotas", "set", "--partner", partner, "--programme", programme, "--lines", file, settings=settings
    )
    assert done.exit_code == 1
    assert sentence in done.stderr.replace("\n", " ")


def test_operators_come_and_go_in_a_shell(settings: dict[str, str]) -> None:
    made = told("operators", "add", "Noor", "--email", "noor@example.com", settings=settings)
    assert made["secret"].startswith("tly_operator_")
    listed = {each["id"]: each for each in told("operators", "list", settings=settings)}
    assert listed[made["id"]] == {name: value for name, value in made.items() if name != "secret"}
    gone = told("operators", "revoke", made["id"], settings=settings)
    assert gone["status"] == "revoked"
    assert told("operators", "revoke", made["id"], settings=settings) == gone
    wrong = tallystick("operators", "revoke", "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10", settings=settings)
    assert wrong.exit_code == 1 and "There is no such operator." in wrong.stderr
