"""The mark of an import: how far its file is carried out. Whoever moves it holds its row."""

from dataclasses import replace

import tallystick.imports.store as store
from tallystick.base.work import Work
from tallystick.imports.model import Import


class Moved(Exception):
    """Somebody else reads this file now."""


async def stands(work: Work, found: Import) -> Import:
    """The import as it stands, locked, with its mark where it was left. Raises Moved."""
    held = await store.lock(work, found.id)
    if held is None or (held.status, held.bytes_done) != ("running", found.bytes_done):
        raise Moved
    return held


async def write(work: Work, found: Import) -> Import:
    """Keep the import as it is now; its next version."""
    written = replace(found, version=found.version + 1, updated_at=work.now)
    await store.update(work, written)
    return written
