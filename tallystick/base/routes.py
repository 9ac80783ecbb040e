"""Routes are a table: what a room offers, who may call it, what goes in and what comes out.

The same table makes the dispatch, the scope check, the OpenAPI document and the reference page.
"""

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from tallystick.base.batcher import Batcher
from tallystick.base.errors import Refusal, Refusals
from tallystick.base.settings import Settings
from tallystick.base.work import Asked, Caller, Runtime

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of resource on the wire: its `type`, its path and the struct of its attributes (camelCase)."""

    type: str
    path: str
    attributes: builtins.type[msgspec.Struct]
    example: Mapping[str, Any] = field(default_factory=dict)
    is_named: bool = False
    """Whether its ids are names, made of what it is about, and no UUIDs."""


@dataclass(frozen=True, slots=True)
class Takes:
    """The document a route takes. `types` are the accepted values of `data.type`, the first one the documented one."""

    attributes: type[msgspec.Struct]
    types: tuple[str, ...]
    example: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False
    """Whether no body at all is fine too: verbs that need nothing."""
    many: int = 0
    """How many documents may come as one list; 0: one at a time only."""


@dataclass(frozen=True, slots=True)
class Several:
    """What a list of documents was read as: of each its attributes, or what is wrong with it."""

    documents: Sequence[msgspec.Struct | Refusals]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, by its full name (`filter[status]`, `page[limit]`)."""

    name: str
    description: str
    required: bool = False
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


PAGE = (
    Parameter("page[offset]", "How many to skip; 0 unless told.", schema={"type": "integer", "minimum": 0}),
    Parameter("page[limit]", "How many to answer, 1 to 50; 10 unless told.", schema={"type": "integer", "minimum": 1}),
)


@dataclass(frozen=True, slots=True)
class House:
    """What handlers work with: made once for a process and handed to every call."""

    settings: Settings
    runtime: Runtime
    batcher: Batcher


@dataclass(slots=True)
class Call:
    """One request on its way in: who, what, and the house it came to."""

    house: House
    route: "Route"
    asked: Asked
    path: Mapping[str, str]
    query: Mapping[str, str]
    """Query parameters by decoded name; each at most once, each declared by the route."""
    attributes: Any
    """The decoded attributes struct of `route.takes`, `Several` where a list came, or None."""
    body_id: str | None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that the route reads and the request has, by lower-case name."""

    @property
    def caller(self) -> Caller:
        return self.asked.caller


@dataclass(slots=True)
class Reply:
    """One answer on its way out. `body` is encoded already; None sends no body."""

    status: int
    body: bytes | None
    headers: list[tuple[str, str]] = field(default_factory=list)
    replayed: bool = False
    resource_id: UUID | None = None
    logged: bool = False
    """Whether the request's log row was written in its own transaction."""
    stream: AsyncIterator[bytes] | None = None
    """A download instead of a body, sent piece by piece; its media type is the route's `download`."""
    live: bool = False
    """Whether the stream goes on until somebody ends it; meanwhile the credential is looked at again and again."""


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a room's table. `scope` None: no credential needed."""

    method: Method
    path: str
    handler: Handler
    scope: str | None
    summary: str
    takes: Takes | None = None
    gives: Resource | None = None
    many: bool = False
    nullable: bool = False
    status: int = 200
    errors: tuple[type[Refusal], ...] = ()
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    """Request headers that the handler reads."""
    keyed: bool = False
    """Whether the `Idempotency-Key` header is taken."""
    download: str | None = None
    """The media type of what is answered instead of a document: a download, streamed."""
    raw: str | None = None
    """The media type of a body that is no document: its bytes are the call's attributes."""
    large: bool = False
    """Whether the larger body limit of batch routes holds."""
    verdicts: type[msgspec.Struct] | None = None
    """The attributes of the verdict on each document of a list, answered 200 with what the list came to as `meta`."""
    verdicts_meta: type[msgspec.Struct] | None = None
