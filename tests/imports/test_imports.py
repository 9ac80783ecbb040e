"""Files of activity: read a chunk at a time, each line once however often it is sent, and whatever is killed on the way."""

import asyncio
from typing import Any

import pytest

from tallystick import activity
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.imports import running
from tallystick.imports.carrying import LEASE
from tallystick.imports.chunks import Pace
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.imports.cast import AT, HEAD, announce, put, read, rejections, sent, shown, upload
from tests.rewards.cast import advance, balance, check_whole, feed
from tests.thresholds.cast import rule, step


def rows(user: str, count: int, amount: int = 100, first: int = 1) -> str:
    return "".join(f"r{number},{AT},{amount},{user}\n" for number in range(first, first + count))


def counts(found: Any) -> tuple[str, int, int, int]:
    return found["status"], found["accepted"], found["duplicates"], found["rejected"]


async def stored(runtime: Runtime, api: Api) -> int:
    async with runtime.reading(api.tenant) as work:
        count: int = await work.db.value("select count(*) from activities where tenant_id = $1", api.tenant.id)
    return count


async def test_a_file_moves_progress_and_gives_rewards(api: Api, runtime: Runtime, auditor: Db) -> None:
    wallet = await api.wallet()
    user = (await api.get(f"wallets/{wallet}")).attributes["userId"]
    club = await rule(api, steps=[step(1000, 50)], repeat="repeating")
    found = await sent(api, runtime, HEAD + rows(user, 25))
    assert counts(found) == ("completed", 25, 0, 0)
    assert (found["percent"], found["linesDone"]) == (100, 26)
    assert (await balance(api, wallet))["available"] == 100
    (progress,) = (await api.get(f"threshold-progress?filter[thresholdId]={club}")).data
    assert progress["attributes"]["total"] == 2500
    topics = [each["topic"] for each in await feed(api)]
    assert topics.count("import.completed") == 1
    assert "threshold.progress_updated" not in topics and topics.count("threshold.reached") == 2
    await check_whole(auditor, api.tenant)


