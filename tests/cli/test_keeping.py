"""Reviews of agreements, and what is kept of events, in a shell."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tallystick.base import clock, ids
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tests.cli.running import tallystick, told

OLD = datetime(2025, 1, 15, 12, tzinfo=UTC)
NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"


@pytest.fixture
async def settings(fresh: Callable[[], Any], keys: MasterKeys, tmp_path: Path) -> dict[str, str]:
    """A database of its own, ready for the house."""
    file, dsn = tmp_path / "master.key", await fresh()
    keys.write_new(file)
    await migrate(dsn)
    return {"TALLYSTICK_DATABASE_URL": dsn, "TALLYSTICK_MASTER_KEY_FILE": str(file)}


def test_an_agreement_that_was_reviewed_is_due_in_a_year_or_when_it_is_said(settings: dict[str, str]) -> None:
    programme = told("programmes", "add", "Southwind", settings=settings)["id"]
    partner = told("partners", "add", "Quayside Support", settings=settings)["id"]
    made = told("agreements", "add", "--partner", partner, "--programme", programme, settings=settings)
    reviewed = told("agreements", "reviewed", made["id"], settings=settings)
    due = clock.parse_instant(reviewed["reviewDueAt"]) - datetime.now(UTC)
    assert timedelta(days=364) < due < timedelta(days=367)
    said = told("agreements", "reviewed", made["id"], "--due", "2029-06-30T00:00:00Z", settings=settings)
    assert said["reviewDueAt"] == "2029-06-30T00:00:00.000Z"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((NOBODY,), "There is no such agreement"),
        (("nonsense",), "nonsense is not an id"),
        ((NOBODY, "--due", "soon"), "An instant is written as"),
    ],
)
def test_a_review_of_nothing_is_answered_by_a_sentence(
    settings: dict[str, str], words: tuple[str, ...], sentence: str
) -> None:
    done = tallystick("agreements", "reviewed", *words, settings=settings)
    assert done.exit_code != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


async def test_retention_tells_first_what_it_would_forget(settings: dict[str, str]) -> None:
    connection = await asyncpg.connect(settings["TALLYSTICK_DATABASE_URL"])
    try:
        await connection.fetch("select partitions_ensure($1)", OLD)
        programme = await asyncio.to_thread(told, "programmes", "add", "Southwind", settings=settings)
        tenant = await connection.fetchval("select id from tenants limit 1")
        assert programme["id"]
        await connection.execute(
            "insert into events (tenant_id, position, id, topic, subject_type, subject_id, sequence, at, recorded_at, document)"
            " values ($1, 1, $2, 'merchant.updated', 'Merchant', $2, 1, $3, $3, '{}')", tenant, ids.new(), OLD,
        )  # fmt: skip
        await connection.execute("update tenant_heads set position = 1 where tenant_id = $1", tenant)
        seen = await asyncio.to_thread(told, "retention", "--dry-run", settings=settings)
        assert seen == {"forgotten": [{"partition": "events_2025_01", "events": 1}], "dryRun": True}
        assert await connection.fetchval("select count(*) from events") == 1
        done = await asyncio.to_thread(tallystick, "retention", settings=settings)
        assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "forgot events_2025_01: 1 events")
        assert await connection.fetchval("select count(*) from events") == 0
        again = await asyncio.to_thread(tallystick, "retention", settings=settings)
        assert "nothing is old enough" in again.stdout
    finally:
        await connection.close()
