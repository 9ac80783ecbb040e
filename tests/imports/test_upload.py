"""Files that arrive whole: what was announced is held against what was sent, and what was received is told."""

import asyncio
import hashlib
from typing import Any

import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join
from tests.imports.cast import AT, HEAD, announce, put, read, shown

CONTENT = (HEAD + "".join(f"u-{n},{AT},100,\n" for n in range(50))).encode()
PIECE = 500
PIECES = [CONTENT[at : at + PIECE] for at in range(0, len(CONTENT), PIECE)]
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"another file").hexdigest()
POINTER = "/data/attributes/"


async def begin(api: Api, import_id: str, *, key: str | None = None) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"imports/{import_id}/start", document_of("StartImport", parts=len(PIECES)), headers=headers)


async def sent(api: Api, **attributes: Any) -> str:
    """An import whose parts were sent, the last one first."""
    import_id = await announce(api, **attributes)
    for number in range(len(PIECES), 0, -1):
        assert (await put(api, import_id, number, PIECES[number - 1])).status == 200
    return import_id


async def test_a_file_that_is_what_was_announced_is_read(api: Api, runtime: Runtime) -> None:
    import_id = await sent(api, sha256=SHA256, size=len(CONTENT))
    started = await begin(api, import_id, key="start")
    assert (started.status, started.attributes["status"]) == (200, "accepted"), started.text
    await read(runtime)
    found = await shown(api, import_id)
    assert (found["status"], found["accepted"], found["sha256"], found["size"]) == (
        "completed", 50, SHA256, len(CONTENT),
    )  # fmt: skip
    assert (await begin(api, import_id, key="start")).text == started.text


async def test_who_starts_it_many_times_at_once_has_it_read_once(api: Api, runtime: Runtime) -> None:
    import_id = await sent(api, sha256=SHA256, size=len(CONTENT))
    alike = await asyncio.gather(*(begin(api, import_id, key="start") for _ in range(6)))
    assert {(answer.status, answer.text) for answer in alike} == {(200, alike[0].text)}
    others = await asyncio.gather(*(begin(api, import_id) for _ in range(3)))
    assert {(answer.status, *answer.codes) for answer in others} == {(409, "InvalidState")}
    await read(runtime)
    found = await shown(api, import_id)
    assert (found["status"], found["accepted"], found["duplicates"]) == ("completed", 50, 0)


@pytest.mark.parametrize(
    ("announced", "pointer"),
    [
        ({"sha256": OTHER}, "sha256"),
        ({"sha256": OTHER, "size": len(CONTENT)}, "sha256"),
        ({"sha256": SHA256, "size": len(CONTENT) + 1}, "size"),
        ({"size": len(CONTENT) - 1}, "size"),
    ],
)
async def test_a_file_that_differs_is_named_by_its_field_and_nothing_of_it_is_read(
    api: Api, runtime: Runtime, auditor: Db, announced: dict[str, Any], pointer: str
) -> None:
    import_id = await sent(api, **announced)
    for _ in range(2):
        refused = await begin(api, import_id, key="start")
        assert (refused.status, refused.codes, refused.pointers) == (409, ["FileDiffers"], [POINTER + pointer])
    await read(runtime)
    found = await shown(api, import_id)
    assert (found["status"], found["linesDone"]) == ("uploading", 0)
    count = "select count(*) from activities where tenant_id = $1"
    assert await auditor.value(count, api.tenant.id) == 0


async def test_parts_in_another_order_are_another_file(api: Api) -> None:
    import_id = await announce(api, sha256=SHA256, size=len(CONTENT))
    for number, piece in enumerate([PIECES[1], PIECES[0], *PIECES[2:]], 1):
        await put(api, import_id, number, piece)
    refused = await begin(api, import_id)
    assert (refused.codes, refused.pointers) == (["FileDiffers"], [POINTER + "sha256"])


async def test_parts_that_are_missing_are_told_before_the_file_is_counted(api: Api) -> None:
    import_id = await announce(api, sha256=SHA256)
    await put(api, import_id, 1, PIECES[0])
    refused = await begin(api, import_id)
    assert (refused.status, refused.codes, refused.pointers) == (400, ["InvalidRequest"], [POINTER + "parts"])
    for number, piece in enumerate(PIECES[1:], 2):
        await put(api, import_id, number, piece)
    assert (await begin(api, import_id)).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": "abc"}, {"sha256": SHA256.upper()}, {"sha256": SHA256 + "\n"}, {"sha256": 7}, {"size": 0},
        {"size": 2**63}, {"size": 1.5}, {"size": True}, {"currency": "USD\n"},
    ],
)  # fmt: skip
async def test_an_announcement_that_makes_no_sense_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    refused = await api.post("imports", document_of("Import", kind="visit", format="csv", **wrong))
    assert (refused.status, refused.pointers) == (400, [POINTER + next(iter(wrong))])


async def test_the_key_of_an_announcement_is_of_its_digest_too(api: Api) -> None:
    wanted = {"kind": "visit", "format": "csv", "sha256": SHA256}
    keyed = {"Idempotency-Key": "file-1"}
    one = await api.post("imports", document_of("Import", **wanted), headers=keyed)
    again = await api.post("imports", document_of("Import", **wanted), headers=keyed)
    other = await api.post("imports", document_of("Import", **wanted | {"sha256": OTHER}), headers=keyed)
    assert one.data["id"] == again.data["id"] and again.headers["Idempotent-Replayed"] == "true"
    assert other.codes == ["IdempotencyConflict"]


async def test_what_was_received_is_told_part_by_part(api: Api) -> None:
    import_id = await announce(api, sha256=SHA256)
    for number in (3, 1):
        await put(api, import_id, number, PIECES[number - 1])
    answer = await api.get(f"imports/{import_id}/parts")
    assert answer.body["meta"]["total"] == 2
    assert [each["attributes"] for each in answer.data] == [
        {"number": number, "byteCount": PIECE, "sha256": hashlib.sha256(PIECES[number - 1]).hexdigest()}
        for number in (1, 3)
    ]
    (second,) = (await api.get(f"imports/{import_id}/parts?page[offset]=1&page[limit]=1")).data
    assert second["attributes"]["number"] == 3


async def test_what_a_stranger_sent_is_nobodys_business(api: Api, runtime: Runtime) -> None:
    import_id = await sent(api, sha256=SHA256)
    stranger = await join(runtime, api.session, api.base_url)
    for answer in (await stranger.get(f"imports/{import_id}/parts"), await begin(stranger, import_id)):
        assert (answer.status, answer.codes) == (404, ["NotFound"])
    assert (await shown(api, import_id))["status"] == "uploading"


async def test_a_file_that_was_cancelled_has_no_parts(api: Api) -> None:
    import_id = await sent(api, sha256=SHA256)
    assert (await api.post(f"imports/{import_id}/cancel")).status == 200
    assert (await api.get(f"imports/{import_id}/parts")).body["meta"]["total"] == 0
    assert (await begin(api, import_id)).codes == ["InvalidState"]
