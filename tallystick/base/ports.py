"""What the road asks of rooms above it: who is calling, how much they may ask, and to remember that they did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from tallystick.base.errors import RateLimited
from tallystick.base.work import Caller


class Authenticator(Protocol):
    """Who is calling, by two headers."""

    def cached(self, client_id: str | None, authorization: str | None) -> Caller | None: ...
    async def look_up(self, client_id: str | None, authorization: str | None) -> Caller: ...


class Taken(Protocol):
    """What the limiter says of one request."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def refused(self) -> RateLimited | None: ...


class Limiter(Protocol):
    """How much each client may ask."""

    def take(self, caller: Caller) -> Taken: ...


class LogEntry(msgspec.Struct, frozen=True):
    """One request that ended. `route` is a pattern of ours, never the path that was sent."""

    at: datetime
    request_id: UUID
    caller: Caller | None
    method: str
    route: str
    status: int
    code: str | None
    resource_id: UUID | None
    replayed: bool
    latency_us: int


class RequestLog(Protocol):
    """Where requests are remembered."""

    def add(self, entry: LogEntry) -> None: ...
