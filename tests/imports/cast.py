"""Short ways to send files in the tests."""

import io
from typing import Any

from tallystick.base.work import Runtime
from tallystick.imports import running
from tests.api import Answer, Api, document_of

HEAD = "sourceId,occurredAt,amount,userId\n"
AT = "2026-03-02T09:00:00Z"


async def announce(api: Api, **attributes: Any) -> str:
    """A new import's id."""
    answer = await api.post("imports", document_of("Import", **({"kind": "transaction", "format": "csv"} | attributes)))
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def put(api: Api, import_id: str, number: int, content: bytes) -> Answer:
    sent = {"Content-Type": "application/octet-stream"}
    return await api.request("PUT", f"imports/{import_id}/parts/{number}", raw=io.BytesIO(content), headers=sent)


async def upload(api: Api, content: bytes, *, part_bytes: int = 1 << 20, **attributes: Any) -> str:
    """An import whose file was sent and started."""
    import_id = await announce(api, **attributes)
    pieces = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
    for number, piece in enumerate(pieces, 1):
        answer = await put(api, import_id, number, piece)
        assert answer.status == 200, answer.text
    started = await api.post(f"imports/{import_id}/start", document_of("StartImport", parts=len(pieces)))
    assert started.status == 200, started.text
    return import_id


async def read(runtime: Runtime) -> None:
    """Let the loop do all that is due."""
    while await running.run_due(runtime):
        pass


async def shown(api: Api, import_id: str) -> Any:
    return (await api.get(f"imports/{import_id}")).attributes


async def sent(api: Api, runtime: Runtime, content: str | bytes, **attributes: Any) -> Any:
    """The attributes of an import whose file was read."""
    raw = content if isinstance(content, bytes) else content.encode()
    import_id = await upload(api, raw, **attributes)
    await read(runtime)
    return await shown(api, import_id) | {"id": import_id}


async def rejections(api: Api, import_id: str) -> list[tuple[int, str]]:
    """(line, code) of what was not taken."""
    found = (await api.get(f"imports/{import_id}/rejections?page[limit]=50")).data
    return [(each["attributes"]["line"], each["attributes"]["code"]) for each in found]
