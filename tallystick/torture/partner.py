"""A partner's integration: sends commands over HTTP, and is honest about what it does not know."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from tallystick.torture.history import Attempt, Command, Done, Outcome, Refused, Unknown

SECONDS_MAX = 20.0
"""Longer than the house lets a request wait for its database."""
ANSWERED_LATER = (429, 500, 502, 503, 504)
Request = tuple[str, str, object, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a partner calls with, and for which merchant."""

    base_url: str
    client_id: str
    client_secret: str
    merchant_id: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Client-ID": self.client_id,
            "Authorization": f"Bearer {self.client_secret}",
            "Content-Type": "application/vnd.api+json",
        }


class Partner:
    """Sends commands, and remembers which ids were answered. A command's request is the same each time it is sent."""

    def __init__(self, session: aiohttp.ClientSession, credential: Credential) -> None:
        self._session, self._credential = session, credential
        self._ids: dict[str, str] = {}
        self._amounts: dict[str, int] = {}
        self.attempts: list[Attempt] = []
        self.faults: list[str] = []
        """Answers that no client should ever get."""

    async def send(self, command: Command, *, hang_up_after: float | None = None) -> Outcome:
        """Send a command; with `hang_up_after` seconds the patience ends there."""
        sent = time.monotonic()
        outcome = await self._send(command, SECONDS_MAX if hang_up_after is None else hang_up_after)
        if isinstance(outcome, Done) and outcome.id is not None and command.kind in ("issue", "add user"):
            self._ids[command.key] = outcome.id
            self._amounts[command.key] = command.amount
        self.attempts.append(Attempt(command, sent, time.monotonic(), outcome, hang_up_after is not None))
        return outcome

    async def send_half(self, command: Command) -> Outcome:
        """Send the beginning of a request and hang up."""
        await break_off(self._credential, self._request(command))
        now = time.monotonic()
        self.attempts.append(Attempt(command, now, now, Unknown("hung up"), hung_up=True))
        return Unknown("hung up")

    async def settle(self, command: Command, seconds: float) -> Outcome:
        """Send the same again until the outcome is known."""
        deadline = time.monotonic() + seconds
        outcome = await self.send(command)
        while isinstance(outcome, Unknown) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            outcome = await self.send(command)
        return outcome

    async def rewards_of(self, phone: str) -> Sequence[Mapping[str, Any]]:
        """Every reward the house lists for a phone."""
        found: list[Mapping[str, Any]] = []
        while True:
            page = f"rewards?filter[phoneNumber]={quote(phone)}&page[offset]={len(found)}&page[limit]=50"
            answer = await self._get(page)
            found += answer["data"]
            if not answer["data"] or len(found) >= answer["meta"]["total"]:
                return found

    async def balance_of(self, wallet_id: str) -> int:
        """What a wallet holds and may spend."""
        answer = await self._get(f"wallets/{wallet_id}")
        return int(answer["data"]["attributes"]["balance"]["available"])

    async def answers(self) -> bool:
        """Whether the house answers its partner."""
        try:
            await self._get("rewards/0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return True

    async def _get(self, path: str) -> Any:
        url = f"{self._credential.base_url}/api/v1/{path}"
        patience = aiohttp.ClientTimeout(SECONDS_MAX)
        async with self._session.get(url, headers=self._credential.headers, timeout=patience) as answer:
            answer.raise_for_status()
            return await answer.json(content_type=None)

    async def _send(self, command: Command, seconds: float) -> Outcome:
        method, path, document, headers = self._request(command)
        url = f"{self._credential.base_url}/api/v1/{path}"
        try:
            async with self._session.request(
                method,
                url,
                data=None if document is None else json.dumps(document),
                headers={**self._credential.headers, **headers},
                timeout=aiohttp.ClientTimeout(seconds),
            ) as answer:
                return self._outcome(command, answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Unknown(type(error).__name__)

    def _outcome(self, command: Command, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
        if status in ANSWERED_LATER:
            if status != 503 or "Retry-After" not in headers:
                self.faults.append(f"{command.kind} {command.key} was answered {status} by the house: {body[:300]!r}")
            return Unknown(str(status))
        if status >= 400:
            return Refused(str(json.loads(body)["errors"][0]["code"]))
        data = json.loads(body)["data"] if body else {}
        return Done(data.get("id"), data.get("attributes", {}))

    def _request(self, command: Command) -> Request:
        """Method, path, document and headers of a command."""
        of = str(command.of)
        if command.kind in ("issue", "replay", "change key"):
            key = command.key if command.kind == "issue" else of
            amount = self._amounts[of] if command.kind == "replay" else command.amount
            wish = {"phoneNumber": command.phone, "amount": amount, "idempotencyKey": key, "reasonCode": key}
            return "POST", "rewards", _document("IssueReward", wish), {}
        keyed = {"Idempotency-Key": command.key}
        if command.kind == "update":
            changes = {"amount": command.amount}
            return "PATCH", f"rewards/{self._ids[of]}", _document("UpdateReward", changes), keyed
        if command.kind == "cancel":
            return "DELETE", f"rewards/{self._ids[of]}", None, keyed
        if command.kind == "add user":
            user = {"phoneNumber": command.phone, "phoneVerified": True}
            return "POST", "users", _document("User", user), keyed
        wallet = {"userId": self._ids[of], "merchantId": self._credential.merchant_id}
        return "POST", "wallets", _document("Wallet", wallet), keyed


async def break_off(credential: Credential, request: Request) -> None:
    """Send the first half of a request, and hang up."""
    where = urlsplit(credential.base_url)
    method, path, document, headers = request
    body = json.dumps(document).encode()
    lines = [f"{method} /api/v1/{path} HTTP/1.1", f"Host: {where.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in {**credential.headers, **headers}.items()]
    try:
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body[: len(body) // 2])
        await writer.drain()
        writer.transport.abort()
    except OSError:
        pass  # there was nobody to hang up on


def _document(kind: str, attributes: Mapping[str, object]) -> object:
    return {"data": {"type": kind, "attributes": attributes}}
