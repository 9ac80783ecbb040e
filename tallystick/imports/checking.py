"""A file that was sent, held against what was announced: the digest of its parts, one after the other."""

import asyncio
import hashlib
from uuid import UUID

import tallystick.imports.store as store
from tallystick.base.work import Caller, Runtime
from tallystick.imports.model import part_place


async def digest(runtime: Runtime, caller: Caller, import_id: UUID, parts: int) -> bytes | None:
    """SHA-256 of the file that was sent. A part is held at a time, and no connection between two.

    None where there is nothing to be compared: the sender named none, the import is not the caller's own or was started, or
    parts are missing. Parts never change, and when as many are there as are told, none can come in between: what is read later
    is what was counted here.
    """
    async with runtime.reading(caller.tenant) as work:
        found = await store.by_id(work, import_id)
        if found is None or found.partner_id != caller.partner_id or not found.seen_by(caller):
            return None
        if found.sha256 is None or found.status != "uploading":
            return None
        sizes = await store.sizes(work, import_id)
    if [number for number, _ in sizes] != list(range(1, parts + 1)):
        return None
    if found.size is not None and found.size != sum(size for _, size in sizes):
        return None
    counted = hashlib.sha256()
    for number, _ in sizes:
        async with runtime.reading(caller.tenant) as work:
            sealed = await store.part(work, import_id, number)
        if sealed is None:
            return None
        place = part_place(import_id, number)
        content = await asyncio.to_thread(runtime.keys.open_sealed, sealed, place)
        await asyncio.to_thread(counted.update, content)
    return counted.digest()
