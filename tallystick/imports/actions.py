"""Make an import, start and cancel it, release or reject what it brought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

import tallystick.imports.store as store
from tallystick import audit
from tallystick.activity.model import Kind
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.imports import resource
from tallystick.imports.model import KEPT_DAYS, Format, Import, missing

FIRST: Final = UUID(int=0)
"""Behind it what waits is released: before everything."""
BEGIN_ANEW: Final = "Nothing of it was read. Begin a new import."


@dataclass(frozen=True, slots=True)
class CreateImport:
    """A partner's wish to send a file of activity of a merchant."""

    asked: Asked
    merchant_id: UUID
    kind: Kind
    format: Format
    columns: Mapping[str, str]
    delimiter: str
    currency: str | None
    time_zone: str | None
    attribution: Literal["immediate", "reconciled"] | None
    tell_progress: bool
    sha256: bytes | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class StartImport:
    """The file was sent in so many parts; read it. `digest` is of the parts that were there when it was counted, if it was."""

    asked: Asked
    import_id: UUID
    parts: int
    digest: bytes | None = None


class FileDiffers(Refusal):
    code, status, title = "FileDiffers", 409, "What was sent is not the file that was announced."


@dataclass(frozen=True, slots=True)
class EndImport:
    """Stop reading a file, or decide on what it brought and what waits to be reconciled."""

    asked: Asked
    import_id: UUID
    verb: Literal["cancel", "release", "reject"]


async def create(work: Work, commands: Sequence[CreateImport]) -> list[Answer | Refusal]:
    """The new import for each command, once for its key."""
    return await idempotency.keyed(
        work,
        "imports.create",
        commands,
        _create,
        fingerprint=lambda each: msgspec.json.encode(
            [
                each.merchant_id, each.kind, each.format, each.columns, each.delimiter, each.currency, each.attribution,
                each.tell_progress, each.time_zone, each.sha256, each.size,
            ]
        ),
        seal=HouseSeal(),
    )  # fmt: skip


async def start(work: Work, commands: Sequence[StartImport]) -> list[Answer | Refusal]:
    """The import that is read from now on."""
    return await idempotency.keyed(
        work,
        "imports.start",
        commands,
        _start,
        fingerprint=lambda each: msgspec.json.encode([each.import_id, each.parts]),
        seal=HouseSeal(),
    )


async def end(work: Work, commands: Sequence[EndImport]) -> list[Answer | Refusal]:
    """The import as it is then."""
    return await idempotency.keyed(
        work,
        "imports.end",
        commands,
        _end,
        fingerprint=lambda each: msgspec.json.encode([each.import_id, each.verb]),
        seal=HouseSeal(),
    )


async def own(work: Work, asked: Asked, import_id: UUID) -> Import | NotFound:
    """The import, locked, where the caller's partner made it."""
    found = await store.lock(work, import_id)
    if found is None or not found.seen_by(asked.caller) or found.partner_id != asked.caller.partner_id:
        return missing()
    return found


async def _create(work: Work, command: CreateImport) -> Answer | Refusal:
    made = Import(
        id=ids.new(),
        partner_id=command.asked.caller.partner_id,
        client_id=command.asked.caller.client_id,
        merchant_id=command.merchant_id,
        request_id=command.asked.request_id,
        kind=command.kind,
        format=command.format,
        columns=command.columns,
        delimiter=command.delimiter,
        currency=command.currency,
        time_zone=command.time_zone,
        tell_progress=command.tell_progress,
        status="uploading",
        attribution=command.attribution,
        released_at=None,
        rejecting=False,
        release_after=None,
        parts=0,
        byte_count=0,
        bytes_done=0,
        lines_done=0,
        header=None,
        accepted=0,
        duplicates=0,
        rejected=0,
        detail=None,
        due_at=work.real_now + timedelta(days=KEPT_DAYS),
        started_at=None,
        finished_at=None,
        version=1,
        created_at=work.now,
        updated_at=work.now,
        sha256=command.sha256,
        size=command.size,
    )
    await store.insert(work, made)
    audit.note(work, command.asked, status=201, resource_id=made.id)
    return Answer(201, resource.document(made), made.id, f"{resource.IMPORT.path}/{made.id}")


async def _start(work: Work, command: StartImport) -> Answer | Refusal:
    found = await own(work, command.asked, command.import_id)
    if isinstance(found, Refusal):
        return found
    if found.status != "uploading":
        return InvalidState(f"The import is {found.status}; it was started already.")
    sizes = await store.sizes(work, found.id)
    missed = sorted(set(range(1, command.parts + 1)) - {part for part, _ in sizes})
    if missed or len(sizes) != command.parts:
        what = f"Part {missed[0]} was not sent" if missed else f"{len(sizes)} parts were sent"
        return InvalidRequest(f"{what}. Send every part, numbered from 1, then start.", source=attribute("parts"))
    total = sum(size for _, size in sizes)
    differs = _differs(found, total, command.digest)
    if differs is not None:
        return differs
    return await _written(
        work,
        command.asked,
        replace(found, status="accepted", parts=command.parts, byte_count=total, due_at=work.real_now),
    )


def _differs(found: Import, total: int, digest: bytes | None) -> Refusal | None:
    """The refusal of a file that is not the one that was announced. Nothing of it is read, and parts never change."""
    if found.size is not None and found.size != total:
        detail = f"`size` was announced as {found.size}, and {total} bytes were sent."
        return FileDiffers(f"{detail} {BEGIN_ANEW}", source=attribute("size"))
    if found.sha256 is None or found.sha256 == digest:
        return None
    if digest is None:
        return InvalidRequest("A part came while the others were counted. Start it again.", source=attribute("parts"))
    detail = f"`sha256` was announced as {found.sha256.hex()}, and what was sent has {digest.hex()}."
    return FileDiffers(f"{detail} {BEGIN_ANEW}", source=attribute("sha256"))


async def _end(work: Work, command: EndImport) -> Answer | Refusal:
    found = await own(work, command.asked, command.import_id)
    if isinstance(found, Refusal):
        return found
    if command.verb == "cancel":
        if found.status not in ("uploading", "accepted", "running"):
            return InvalidState(f"The import is {found.status}; there is nothing to be cancelled.")
        detail = "Cancelled. What was taken by then stays."
        changed = replace(found, status="cancelled", detail=detail, finished_at=work.now, due_at=None)
        await store.forget_parts(work, found.id)
        return await _written(work, command.asked, changed)
    if found.status in ("uploading", "accepted", "running"):
        return InvalidState(f"The import is {found.status}; decide when it was read to its end.")
    if found.released_at is not None:
        return InvalidState("What waited was released or rejected already.")
    rejecting = command.verb == "reject"
    return await _written(
        work,
        command.asked,
        replace(found, rejecting=rejecting, released_at=work.now, release_after=FIRST, due_at=work.real_now),
    )


async def _written(work: Work, asked: Asked, changed: Import) -> Answer:
    written = replace(changed, version=changed.version + 1, updated_at=work.now)
    await store.update(work, written)
    audit.note(work, asked, status=200, resource_id=written.id)
    return Answer(200, resource.document(written), written.id)
