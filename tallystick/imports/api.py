"""Imports over HTTP: announce a file, send it in parts, start it, watch it, and decide on what waits."""

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final, Literal
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from msgspec import Meta

import tallystick.imports.store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
)
from tallystick.base.routes import PAGE, Call, Reply, Route, Takes
from tallystick.base.work import Runtime, Tenant
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.imports import actions, checking, resource
from tallystick.imports.actions import CreateImport, EndImport, FileDiffers, StartImport
from tallystick.imports.model import FIELDS, PART_BYTES, PARTS_MAX, Format, Import, line_place, missing, part_place
from tallystick.merchants import MerchantDirectory
from tallystick.merchants.model import MACHINE_ZONES

Field = Annotated[str, Meta(max_length=50)]
Column = Annotated[str, Meta(min_length=1, max_length=255)]
Zone = Annotated[
    str, Meta(min_length=1, max_length=100, description="Of instants without an offset: a name of the IANA database.")
]
Digest = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{64}$",
        max_length=64,
        description="SHA-256 of the whole file, 64 lower-case hexadecimal digits.",
    ),
]
EXAMPLE: Final = {"kind": "transaction", "format": "csv", "columns": {"sourceId": "receipt", "occurredAt": "date"}}
PAGE_OF_DOWNLOAD: Final = 1_000
AT_ONCE: Final = 2
"""How many files a process counts the digest of at a time; others wait their turn."""
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


class PartConflict(Refusal):
    code, status, title = "PartConflict", 409, "This part was sent with other content."


