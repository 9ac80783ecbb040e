"""A report as Parquet says what it says as JSON, every kind of it."""

import io
from collections.abc import AsyncIterator

import pyarrow.parquet as pq
import pytest

from tallystick.base.work import Runtime
from tallystick.reports import parquet
from tallystick.reports.model import KINDS, Line
from tests.api import Api
from tests.giftcards.living import new, pay
from tests.reports.cast import DAY, close, made, set_rate
from tests.rewards.cast import advance, refused
from tests.world import T0


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_report_is_a_table_of_the_same_rows(api: Api, runtime: Runtime, kind: str) -> None:
    await set_rate(api, 2_000)
    await pay(api, await new(api, 500, expiresAt="2032-03-02T09:00:00.000Z"), 200)
    await advance(api, "P500D")
    await close(api, runtime, T0 + DAY)
    report = await made(api, runtime, kind, **({"date": "2026-03-02"} if kind == "reconciliation" else {}))
    listed = (await api.get(f"reports?filter[kind]={kind}")).data[0]["id"]
    answer = await api.session.get(
        f"{api.base_url}/api/v1/reports/{listed}/parquet",
        headers={"Client-ID": api.client_id, "Authorization": f"Bearer {api.secret}"},
    )
    assert (answer.status, answer.headers["content-type"]) == (200, "application/vnd.apache.parquet")
    table = pq.read_table(io.BytesIO(await answer.read()))
    assert table.to_pylist() == report.rows
    assert table.num_rows > 0


async def test_a_report_that_is_not_made_is_no_table(api: Api) -> None:
    ordered = await api.post("reports", {"data": {"type": "Report", "attributes": {"kind": "aging"}}})
    refused(await api.get(f"reports/{ordered.data['id']}/parquet"), 409, "ReportNotReady")


async def test_parts_are_groups_of_rows_and_none_is_a_table_too() -> None:
    async def parts(*each: list[Line]) -> AsyncIterator[list[Line]]:
        for rows in each:
            yield rows

    columns = ("amount", "currency")
    whole = b"".join(
        [piece async for piece in parquet.stream(columns, parts([(1, "USD")], [(None, "EUR"), (2**53, None)]))]
    )
    read = pq.ParquetFile(io.BytesIO(whole))
    assert read.metadata.num_row_groups == 2
    assert read.read().to_pydict() == {"amount": [1, None, 2**53], "currency": ["USD", "EUR", None]}
    empty = b"".join([piece async for piece in parquet.stream(columns, parts())])
    assert pq.read_table(io.BytesIO(empty)).num_rows == 0
