"""A shop's integration: tells of activity one by one, in lists and in files, and reads what came of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from tallystick.torture.facts import Fact, File, Heard, Regular, Verdict
from tallystick.torture.history import Refused, Unknown
from tallystick.torture.partner import ANSWERED_LATER, SECONDS_MAX, Credential, break_off

PAGE = 50
TRANSACTIONS = "external-transactions"
FIELDS = ("sourceId", "occurredAt", "type", "amount", "phoneNumber", "linkedSourceId")


class Rejected(Exception):
    """The house refused for good what it should have taken; the message says what it said."""


class Shop:
    """One partner's way to the house. `requests` and `unknown` count what was sent and stayed without a definite answer."""

    def __init__(self, session: aiohttp.ClientSession, credential: Credential) -> None:
        self._session, self._credential = session, credential
        self.requests = self.unknown = 0
        self.faults: list[str] = []
        """Answers that no client should ever get."""

    async def write_rule(self, key: str, **attributes: object) -> str:
        """The id of a new threshold that is in force from now on. Raises Rejected."""
        made = await self._done("POST", "thresholds", _document("Threshold", attributes), key)
        await self._done("POST", f"thresholds/{made['id']}/publish", None, f"{key}-publish")
        return str(made["id"])

    async def tell(self, facts: Sequence[Fact], *, hang_up_after: float | None = None) -> list[Verdict]:
        """Tell of these in one request; a verdict on each. One alone goes as a document of its own."""
        answered = await self._ask("POST", TRANSACTIONS, _told(facts), seconds=hang_up_after or SECONDS_MAX)
        if isinstance(answered, Unknown):
            return [answered] * len(facts)
        status, headers, said = answered
        if len(facts) > 1 and status < 400:
            return [self._verdict(fact, each["attributes"]) for fact, each in zip(facts, said["data"], strict=True)]
        if status >= 400:
            return [Refused(str(said["errors"][0]["code"]))] * len(facts)
        return [Heard(str(said["data"]["id"]), "Idempotent-Replayed" not in headers)]

    async def tell_half(self, facts: Sequence[Fact]) -> list[Verdict]:
        """Send the beginning of the request and hang up."""
        self.requests += 1
        self.unknown += 1
        await break_off(self._credential, ("POST", TRANSACTIONS, _told(facts), {}))
        return [Unknown("hung up")] * len(facts)

    async def send_file(self, file: File) -> str | None:
        """Announce a file, send it and have it read, or find that it was; its id, None while that is not sure."""
        content = "".join(json.dumps(_line(fact)) + "\n" for fact in file.facts).encode()
        wish = {"kind": "transaction", "format": "ndjson", "merchantId": self._credential.merchant_id}
        try:
            made = await self._done("POST", "imports", _document("Import", wish), file.key)
            stands = await self._done("GET", f"imports/{made['id']}", None)
            if stands["attributes"]["status"] == "uploading":
                await self._done("PUT", f"imports/{made['id']}/parts/1", content)
                started = _document("StartImport", {"parts": 1})
                await self._done("POST", f"imports/{made['id']}/start", started, f"{file.key}-start")
        except (aiohttp.ClientError, Rejected):
            return None  # refused, too, where what seemed lost has started it meanwhile
        return str(made["id"])

    async def file(self, import_id: str) -> Mapping[str, Any] | None:
        """How far the reading of a file is; None while nobody answers. Raises Rejected."""
        try:
            return dict((await self._done("GET", f"imports/{import_id}", None))["attributes"])
        except aiohttp.ClientError:
            return None

    async def progress_of(self, regular: Regular) -> Sequence[Mapping[str, Any]]:
        """How far a customer is towards each rule."""
        answer = await self._get(f"threshold-progress?filter[userId]={regular.user_id}&page[limit]={PAGE}")
        return [each["attributes"] for each in answer["data"]]

    async def activity_of(self, regular: Regular) -> Sequence[Mapping[str, Any]]:
        """Every transaction that the house has of a customer."""
        found: list[Mapping[str, Any]] = []
        first = path = f"{TRANSACTIONS}?filter[userId]={regular.user_id}&page[limit]={PAGE}"
        while True:
            page = (await self._get(path))["data"]
            found += page
            if len(page) < PAGE:
                return found
            path = f"{first}&page[after]={page[-1]['id']}"

    def _verdict(self, fact: Fact, said: Mapping[str, Any]) -> Verdict:
        """What a list's verdict says of one of its facts."""
        if said["status"] != "rejected":
            return Heard(str(said["activityId"]), said["status"] == "accepted")
        fault = said["errors"][0]
        if int(fault["status"]) not in ANSWERED_LATER:
            return Refused(str(fault["code"]))
        if int(fault["status"]) != 503:
            self.faults.append(
                f"{fact.what} {fact.name} was answered {fault['status']} by the house: {fault['detail']}"
            )
        self.unknown += 1
        return Unknown(str(fault["status"]))

    async def _get(self, path: str) -> Any:
        """What is there. Raises ClientError when the house does not answer, or refuses."""
        answered = await self._ask("GET", path, None)
        if isinstance(answered, Unknown) or answered[0] >= 400:
            raise aiohttp.ClientError(str(answered))
        return answered[2]

    async def _done(self, method: str, path: str, body: object, key: str | None = None) -> Any:
        """What a command answers. Raises ClientError when that is unknown, Rejected when it is refused."""
        answered = await self._ask(method, path, body, key=key)
        if isinstance(answered, Unknown):
            raise aiohttp.ClientError(answered.why)
        if answered[0] >= 400:
            raise Rejected(f"{method} {path} was refused: {answered[2]}")
        return answered[2]["data"]

    async def _ask(
        self, method: str, path: str, body: object, *, key: str | None = None, seconds: float = SECONDS_MAX
    ) -> tuple[int, Mapping[str, str], Any] | Unknown:
        """Status, headers and document of a definite answer. Bytes go as they are."""
        self.requests += 1
        headers = self._credential.headers | ({} if key is None else {"Idempotency-Key": key})
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        sent = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        patience = aiohttp.ClientTimeout(seconds)
        url = f"{self._credential.base_url}/api/v1/{path}"
        try:
            async with self._session.request(method, url, data=sent, headers=headers, timeout=patience) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.unknown += 1
            return Unknown(type(error).__name__)
        if answer.status in ANSWERED_LATER:
            self.unknown += 1
            if answer.status != 503 or "Retry-After" not in answer.headers:
                self.faults.append(f"{method} {path} was answered {answer.status} by the house: {said[:300]!r}")
            return Unknown(str(answer.status))
        return answer.status, answer.headers, json.loads(said) if said else {}


def _told(facts: Sequence[Fact]) -> object:
    documents = [_resource(fact) for fact in facts]
    return {"data": documents[0] if len(documents) == 1 else documents}


def _resource(fact: Fact) -> object:
    told: dict[str, object] = {
        "type": fact.what,
        "source": {"id": fact.name, "createdAt": fact.at},
        "customer": {"phoneNumber": fact.phone},
    }
    if fact.what != "Void":
        told["amount"] = fact.amount
    if fact.of is not None:
        told["linkedExternalTransactionId"] = fact.of
    return {"type": "ExternalTransaction", "attributes": told}


def _line(fact: Fact) -> Mapping[str, object]:
    values = (fact.name, fact.at, fact.what, None if fact.what == "Void" else fact.amount, fact.phone, fact.of)
    return {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}


def _document(kind: str, attributes: Mapping[str, object]) -> object:
    return {"data": {"type": kind, "attributes": attributes}}
