"""The door of systems: a document comes to the address of its integration, and its signature is all the proof there is.

Whoever cannot prove to be the system gets one answer, whether the integration exists, is disabled or is another's: the same words,
and the same work behind them. Proved ones spend a rate of their own. A document that cannot be taken is answered with success,
since sending it again would change nothing: the partner sees it among the integration's faults.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

import tallystick.integrations.store as store
from tallystick import partners
from tallystick.base import faults, ids, mediatypes
from tallystick.base.batcher import Batcher
from tallystick.base.errors import Refusal, Unauthorized
from tallystick.base.page_table import Answered, Headers, NamedPage
from tallystick.base.ports import LogEntry, Taken
from tallystick.base.work import NOBODY, Asked, Caller, Runtime, Tenant
from tallystick.integrations.adapters import ADAPTERS
from tallystick.integrations.model import RECEIVING, Delivery, Integration
from tallystick.integrations.receiving import take_in
from tallystick.integrations.turned_away import TurnedAway

BODY_BYTES: Final = 1024 * 1024
ROUTE: Final = f"{RECEIVING}{{id}}"
RATE_PER_MINUTE: Final = 3_000
RATE_BURST: Final = 600
"""What one integration may send: a busy chain's tills, and what a system sends again after an outage."""

NOT_SIGNED: Final = (
    "No system that is known here has signed this. "
    "Verify the address, the signing secret, and that the integration is enabled."
)
_NO_TENANT: Final = Tenant(NOBODY, NOBODY, "production")


class Limiter(Protocol):
    """How much each integration may send."""

    def take(self, caller: Caller) -> Taken: ...


@dataclass(frozen=True, slots=True)
class _Opened:
    """The integration at an address, who acts for it, and the secrets that are taken there."""

    integration: Integration
    caller: Caller
    secrets: tuple[bytes, bytes]


class Door:
    """One for each process."""

    def __init__(
        self, runtime: Runtime, batcher: Batcher, limiter: Limiter, base_url: str, log: Callable[[LogEntry], None]
    ) -> None:
        self._runtime, self._batcher, self._limiter, self._log = runtime, batcher, limiter, log
        self._base_url = base_url
        # Nobody knows these keys. As much is computed with them where there is no secret as with real ones.
        self._dummies = (runtime.keys.derive("no-integration", b"1"), runtime.keys.derive("no-integration", b"2"))
        self._turned_away = TurnedAway(runtime)

    def pages(self) -> dict[tuple[str, str], NamedPage]:
        """The page that systems send to."""
        return {("POST", ROUTE): NamedPage(self.receive, BODY_BYTES)}

    def start(self) -> None:
        """Begin to count what is turned away, in the background."""
        self._turned_away.start()

    async def close(self) -> None:
        """Count what waits, and stop."""
        await self._turned_away.close()

    async def receive(self, name: str, headers: Headers, query: bytes, body: bytes) -> Answered:
        """Take one document. Raises what the absence of the database raises: the system sends it again."""
        at, began, request_id = self._runtime.clock(), time.perf_counter_ns(), ids.new()
        opened = await self._open(ids.parse(name) or NOBODY, at)
        sent = {header.decode("latin-1"): value.decode("latin-1") for header, value in headers.items()}
        url = f"{self._base_url}{RECEIVING}{name}" + (f"?{query.decode('latin-1')}" if query else "")
        is_proved = self._is_proved(opened, url, sent, body)
        if opened is None or not is_proved or opened.integration.status != "active":
            if opened is not None:
                self._turned_away.add(opened.caller.tenant, opened.integration.id)
            refusal: Refusal = _not_signed()
            more: Sequence[tuple[str, str]] = ()
        else:
            taken = self._limiter.take(_metered(opened))
            if taken.refused is None:
                return await self._take(opened, sent, body, request_id, taken.headers)
            refusal, more = taken.refused, taken.headers
        self._note(opened, refusal, at, request_id, began)
        return _answered(refusal, more, name, request_id, at)

    async def _open(self, integration_id: UUID, now: datetime) -> _Opened | None:
        """What stands at the address. As much is looked up where nothing does."""
        pool = self._runtime.pool
        async with pool.lend() as db:
            door = await store.door(db, integration_id)
        caller = await partners.caller_of(pool, NOBODY if door is None else door[1])
        async with self._runtime.reading(_NO_TENANT if caller is None else caller.tenant) as work:
            integration = (await store.by_ids(work, [integration_id])).get(integration_id)
        if integration is None or caller is None:
            return None
        opens = self._runtime.keys.open_sealed
        former = self._dummies[1]
        if integration.former_secret_sealed is not None and _still(integration.former_until, now):
            former = opens(integration.former_secret_sealed, integration.id.bytes)
        return _Opened(integration, caller, (opens(integration.secret_sealed, integration.id.bytes), former))

    def _is_proved(self, opened: _Opened | None, url: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the system has signed it. All secrets are tried, whichever is right."""
        if opened is None:
            adapter, secrets = next(iter(ADAPTERS.values())), self._dummies
        else:
            adapter, secrets = ADAPTERS[opened.integration.system], opened.secrets
        proofs = [adapter.is_signed(secret, url, headers, body) for secret in secrets]
        return opened is not None and any(proofs)

    async def _take(
        self,
        opened: _Opened,
        headers: Mapping[str, str],
        body: bytes,
        request_id: UUID,
        more: Sequence[tuple[str, str]],
    ) -> Answered:
        integration = opened.integration
        kept = {name: headers[name] for name in ADAPTERS[integration.system].kept if name in headers}
        asked = Asked(opened.caller, request_id, "POST", ROUTE)
        outcome = await self._batcher.submit(take_in, opened.caller.tenant, Delivery(asked, integration.id, kept, body))
        content = msgspec.json.encode({"outcome": outcome.what, "detail": outcome.detail})
        return 200, [("content-type", "application/json"), ("request-id", str(request_id)), *more], content

    def _note(self, opened: _Opened | None, refusal: Refusal, at: datetime, request_id: UUID, began: int) -> None:
        """Log what was refused: in the partner's own log where it came to an integration of theirs."""
        self._log(
            LogEntry(
                at=at,
                request_id=request_id,
                caller=None if opened is None else opened.caller,
                method="POST",
                route=ROUTE,
                status=refusal.status,
                code=refusal.code,
                resource_id=None if opened is None else opened.integration.id,
                replayed=False,
                latency_us=(time.perf_counter_ns() - began) // 1000,
            )
        )


def _metered(opened: _Opened) -> Caller:
    """Whose rate is spent: the integration's own, apart from that of any credential."""
    return replace(
        opened.caller, client_id=opened.integration.id, rate_per_minute=RATE_PER_MINUTE, rate_burst=RATE_BURST
    )


def _still(until: datetime | None, now: datetime) -> bool:
    return until is not None and now < until


def _not_signed() -> Unauthorized:
    return Unauthorized(NOT_SIGNED, headers=[("www-authenticate", 'Signature realm="tallystick"')])


def _answered(refusal: Refusal, more: Sequence[tuple[str, str]], name: str, request_id: UUID, at: datetime) -> Answered:
    content = faults.render([refusal], None, RECEIVING + name, request_id, at)
    headers = [("content-type", mediatypes.JSON_API), ("request-id", str(request_id)), *more, *refusal.headers]
    return refusal.status, headers, content
