"""Tills: whoever moves stored value over HTTP, many at once. What has no answer is asked again with the same key."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tallystick.torture.partner import ANSWERED_LATER, SECONDS_MAX, Credential

SETTLE_SECONDS = 60.0
AGAIN_SECONDS = 0.1
FAILED = 500
"""A fault of the house, whatever a repetition would say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A definite answer, and when it was asked for first and given (seconds of one clock)."""

    status: int
    id: str | None
    attributes: Mapping[str, Any]
    code: str | None
    sent: float
    ended: float

    @property
    def done(self) -> bool:
        """Whether it was done, now or by an earlier request with the same key."""
        return self.status < 300


class Unanswered(Exception):
    """There was no definite answer in a minute, or the house failed; the message says at what."""


class Tills:
    """Sends requests, counts those that race by kind and the refusals by code."""

    def __init__(self, session: aiohttp.ClientSession, credential: Credential) -> None:
        self._session, self._credential = session, credential
        self.merchant_id = credential.merchant_id
        self.kinds: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.repeats = 0
        self.faults: list[str] = []
        """Answers that no client should ever get."""

    async def race(
        self, kind: str, path: str, type_: str, attributes: Mapping[str, object], key: str | None = None
    ) -> Answer:
        """One operation of a race."""
        answer = await self.post(path, type_, attributes, key)
        self.kinds[kind] += 1
        if answer.code is not None:
            self.refusals[answer.code] += 1
        return answer

    async def post(self, path: str, type_: str, attributes: Mapping[str, object], key: str | None = None) -> Answer:
        """Send a document until the answer is definite. Raises Unanswered."""
        body = json.dumps({"data": {"type": type_, "attributes": attributes}})
        return await self._definite("POST", path, body, {} if key is None else {"Idempotency-Key": key})

    async def get(self, path: str) -> Any:
        """The `data` of what is at a path. Raises Unanswered when it cannot be read."""
        sent = time.monotonic()
        while True:
            status, _, document = await self._once("GET", path, None, {})
            if status == 200:
                return document["data"]
            if status not in (0, *ANSWERED_LATER) or time.monotonic() > sent + SETTLE_SECONDS:
                raise Unanswered(f"GET {path} was answered {status}")
            await asyncio.sleep(AGAIN_SECONDS)

    async def _definite(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> Answer:
        sent = time.monotonic()
        while True:
            status, answered, document = await self._once(method, path, body, headers)
            if status and status not in ANSWERED_LATER:
                return _answer(status, document, sent)
            if status and (status != 503 or "Retry-After" not in answered):
                self.faults.append(f"{method} {path} was answered {status} by the house: {str(document)[:300]}")
            if status == FAILED or time.monotonic() > sent + SETTLE_SECONDS:
                raise Unanswered(f"{method} {path} had no definite answer in {time.monotonic() - sent:.0f} s")
            self.repeats += 1
            await asyncio.sleep(AGAIN_SECONDS)

    async def _once(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], Any]:
        """Status (0: none came), headers and document."""
        url = f"{self._credential.base_url}/api/v1/{path}"
        patience = aiohttp.ClientTimeout(SECONDS_MAX)
        sent = {**self._credential.headers, **headers}
        try:
            async with self._session.request(method, url, data=body, headers=sent, timeout=patience) as answer:
                content = await answer.read()
                return answer.status, answer.headers, json.loads(content) if content else {}
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, {}, {}


def _answer(status: int, document: Any, sent: float) -> Answer:
    if status >= 400:
        return Answer(status, None, {}, str(document["errors"][0]["code"]), sent, time.monotonic())
    found = document["data"]
    return Answer(status, found.get("id"), found["attributes"], None, sent, time.monotonic())