async def test_progress_is_told_where_it_is_asked_for(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    await rule(api, steps=[step(1000, 50)])
    await sent(api, runtime, HEAD + rows(user, 3), tellProgress=True)
    assert "threshold.progress_updated" in [each["topic"] for each in await feed(api)]


async def test_the_same_file_twice_counts_once(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    content = (HEAD + rows(user, 30)).encode()
    one, other = await upload(api, content), await upload(api, content)
    await asyncio.gather(
        running.go_on(runtime, api.tenant, ids.parse(one) or ids.new()),
        running.go_on(runtime, api.tenant, ids.parse(other) or ids.new()),
    )
    await read(runtime)
    found = [await shown(api, each) for each in (one, other)]
    assert {each["status"] for each in found} == {"completed"}
    assert sum(each["accepted"] for each in found) == 30 == sum(each["duplicates"] for each in found)
    assert await stored(runtime, api) == 30


@pytest.mark.parametrize("part_bytes", [7, 64, 1 << 20])
async def test_parts_are_cut_anywhere(api: Api, runtime: Runtime, part_bytes: int) -> None:
    user = await api.user()
    content = ("\ufeff" + HEAD + rows(user, 5)).encode()
    import_id = await upload(api, content, part_bytes=part_bytes)
    await read(runtime)
    assert counts(await shown(api, import_id)) == ("completed", 5, 0, 0)


async def test_who_is_killed_leaves_a_mark_behind_what_was_done(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Chunks of seven lines; the third dies on the way, twice, and with it whatever had begun."""
    user = await api.user()
    import_id = await upload(api, (HEAD + rows(user, 40)).encode())
    monkeypatch.setattr(Pace, "took", lambda *_: None)
    monkeypatch.setattr(Pace, "__init__", lambda self: setattr(self, "size", 7))
    real, calls = activity.conclude, 0

    async def dies(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        outcome = await real(*given, **more)
        if calls >= 3:
            raise ConnectionResetError
        return outcome

    monkeypatch.setattr(activity, "conclude", dies)
    for _ in range(2):
        calls = 0
        with pytest.raises(ConnectionResetError):
            await running.go_on(runtime, api.tenant, ids.parse(import_id) or ids.new())
        halfway = await shown(api, import_id)
        assert halfway["accepted"] == await stored(runtime, api) < 40
        assert not await running.go_on(runtime, api.tenant, ids.parse(import_id) or ids.new())
        clock.move(LEASE)
    monkeypatch.setattr(activity, "conclude", real)
    await read(runtime)
    assert counts(await shown(api, import_id)) == ("completed", 40, 0, 0)
    assert await stored(runtime, api) == 40


async def test_every_kind_of_broken_line_stands_alone(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    broken = [
        f"r1,{AT},100,{user}",
        f"r2,{AT},12.50,{user}",
        f"r3,{AT},-1,{user}",
        f"r4,yesterday,100,{user}",
        f"r5,{AT},100",
        f",{AT},100,{user}",
        f"r7,{AT},100,nobody",
        f'r8,{AT},100,"{user}',
        f"r9,{AT},99999999999,{user}",
        "",
        f"r11,{AT},100,{user},more",
        f"r12,{AT},,{user}",
        f'"r13",{AT},"100","{user}"',
        f"r1,{AT},200,{user}",
    ]
    content = (
        (HEAD + "\n".join(broken) + "\n").encode()
        + f"r15\xff,{AT},1,{user}\n".encode("latin-1")
        + f"r16,{AT},1,{user}".encode()
    )
    found = await sent(api, runtime, content)
    assert (found["status"], found["accepted"]) == ("completed", 3)
    assert await rejections(api, found["id"]) == [
        (3, "InvalidRequest"), (4, "InvalidRequest"), (5, "InvalidRequest"), (6, "Unreadable"), (7, "InvalidRequest"),
        (8, "InvalidRequest"), (9, "Unreadable"), (10, "InvalidRequest"), (12, "Unreadable"), (13, "InvalidRequest"),
        (15, "ChangedDuplicate"), (16, "Unreadable"),
    ]  # fmt: skip
    download = await api.get(f"imports/{found['id']}/rejections/download", headers={"Accept": "text/csv"})
    assert download.text.startswith("line,code,detail,text\r\n3,InvalidRequest,")
    assert len(download.text.strip().split("\r\n")) == 13


async def test_a_quoted_field_may_go_over_lines(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    content = f'sourceId,occurredAt,amount,userId,channel\n"r\n1",{AT},100,{user},"a ""b"", c"\nr2,{AT},1,{user},x\n'
    assert counts(await sent(api, runtime, content)) == ("completed", 2, 0, 0)


async def test_columns_of_any_name_and_delimiter_are_read(api: Api, runtime: Runtime) -> None:
    await api.user(externalId="crm-1")
    content = f"receipt;when;total;customer;what\nr1;{AT};100;crm-1;Purchase\nr2;{AT};40;crm-1;Refund\n"
    columns = {"sourceId": "receipt", "occurredAt": "when", "amount": "total", "externalId": "customer", "type": "what"}
    assert counts(await sent(api, runtime, content, columns=columns, delimiter=";")) == ("completed", 2, 0, 0)


async def test_lines_of_json_are_read(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    content = (
        f'{{"sourceId":"r1","occurredAt":"{AT}","amount":100,"userId":"{user}"}}\n'
        f'{{"sourceId":"r2","occurredAt":"{AT}","amount":"7","method":"Cash","category":"cake"}}\n'
        f'{{"sourceId":"r3","occurredAt":"{AT}","amount":1.5}}\n[]\n{{"sourceId":\n{{"other":1}}\n\n'
        f'{{"sourceId":"r7","occurredAt":"{AT}","amount":true}}'
    )
    found = await sent(api, runtime, content, format="ndjson")
    assert counts(found) == ("completed", 2, 0, 5)
    assert [line for line, _ in await rejections(api, found["id"])] == [3, 4, 5, 6, 8]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("\ufeffsourceId,occurredAt\n".encode("utf-16"), "UTF-16"),
        (b"sourceId,amount\nr1,2\n", "No column is occurredAt"),
        (b"sourceId,sourceId\n", "twice"),
        (b"\xff\xfe\x00", "UTF-16"),
        (b'"sourceId\n' * 3, "cannot be read"),
    ],
    ids=["utf-16", "a column is missing", "a column twice", "marks", "a broken head"],
)
async def test_a_file_that_cannot_be_read_says_why(api: Api, runtime: Runtime, content: bytes, why: str) -> None:
    found = await sent(api, runtime, content)
    assert found["status"] == "failed" and why in found["detail"], found["detail"]
    assert [each["topic"] for each in await feed(api)].count("import.failed") == 1


async def test_a_file_of_nothing_but_its_head_is_read(api: Api, runtime: Runtime) -> None:
    assert counts(await sent(api, runtime, HEAD)) == ("completed", 0, 0, 0)


async def test_a_column_that_is_named_must_be_there(api: Api, runtime: Runtime) -> None:
    found = await sent(api, runtime, HEAD, columns={"channel": "shop"})
    assert found["status"] == "failed" and "'shop'" in found["detail"]


async def test_what_waits_counts_when_it_is_released(api: Api, runtime: Runtime) -> None:
    wallet = await api.wallet()
    user = (await api.get(f"wallets/{wallet}")).attributes["userId"]
    club = await rule(api, steps=[step(1000, 50)])
    found = await sent(api, runtime, HEAD + rows(user, 12), attribution="reconciled")
    (progress,) = (await api.get(f"threshold-progress?filter[thresholdId]={club}")).data
    assert (progress["attributes"]["current"], progress["attributes"]["pending"]) == (0, 1200)
    released = await api.post(f"imports/{found['id']}/release")
    assert released.status == 200, released.text
    await read(runtime)
    (progress,) = (await api.get(f"threshold-progress?filter[thresholdId]={club}")).data
    assert (progress["attributes"]["current"], progress["attributes"]["pending"]) == (1200, 0)
    assert (await balance(api, wallet))["available"] == 50
    again = await api.post(f"imports/{found['id']}/release")
    assert (again.status, again.codes) == (409, ["InvalidState"])


async def test_what_waits_counts_for_nothing_when_it_is_rejected(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, steps=[step(1000, 50)])
    found = await sent(api, runtime, HEAD + rows(user, 12), attribution="reconciled")
    await api.post(f"imports/{found['id']}/release", document_of("ReleaseImport", reject=True))
    await read(runtime)
    (progress,) = (await api.get(f"threshold-progress?filter[thresholdId]={club}")).data
    assert (progress["attributes"]["current"], progress["attributes"]["pending"]) == (0, 0)
    assert [each["topic"] for each in await feed(api)].count("transaction.rejected") == 12


async def test_what_waits_is_released_by_itself_where_the_merchant_says_so(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, steps=[step(1000, 50)])
    settings = document_of("MerchantConfiguration", activityAttribution="reconciled", activityReleaseDays=3)
    assert (await api.patch(f"merchants/{api.merchant_id}/configuration", settings)).status == 200
    await sent(api, runtime, HEAD + rows(user, 4))
    await advance(api, "P4D")
    (progress,) = (await api.get(f"threshold-progress?filter[thresholdId]={club}")).data
    assert (progress["attributes"]["current"], progress["attributes"]["pending"]) == (400, 0)


async def test_a_part_is_sent_once_or_the_same(api: Api) -> None:
    import_id = await announce(api)
    assert (await put(api, import_id, 1, b"a")).status == 200
    assert (await put(api, import_id, 1, b"a")).status == 200
    assert (await put(api, import_id, 1, b"b")).codes == ["PartConflict"]
    assert (await put(api, import_id, 0, b"a")).status == 404
    assert (await put(api, import_id, 1, b"")).status == 400
    assert (await put(api, import_id, 2, b"x" * (4 * 1024 * 1024 + 1))).status == 413
    missed = await api.post(f"imports/{import_id}/start", document_of("StartImport", parts=2))
    assert (missed.status, missed.pointers) == (400, ["/data/attributes/parts"])
    assert (await api.post(f"imports/{import_id}/start", document_of("StartImport", parts=1))).status == 200
    assert (await put(api, import_id, 1, b"a")).codes == ["InvalidState"]


async def test_a_cancelled_file_is_read_no_further(api: Api, runtime: Runtime) -> None:
    import_id = await upload(api, (HEAD + rows(await api.user(), 3)).encode())
    assert (await api.post(f"imports/{import_id}/cancel")).attributes["status"] == "cancelled"
    await read(runtime)
    assert await stored(runtime, api) == 0
    assert (await api.post(f"imports/{import_id}/cancel")).codes == ["InvalidState"]


async def test_an_import_of_someone_else_is_not_there(api: Api, runtime: Runtime) -> None:
    import_id = await announce(api)
    elsewhere = await join(runtime, api.session, api.base_url)
    assert (await elsewhere.get(f"imports/{import_id}")).status == 404
    assert (await put(elsewhere, import_id, 1, b"a")).status == 404
    assert (await elsewhere.post(f"imports/{import_id}/start", document_of("StartImport", parts=1))).status == 404
    assert (await elsewhere.get(f"imports/{import_id}/rejections")).status == 404
    assert (await elsewhere.get("imports")).data == []


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"columns": {"price": "x"}}, "/data/attributes/columns/price"),
        ({"delimiter": '"'}, "/data/attributes/delimiter"),
        ({"kind": "rumour"}, "/data/attributes/kind"),
        ({"merchantId": str(ids.new())}, "/data/attributes/merchantId"),
    ],
)
async def test_what_is_wrong_with_an_import_is_pointed_at(api: Api, wrong: dict[str, Any], pointer: str) -> None:
    answer = await api.post("imports", document_of("Import", **({"kind": "visit", "format": "csv"} | wrong)))
    assert (answer.status, answer.pointers) == (400, [pointer])
