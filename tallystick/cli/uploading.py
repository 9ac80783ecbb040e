"""How `import` sends a file: announced by its digest, so that whoever sends the same file again goes on with what is there."""

import asyncio
import hashlib
import io
import json
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

PART_BYTES: Final = 4 * 1024 * 1024
PAGE: Final = 50
TRIES: Final = 7
"""The last one comes about a quarter of a minute behind the first: for so long a house may be away."""
ATTEMPTS_MAX: Final = 1_000
SILENT_SECONDS: Final = 60.0
CHECKED_SECONDS: Final = 3_600.0
"""Before a file is read the house counts its digest: that takes as long as it takes."""
JSON_API: Final = "application/vnd.api+json"
ENDED: Final = ("failed", "cancelled")

Tell = Callable[[str, int, int], None]
"""Told of a step, how many bytes of it are done, and of how many."""


class Refused(Exception):
    """The house did not take it; the message says why, `code` is the error's own where it has one."""

    def __init__(self, sentence: str, code: str | None = None) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it was when it was looked at, and how it is to be read."""

    file: Path
    size: int
    sha256: str
    attributes: Mapping[str, Any]
    again: bool = False
    """Whether to begin anew where the same file was read to its end already."""


@dataclass(frozen=True, slots=True)
class Found:
    """The import that a file goes to, and how it stands."""

    id: str
    status: str
    earlier: bool
    """Whether an earlier run announced it."""


@dataclass(frozen=True, slots=True)
class House:
    """A running house, and the credential to speak to it with."""

    session: aiohttp.ClientSession
    base_url: str
    headers: Mapping[str, str]

    async def get(self, path: str) -> Any:
        """The document that is answered. Raises Refused."""
        return (await self._sent("GET", path, None, {}))[0]

    async def post(self, path: str, kind: str, attributes: Mapping[str, Any], *, key: str = "") -> tuple[Any, bool]:
        """The resource that is answered, and whether it was answered before. Raises Refused."""
        content = json.dumps({"data": {"type": kind, "attributes": attributes}}).encode()
        headers = {"Content-Type": JSON_API, **({"Idempotency-Key": key} if key else {})}
        body, replayed = await self._sent("POST", path, content, headers)
        return body["data"], replayed

    async def put(self, path: str, content: bytes) -> None:
        """Send bytes. What has no answer is sent again: a part is the same however often it comes. Raises Refused."""
        await self._sent("PUT", path, content, {"Content-Type": "application/octet-stream"})

    async def stream(self, path: str) -> AsyncIterator[bytes]:
        """What is downloaded from a path, piece by piece. Raises Refused."""
        try:
            async with self.session.get(f"{self.base_url}/api/v1/{path}", headers=self.headers) as answer:
                if answer.status >= 300:
                    await _read(answer, "GET", path)
                async for piece in answer.content.iter_any():
                    yield piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Refused(f"GET {path} broke off: {type(error).__name__}.") from None

    async def _sent(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Any, bool]:
        for tried in range(TRIES):
            try:
                sent = None if content is None else io.BytesIO(content)
                async with self.session.request(
                    method, f"{self.base_url}/api/v1/{path}", data=sent, headers={**self.headers, **headers}
                ) as answer:
                    if answer.status not in (429, 503) or tried == TRIES - 1:
                        return await _read(answer, method, path), "Idempotent-Replayed" in answer.headers
            except aiohttp.InvalidURL:
                raise Refused(f"{self.base_url} is no address of a house.") from None
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                if tried == TRIES - 1:
                    raise Refused(f"{method} {path} had no answer: {type(error).__name__}.") from None
            await asyncio.sleep(2**tried / 8)
        raise AssertionError("the last try answers or raises")


def patience() -> aiohttp.ClientTimeout:
    """For how long an answer is waited for."""
    return aiohttp.ClientTimeout(None, sock_connect=SILENT_SECONDS, sock_read=CHECKED_SECONDS)


async def _read(answer: aiohttp.ClientResponse, method: str, path: str) -> Any:
    try:
        body = json.loads(await answer.read())
        errors = [] if answer.status < 300 else list(body["errors"])
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{method} {path} was answered {answer.status} by something that is no house.") from None
    if answer.status < 300:
        return body
    faults = "; ".join(
        f"{each['detail']} ({next(iter(each['source'].values()))})" if each.get("source") else str(each["detail"])
        for each in errors
    )
    raise Refused(f"{method} {path} was answered {answer.status}: {faults}", errors[0]["code"] if errors else None)


def look_at(file: Path, tell: Tell) -> tuple[int, str]:
    """Size and SHA-256 of a file. Raises Refused where it cannot be read, or nothing is in it."""
    counted, size = hashlib.sha256(), 0
    try:
        with file.open("rb") as content:
            total = file.stat()
            if not stat.S_ISREG(total.st_mode):
                raise Refused(f"{file} is no regular file; it is read more than once.")
            while piece := content.read(PART_BYTES):
                counted.update(piece)
                size += len(piece)
                tell("looked at", size, max(size, total.st_size))
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from None
    if size == 0:
        raise Refused(f"{file} is empty.")
    return size, counted.hexdigest()


async def find(house: House, wanted: Wanted) -> Found:
    """The import of this file: the unfinished one of an earlier run, the one that was read to its end, or a new one.

    Its key is made of what is sent, so that two who send the same at once have one import as well. Raises Refused.
    """
    announced = {**wanted.attributes, "sha256": wanted.sha256, "size": wanted.size}
    for attempt in range(ATTEMPTS_MAX):
        said = json.dumps([house.headers["Client-ID"], announced, attempt], sort_keys=True)
        key = f"import-{hashlib.sha256(said.encode()).hexdigest()}"
        try:
            made, replayed = await house.post("imports", "Import", announced, key=key)
        except Refused as refused:
            if refused.code != "IdempotencyConflict":
                raise
            continue  # the client acts for another merchant by now
        if not replayed:
            return Found(made["id"], "uploading", earlier=False)
        status = (await house.get(f"imports/{made['id']}"))["data"]["attributes"]["status"]
        if status not in ENDED and not (wanted.again and status == "completed"):
            return Found(made["id"], status, earlier=True)
    raise Refused(f"This file was begun {ATTEMPTS_MAX} times and never came to its end.")


async def send(house: House, found: Found, wanted: Wanted, tell: Tell) -> bool:
    """Send what is not there yet, and have the file read. False: what is there is of another file, and is given up.

    Somebody else may send the same meanwhile, and be first. Raises Refused.
    """
    received = await _received(house, found.id)
    try:
        number = await _send_parts(house, found.id, wanted, received, tell)
        if number is None:
            await house.post(f"imports/{found.id}/cancel", "CancelImport", {})
            return False
        await house.post(f"imports/{found.id}/start", "StartImport", {"parts": number})
    except Refused as refused:
        if refused.code == "InvalidState":
            return True
        if refused.code == "FileDiffers":
            await house.post(f"imports/{found.id}/cancel", "CancelImport", {})
            raise Refused(f"{wanted.file} changed while it was sent; nothing of it was read.", refused.code) from None
        raise
    return True


async def _send_parts(
    house: House, import_id: str, wanted: Wanted, received: Mapping[int, str], tell: Tell
) -> int | None:
    """How many parts there are; None where one was received that is of another file."""
    number, sent = 0, 0
    try:
        with wanted.file.open("rb") as content:
            while piece := content.read(PART_BYTES):
                number, sent = number + 1, sent + len(piece)
                if number not in received:
                    await house.put(f"imports/{import_id}/parts/{number}", piece)
                elif received[number] != hashlib.sha256(piece).hexdigest():
                    return None
                tell("sent", sent, max(sent, wanted.size))
    except OSError as error:
        raise Refused(f"{wanted.file} cannot be read: {error.strerror}.") from None
    return number if all(each <= number for each in received) else None


async def _received(house: House, import_id: str) -> dict[int, str]:
    """The digests of the parts that are there, by number."""
    found: dict[int, str] = {}
    while True:
        page = await house.get(f"imports/{import_id}/parts?page[offset]={len(found)}&page[limit]={PAGE}")
        found |= {each["attributes"]["number"]: each["attributes"]["sha256"] for each in page["data"]}
        if not page["data"] or len(found) >= page["meta"]["total"]:
            return found
