"""A process that reads a file is killed, wherever it just is: who comes after it goes on, and every line counts once."""

import asyncio
import io
import json
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tests.api import Api
from tests.conftest import Clock
from tests.imports.cast import read, shown, upload

ROOT = Path(__file__).parents[2]
COUNT = 2_000
AT = "2026-03-01T12:00:00Z"
STORED = "select count(*), count(distinct source_id), sum(amount) from activities where tenant_id = $1"


def lines() -> list[dict[str, object]]:
    return [{"sourceId": f"r-{n}", "occurredAt": AT, "amount": n} for n in range(COUNT)]


def file(kind: str) -> bytes:
    if kind == "ndjson":
        return "\n".join(json.dumps(each) for each in lines()).encode()
    if kind == "csv":
        return b"sourceId,occurredAt,amount\n" + b"".join(b"r-%d,%s,%d\n" % (n, AT.encode(), n) for n in range(COUNT))
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(lines()), written, row_group_size=300)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
async def test_a_killed_process_is_followed_by_another_behind_its_last_chunk(
    api: Api, runtime: Runtime, auditor: Db, dsn: str, keys: MasterKeys, clock: Clock, tmp_path: Path, kind: str
) -> None:
    keys.write_new(tmp_path / "master.key")
    import_id = await upload(api, file(kind), part_bytes=10_000, format=kind)
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.imports.dying", dsn, str(tmp_path / "master.key"), cwd=ROOT
    )
    async with asyncio.timeout(30):
        while (await shown(api, import_id))["accepted"] == 0:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
    dying.kill()
    await dying.wait()
    left = await shown(api, import_id)
    assert left["status"] == "running" and 0 < left["accepted"] < COUNT
    # Its lease, which it took by the machine's own clock, is over by this one.
    clock.move(timedelta(days=400))
    await read(runtime)
    done = await shown(api, import_id)
    assert (done["status"], done["accepted"], done["duplicates"], done["rejected"]) == ("completed", COUNT, 0, 0)
    row = await auditor.row(STORED, api.tenant.id)
    assert row is not None and tuple(row) == (COUNT, COUNT, COUNT * (COUNT - 1) // 2)