class ImportToSend(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A file of activity. `columns` names the file's own column of each field, where it is not the field's name.

    What is sent is held against `sha256` and `size` before it is read.
    """

    kind: Literal["transaction", "visit", "order"]
    format: Format
    merchant_id: str | None = None
    columns: dict[Field, Column] = {}
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)] | None = None
    time_zone: Zone | None = None
    attribution: Literal["immediate", "reconciled"] | None = None
    tell_progress: bool = False
    sha256: Digest | None = None
    size: Annotated[int, Meta(ge=1, le=PARTS_MAX * PART_BYTES)] | None = None


class ImportToStart(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How many parts were sent."""

    parts: Annotated[int, Meta(ge=1, le=PARTS_MAX)]


class ReleaseSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Whether what waits is rejected instead of released."""

    reject: bool = False


async def create_import(directory: MerchantDirectory, call: Call) -> Reply:
    """Announce a file; its parts follow."""
    sent: ImportToSend = call.attributes
    fields = f"There is no such field. The fields are {', '.join(FIELDS)}."
    unknown = [field for field in sent.columns if field not in FIELDS]
    faults: list[Refusal] = [InvalidRequest(fields, source=attribute(f"columns/{field}")) for field in unknown]
    if sent.delimiter in '"\r\n' or not sent.delimiter.isascii():
        faults.append(InvalidRequest("A delimiter is one ASCII character, no quote.", source=attribute("delimiter")))
    if sent.time_zone is not None and (sent.time_zone in MACHINE_ZONES or sent.time_zone not in available_timezones()):
        faults.append(InvalidRequest("There is no such time zone.", source=attribute("timeZone")))
    merchant_id = await _merchant(directory, call, sent.merchant_id, faults)
    if merchant_id is None or faults:
        raise Refusals(faults)
    command = CreateImport(
        call.asked, merchant_id, sent.kind, sent.format, sent.columns, sent.delimiter, sent.currency, sent.time_zone,
        sent.attribution, sent.tell_progress, None if sent.sha256 is None else bytes.fromhex(sent.sha256), sent.size,
    )  # fmt: skip
    return replied(await call.house.batcher.submit(actions.create, call.caller.tenant, command))


async def put_part(call: Call) -> Reply:
    """Send a part of the file: its bytes, at most 4 MiB of them. Parts are numbered from 1, and come in any order."""
    import_id, number = path_id(call, missing()), call.path["number"]
    content: bytes = call.attributes
    if not number.isascii() or not number.isdigit() or len(number) > 6 or not 1 <= int(number) <= PARTS_MAX:
        raise NotFound(f"Parts are numbered from 1 to {PARTS_MAX}.")
    if not content or len(content) > PART_BYTES:
        raise InvalidRequest(f"A part is 1 to {PART_BYTES} bytes.")
    digest = hashlib.sha256(content).digest()
    async with call.house.runtime.work(call.caller.tenant) as work:
        found = await store.hold(work, import_id)
        if found is None or not found.seen_by(call.caller) or found.partner_id != call.caller.partner_id:
            raise missing()
        if found.status != "uploading":
            raise InvalidState(f"The import is {found.status}; its file is whole.")
        sealed = work.keys.seal(content, part_place(import_id, int(number)))
        kept = await store.put_part(work, import_id, int(number), len(content), digest, sealed)
        if kept != digest:
            raise PartConflict("Send this content under another number, or begin a new import.")
        shown = resource.document(found)
    return Reply(200, shown, resource_id=import_id)


async def start_import(turns: asyncio.Semaphore, call: Call) -> Reply:
    """Read the file, in the background."""
    sent: ImportToStart = call.attributes
    import_id = path_id(call, missing())
    async with turns:
        digest = await checking.digest(call.house.runtime, call.caller, import_id, sent.parts)
    command = StartImport(call.asked, import_id, sent.parts, digest)
    return replied(await call.house.batcher.submit(actions.start, call.caller.tenant, command))


async def cancel_import(call: Call) -> Reply:
    """Stop reading a file; what was taken by then stays."""
    command = EndImport(call.asked, path_id(call, missing()), "cancel")
    return replied(await call.house.batcher.submit(actions.end, call.caller.tenant, command))


async def release_import(call: Call) -> Reply:
    """Count what the file brought and what waits to be reconciled, or reject it."""
    sent: ReleaseSent | None = call.attributes
    verb: Literal["release", "reject"] = "reject" if sent is not None and sent.reject else "release"
    command = EndImport(call.asked, path_id(call, missing()), verb)
    return replied(await call.house.batcher.submit(actions.end, call.caller.tenant, command))


async def get_import(call: Call) -> Reply:
    """How far the reading of a file is."""
    found = await _visible(call)
    return Reply(200, resource.document(found), resource_id=found.id)


async def list_imports(call: Call) -> Reply:
    """Your imports, or the programme's by agreement, newest first."""
    offset, limit = jsonapi.page(call)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, offset, limit)
    shown = [resource.shown(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def list_parts(call: Call) -> Reply:
    """What was received of a file, in order; nothing, once the file is forgotten."""
    offset, limit = jsonapi.page(call)
    found = await _visible(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        total = await store.count_parts(work, found.id)
        received = await store.parts(work, found.id, offset, limit) if offset < total else []
    shown = [resource.part(found, each) for each in received]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def list_rejections(call: Call) -> Reply:
    """The lines that were not taken, in order, and why."""
    offset, limit = jsonapi.page(call)
    found = await _visible(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        total = await store.count_rejections(work, found.id)
        rows = await store.rejections(work, found.id, 0, offset, limit)
        shown = [
            jsonapi.resource(
                resource.REJECTION,
                f"{found.id}:{line}",
                resource.RejectionAttributes(
                    line,
                    code,
                    detail,
                    work.keys.open_sealed(sealed, line_place(found.id, line)).decode(errors="replace"),
                ),
            )
            for line, code, detail, sealed in rows
        ]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def download_rejections(call: Call) -> Reply:
    """The lines that were not taken as CSV: line, code, detail, and the line as it was sent."""
    found = await _visible(call)
    stream = _rejections(call.house.runtime, call.caller.tenant, found.id)
    return Reply(200, None, stream=stream, resource_id=found.id)


async def _rejections(runtime: Runtime, tenant: Tenant, import_id: UUID) -> AsyncIterator[bytes]:
    yield b"line,code,detail,text\r\n"
    after = 0
    while True:
        async with runtime.reading(tenant) as work:
            rows = await store.rejections(work, import_id, after, 0, PAGE_OF_DOWNLOAD)
            opened = [
                (
                    line,
                    code,
                    detail,
                    work.keys.open_sealed(sealed, line_place(import_id, line)).decode(errors="replace"),
                )
                for line, code, detail, sealed in rows
            ]
        if not opened:
            return
        text = io.StringIO(newline="")
        csv.writer(text).writerows((line, code, detail, _harmless(sent)) for line, code, detail, sent in opened)
        yield text.getvalue().encode()
        after = opened[-1][0]


def _harmless(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(FORMULAS) else text


async def _visible(call: Call) -> Import:
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await store.by_id(work, path_id(call, missing()))
    if found is None or not found.seen_by(call.caller):
        raise missing()
    return found


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None, faults: list[Refusal]) -> UUID | None:
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        faults.append(InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId")))
        return None
    try:
        return (await directory.resolve(call.caller, merchant_id)).id
    except InvalidRequest as refused:
        faults.append(refused)
        return None


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    read, write = "activity:read", "activity:write"
    one, gives = f"{resource.IMPORT.path}/{{id}}", resource.IMPORT
    verb = (NotFound, InvalidState, IdempotencyConflict)
    return (
        Route(
            "POST", gives.path, partial(create_import, directory), write, "Announce a file of activity",
            Takes(ImportToSend, ("Import",), EXAMPLE), gives, status=201, keyed=True, errors=(IdempotencyConflict,),
        ),
        Route(
            "PUT", f"{one}/parts/{{number}}", put_part, write, "Send a part of a file", gives=gives,
            raw="application/octet-stream", large=True, errors=(NotFound, InvalidState, PartConflict),
        ),
        Route(
            "POST", f"{one}/start", partial(start_import, asyncio.Semaphore(AT_ONCE)), write, "Read a file",
            Takes(ImportToStart, ("StartImport",), {"parts": 12}), gives, keyed=True, errors=(*verb, FileDiffers),
        ),
        Route(
            "POST", f"{one}/cancel", cancel_import, write, "Stop reading a file",
            Takes(NoAttributes, ("CancelImport",), optional=True), gives, keyed=True, errors=verb,
        ),
        Route(
            "POST", f"{one}/release", release_import, write, "Count or reject what a file brought",
            Takes(ReleaseSent, ("ReleaseImport",), {"reject": False}, optional=True), gives, keyed=True, errors=verb,
        ),
        Route("GET", gives.path, list_imports, read, "List imports", gives=gives, many=True, query=PAGE),
        Route("GET", one, get_import, read, "Get an import", gives=gives, errors=(NotFound,)),
        Route(
            "GET", resource.PART.path, list_parts, read, "List parts that were received", gives=resource.PART, many=True,
            query=PAGE, errors=(NotFound,),
        ),
        Route(
            "GET", resource.REJECTION.path, list_rejections, read, "List lines that were not taken",
            gives=resource.REJECTION, many=True, query=PAGE, errors=(NotFound,),
        ),
        Route(
            "GET", f"{resource.REJECTION.path}/download", download_rejections, read, "Download lines that were not taken",
            download="text/csv", errors=(NotFound,),
        ),
    )  # fmt: skip
