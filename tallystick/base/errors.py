"""Errors as values: a class is a code, a status and a title; an instance says what was wrong with this request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the request the fault is: a JSON pointer, a query parameter or a header."""

    kind: Literal["pointer", "parameter", "header"]
    name: str


class Refusal(Exception):
    """A request that is understood and not carried out. Verbs return it as an outcome; the road renders it.

    Subclasses stand beside the thing they are about. `code` is stable and unique; `title` never varies; `detail` says what
    is wrong here and what to do about it, and never repeats a secret, a phone number or a body.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(self, detail: str, *, source: Source | None = None, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.source = source
        self.headers = tuple(headers)


class Refusals(Exception):
    """Several faults of one request, told at once. All have one status."""

    def __init__(self, faults: Sequence[Refusal]) -> None:
        assert faults, "Refusals needs at least one fault"
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(faults)


def at(pointer: str) -> Source:
    """The member of the body that `pointer` (RFC 6901) names."""
    return Source("pointer", pointer)


def attribute(name: str) -> Source:
    """The attribute `name` of the document's resource."""
    return Source("pointer", f"/data/attributes/{name}")


def parameter(name: str) -> Source:
    """The query parameter `name`."""
    return Source("parameter", name)


def header(name: str) -> Source:
    """The request header `name`."""
    return Source("header", name)


class InvalidRequest(Refusal):
    code, status, title = "InvalidRequest", 400, "The request is not valid."


class Unauthorized(Refusal):
    code, status, title = "Unauthorized", 401, "The credentials are missing or not valid."


class InsufficientScope(Refusal):
    code, status, title = "InsufficientScope", 403, "The credentials do not carry the scope this needs."


class AccessNotApproved(Refusal):
    code, status, title = "AccessNotApproved", 403, "Access has not been approved, or has ended."


class NotFound(Refusal):
    code, status, title = "NotFound", 404, "There is no such resource."


class MethodNotAllowed(Refusal):
    code, status, title = "MethodNotAllowed", 405, "The resource does not take this method."


class NotAcceptable(Refusal):
    code, status, title = "NotAcceptable", 406, "No media type asked for can be answered."


class IdempotencyConflict(Refusal):
    code, status, title = "IdempotencyConflict", 409, "The idempotency key was used with another request."


class TypeConflict(Refusal):
    code, status, title = "TypeConflict", 409, "The document's type does not belong to this endpoint."


class IdConflict(Refusal):
    code, status, title = "IdConflict", 409, "The document's id is not the one in the path."


class InvalidState(Refusal):
    code, status, title = "InvalidState", 409, "The resource's state does not allow this."


class PayloadTooLarge(Refusal):
    code, status, title = "PayloadTooLarge", 413, "The request is larger than this endpoint takes."


class UnsupportedMediaType(Refusal):
    code, status, title = "UnsupportedMediaType", 415, "The request's media type is not supported."


class QuotaExceeded(Refusal):
    code, status, title = "QuotaExceeded", 409, "A limit that was agreed is used up."


class RateLimited(Refusal):
    code, status, title = "RateLimited", 429, "Too many requests."


class RequestTimeout(Refusal):
    code, status, title = "RequestTimeout", 408, "The request did not arrive in time."


class HeadersTooLarge(Refusal):
    code, status, title = "HeadersTooLarge", 431, "The request's headers are too large."


class UnexpectedError(Refusal):
    code, status, title = "UnexpectedError", 500, "Something went wrong on our side."


class Unavailable(Refusal):
    code, status, title = "Unavailable", 503, "The service cannot answer just now; try again shortly."
