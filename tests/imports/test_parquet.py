"""Parquet: the rows of a file, of whatever types, each once; and files that are none."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.base.work import Runtime
from tallystick.imports import carrying, columnar, running
from tallystick.imports.chunks import Pace
from tests.api import Api
from tests.conftest import Clock
from tests.imports.cast import AT, read, rejections, sent, shown, upload

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parquet(columns: Mapping[str, Sequence[Any] | pa.Array], **options: Any) -> bytes:
    """A file of these columns."""
    written = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), written, **options)
    return written.getvalue()


def sales(count: int, **more: Any) -> dict[str, Any]:
    return {
        "sourceId": [f"r-{n}" for n in range(count)],
        "occurredAt": [NOON] * count,
        "amount": list(range(1, count + 1)),
        **more,
    }


async def amounts(api: Api) -> list[int]:
    found = (await api.get("external-transactions?page[limit]=50")).data
    return sorted(each["attributes"]["amount"] for each in found)


async def test_rows_are_taken_once_each(api: Api, runtime: Runtime) -> None:
    file = parquet(sales(30), row_group_size=7)
    done = await sent(api, runtime, file, format="parquet", part_bytes=333)
    assert (done["status"], done["accepted"], done["linesDone"], done["percent"]) == ("completed", 30, 30, 100)
    assert await amounts(api) == list(range(1, 31))
    again = await sent(api, runtime, file, format="parquet")
    assert (again["accepted"], again["duplicates"]) == (0, 30)


@pytest.mark.parametrize(
    ("field", "column", "expected"),
    [
        ("amount", pa.array([150], pa.int16()), 150),
        ("amount", pa.array([Decimal("150.00")], pa.decimal128(9, 2)), 150),
        ("amount", pa.array([150.0], pa.float64()), 150),
        ("amount", pa.array(["150"]), 150),
        ("amount", pa.array(["150"]).dictionary_encode(), 150),
        ("sourceId", pa.array([4711], pa.int64()), 150),
        ("sourceId", pa.array([b"4711"], pa.binary()), 150),
        ("occurredAt", pa.array([NOON], pa.timestamp("ns", "UTC")), 150),
        ("occurredAt", pa.array([NOON], pa.timestamp("ms", "America/New_York")), 150),
        ("occurredAt", pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")), 150),
        ("occurredAt", pa.array([date(2026, 3, 1)], pa.date32()), 150),
    ],
)
async def test_values_of_every_kind_are_read(
    api: Api, runtime: Runtime, field: str, column: Any, expected: int
) -> None:
    file = parquet({**sales(1, amount=[150]), field: column})
    done = await sent(api, runtime, file, format="parquet", timeZone="Europe/Berlin")
    assert (done["status"], done["accepted"]) == ("completed", 1), await shown(api, done["id"])
    assert await amounts(api) == [expected]


@pytest.mark.parametrize(
    "amount",
    [
        pa.array([1.5]), pa.array([float("nan")]), pa.array([float("inf")]), pa.array([-1]), pa.array([True]), pa.array([None]),
        pa.array([Decimal("1.25")]), pa.array([10**12]), pa.array(["many"]),
    ],
)  # fmt: skip
async def test_a_row_that_says_nonsense_harms_no_other(api: Api, runtime: Runtime, amount: Any) -> None:
    good = pa.table(sales(1, sourceId=["good"], amount=pa.array([7], pa.int64())))
    bad = pa.table(sales(1, amount=amount))
    written = io.BytesIO()
    kind = amount.type if amount.type != pa.null() else pa.int64()
    both = pa.concat_tables(
        [bad.set_column(2, "amount", amount.cast(kind)), bad.set_column(2, "amount", amount.cast(kind))]
    )
    pq.write_table(both.slice(0, 1), written)
    done = await sent(api, runtime, written.getvalue(), format="parquet")
    assert (done["accepted"], done["rejected"]) == (0, 1)
    assert await rejections(api, done["id"]) == [(1, "InvalidRequest")]
    pq.write_table(good, fine := io.BytesIO())
    assert (await sent(api, runtime, fine.getvalue(), format="parquet"))["accepted"] == 1


async def test_columns_may_have_names_of_their_own_and_others_are_left_alone(api: Api, runtime: Runtime) -> None:
    file = parquet({"beleg": ["r-1"], "zeit": [AT], "amount": [150], "note": ["Kim"], "nested": [[1, 2]]})
    done = await sent(api, runtime, file, format="parquet", columns={"sourceId": "beleg", "occurredAt": "zeit"})
    assert (done["status"], done["accepted"]) == ("completed", 1), done


async def test_who_is_killed_leaves_a_mark_between_rows(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(Pace, "took", lambda *_: None)
    monkeypatch.setattr(Pace, "__init__", lambda self: setattr(self, "size", 4))
    import_id = await upload(api, parquet(sales(30), row_group_size=9), format="parquet")
    carried, real = 0, carrying.carry_out

    async def dying(*args: Any, **more: Any) -> Any:
        nonlocal carried
        carried += 1
        if carried > 3:
            raise ConnectionResetError
        return await real(*args, **more)

    monkeypatch.setattr(carrying, "carry_out", dying)
    with pytest.raises(ConnectionResetError):
        await running.go_on(runtime, api.tenant, UUID(import_id))
    assert (await shown(api, import_id))["linesDone"] == 12
    monkeypatch.setattr(carrying, "carry_out", real)
    clock.move(carrying.LEASE)
    await read(runtime)
    done = await shown(api, import_id)
    assert (done["status"], done["accepted"], done["duplicates"], done["linesDone"]) == ("completed", 30, 0, 30)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PAR1", "cannot be read as Parquet"),
        (b"not at all", "cannot be read as Parquet"),
        (parquet(sales(3))[:-20], "cannot be read as Parquet"),
        (parquet(sales(3))[:200] + bytes(100) + parquet(sales(3))[300:], "cannot be read as Parquet"),
        (parquet({"sourceId": ["a"]}), "occurredAt"),
        (parquet(sales(1, amount=[[1]])), "one value"),
        (parquet({f"c{n}": [1] for n in range(1_001)}), "columns"),
    ],
)
async def test_a_file_that_is_none_fails_with_a_reason(api: Api, runtime: Runtime, content: bytes, said: str) -> None:
    done = await sent(api, runtime, content, format="parquet")
    assert done["status"] == "failed" and said in done["detail"], done


async def test_a_file_that_would_unpack_to_too_much_is_refused(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnar, "GROUP_BYTES_MAX", 10_000)
    file = parquet(sales(2, sourceId=["x" * 200_000, "y"]))
    assert len(file) < 40_000
    done = await sent(api, runtime, file, format="parquet")
    assert done["status"] == "failed" and "Row group 1" in done["detail"]


async def test_more_rows_than_bytes_are_no_honest_file(api: Api, runtime: Runtime) -> None:
    file = parquet({"sourceId": ["x"] * 1_000_000, "occurredAt": [AT] * 1_000_000, "amount": [1] * 1_000_000})
    assert len(file) < 1_000_000
    done = await sent(api, runtime, file, format="parquet")
    assert done["status"] == "failed" and "rows" in done["detail"]


async def test_a_long_text_that_every_row_shares_is_held_once(api: Api, runtime: Runtime) -> None:
    file = parquet(sales(1_000, channel=["x" * 300_000] * 1_000))
    assert len(file) < 100_000
    tracked = pa.total_allocated_bytes()
    done = await sent(api, runtime, file, format="parquet")
    assert (done["status"], done["rejected"]) == ("completed", 1_000)
    assert pa.total_allocated_bytes() - tracked < 10_000_000


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"\xff\xfe", b"fine"], pa.binary()),
        pa.array([10**17, NOON.timestamp() * 10**6], pa.int64()).cast(pa.timestamp("us", "UTC")),
    ],
)
async def test_a_cell_that_cannot_be_read_harms_no_other_row(api: Api, runtime: Runtime, column: Any) -> None:
    field = "sourceId" if pa.types.is_binary(column.type) else "occurredAt"
    done = await sent(api, runtime, parquet(sales(2, **{field: column})), format="parquet")
    assert (done["status"], done["accepted"], done["rejected"]) == ("completed", 1, 1)
    assert await rejections(api, done["id"]) == [(1, "InvalidRequest")]


async def test_a_column_with_a_dot_in_its_name_is_weighed_too(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnar, "GROUP_BYTES_MAX", 10_000)
    file = parquet({**sales(2), "a.b": ["x" * 200_000, "y"]})
    done = await sent(api, runtime, file, format="parquet", columns={"channel": "a.b"})
    assert done["status"] == "failed" and "Row group 1" in done["detail"]


async def test_a_footer_that_counts_other_rows_than_there_are_is_refused(api: Api, runtime: Runtime) -> None:
    file = parquet(sales(3))
    at = file.rindex(b"\x16\x06")  # three, as the footer writes it
    for said in (b"\x16\x00", b"\x16\x02", b"\x16\x7e"):
        done = await sent(api, runtime, file[:at] + said + file[at + 2 :], format="parquet")
        assert done["status"] == "failed", done
