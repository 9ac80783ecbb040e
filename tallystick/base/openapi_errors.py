"""The errors of the OpenAPI document: which codes a route may answer, what each means, and what to do about it."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from tallystick.base.errors import (
    AccessNotApproved,
    HeadersTooLarge,
    IdConflict,
    IdempotencyConflict,
    InsufficientScope,
    InvalidRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Refusal,
    RequestTimeout,
    TypeConflict,
    Unauthorized,
    Unavailable,
    UnexpectedError,
    UnsupportedMediaType,
)
from tallystick.base.mediatypes import JSON_API
from tallystick.base.routes import Route

Kind = type[Refusal]

COMMON: Final[tuple[Kind, ...]] = (
    InvalidRequest,
    Unauthorized,
    InsufficientScope,
    AccessNotApproved,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    IdempotencyConflict,
    TypeConflict,
    IdConflict,
    PayloadTooLarge,
    UnsupportedMediaType,
    RateLimited,
    HeadersTooLarge,
    UnexpectedError,
    Unavailable,
)
"""What the road answers for every room."""

_WITH_CREDENTIAL: Final = frozenset({Unauthorized, InsufficientScope, AccessNotApproved, RateLimited})
_WITH_BODY: Final = frozenset({RequestTimeout, TypeConflict, PayloadTooLarge, UnsupportedMediaType})
# Nothing that a described operation does leads to these: a path or a method that is in no table, or an id that a room looks for.
_ELSEWHERE: Final = frozenset({NotFound, MethodNotAllowed})

REMEDIES: Final[Mapping[str, str]] = {
    "InvalidRequest": "Correct what source points at. All faults of a request are told at once.",
    "Unauthorized": "Check the Client-ID and the secret, or get a new access token.",
    "InsufficientScope": "Use a credential that carries the scope of this operation.",
    "AccessNotApproved": "Ask the operator of the platform about your agreement.",
    "NotFound": "Verify the id. What belongs to others is answered in the same way.",
    "MethodNotAllowed": "Use one of the methods that the header Allow names.",
    "NotAcceptable": "Accept application/vnd.api+json without parameters, or */*.",
    "RequestTimeout": "Send the whole request within ten seconds; then retry it.",
    "IdempotencyConflict": "Use a new key, or send exactly the original request again.",
    "TypeConflict": "Send the type that this operation documents.",
    "IdConflict": "Send the id of the path, or none.",
    "InvalidState": "Read the resource first: its state tells what it allows.",
    "ValueLeft": "Let them spend it, take it back, or send forfeitValue: true.",
    "Erased": "Nothing can be done: the person is to be forgotten. Forget them, too.",
    "PayloadTooLarge": "Send less in one request.",
    "UnsupportedMediaType": "Send application/vnd.api+json, without parameters and without a content encoding.",
    "QuotaExceeded": "Wait until the period of the limit ends, or agree on a higher one.",
    "RateLimited": "Wait as long as Retry-After says, then go on more slowly.",
    "HeadersTooLarge": "Send fewer or shorter headers.",
    "UnexpectedError": "Retry with the same idempotency key; if it stays, report the requestId.",
    "Unavailable": "Retry with the same idempotency key after Retry-After.",
    "WalletNotFound": "Verify the phone number.",
    "MultipleActiveWallets": "Merge the users with POST /users/{id}/merge, then try again.",
    "WalletNotIssuable": "Wait for the wallet's state to resolve, or use a different channel.",
    "PreIssuedConflict": "Update or cancel the reward that waits.",
    "InsufficientFunding": "Ask the merchant to fund, or give less.",
    "WalletExists": "Use the wallet that is open.",
    "PingFailed": "Answer a signed ping with a 2xx status, then enable the webhook again.",
    "PartConflict": "Send this content under another number, or begin a new import.",
    "FileDiffers": "Look at the file, and whether it changed while it was sent; begin a new import.",
    "CardTokenTaken": "Merge the two users if they are one, or leave the token out.",
    "LocationExternalIdTaken": "Use another external id, or change the location that has it.",
    "ExternalIdTaken": "Use another external id, or change the user who has it.",
    "InsufficientValue": "Take the rest in another way with allowPartial, or add a source.",
    "SourceNotUsable": "Take another means of payment.",
    "PaymentLimit": "Ask for an amount within the merchant's terms, or another day.",
    "PaymentReversed": "Begin a new payment with a new reference.",
    "DuplicateReference": "Use the payment that has the reference, or a new reference.",
    "HoldExpired": "Authorise anew.",
    "SourceClosed": "Give the money back in another way.",
    "ValueHeld": "Capture or cancel the payments that hold value, then try again.",
    "CodeRefused": "Check the number and the PIN with the holder. Why it is refused is not told.",
    "LookupsBlocked": "Wait as long as Retry-After says; look up only numbers that holders show.",
    "AlreadyDownloaded": "Reveal single cards, or repeat with the key of the first download within a day.",
    "CashOutNotAllowed": "Spend the rest, or ask where the law lets it be paid out.",
    "SecondPersonNeeded": "Have another credential of yours with gift-cards:approve decide.",
    "PermissionMissing": "Record the customer's permission, or ask the operator about your agreement.",
    "ChangedDuplicate": "Send corrections as a refund or void, and what is new under an id of its own.",
    "ReportNotReady": "Ask again when the report is completed.",
    "WorkOutstanding": "Wait until what is due before the period's end is done, then close it.",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    400: "Correct the request.",
    403: "Ask the operator of the platform.",
    404: "Verify the id.",
    409: "Read the resource first and decide anew.",
}
_OTHERWISE: Final = "Read the detail; if it does not help, report the requestId."

ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "One fault. Branch on `code`: it is stable.",
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "This occurrence of the error."},
        "status": {"type": "string", "pattern": "^[45][0-9]{2}$", "description": "The HTTP status, as text."},
        "code": {"type": "string", "description": "Stable; catalogued below."},
        "title": {"type": "string", "description": "What the code means; never varies."},
        "detail": {"type": "string", "description": "What is wrong here and what to do about it."},
        "source": {
            "type": "object",
            "description": "Where in the request the fault is.",
            "properties": {
                "pointer": {"type": "string", "description": "A JSON Pointer into the body."},
                "parameter": {"type": "string", "description": "A query parameter."},
                "header": {"type": "string", "description": "A request header."},
            },
        },
        "meta": {
            "type": "object",
            "properties": {
                "environment": {"type": ["string", "null"], "enum": ["sandbox", "production", None]},
                "timestamp": {"type": "string", "format": "date-time"},
                "path": {"type": "string"},
                "requestId": {"type": "string", "format": "uuid", "description": "Name it when you report a problem."},
            },
            "required": ["environment", "timestamp", "path", "requestId"],
        },
    },
    "required": ["id", "status", "code", "title", "detail", "meta"],
}
ERROR_DOCUMENT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "errors": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"$ref": "#/components/schemas/Error"}}
    },
    "required": ["errors"],
}


class Errors:
    """Collects the error responses of routes; each set of codes is described once, as a shared component."""

    def __init__(self, common: Sequence[Kind] = COMMON) -> None:
        self._common = tuple(common)
        self._met: dict[str, Kind] = {}
        self.responses: dict[str, Any] = {}
        for kind in common:
            self._meet(kind)

    def of(self, route: Route) -> dict[str, Any]:
        """The error responses of a route by status."""
        by_status: dict[int, list[Kind]] = {}
        answered = dict.fromkeys((*(kind for kind in self._common if _applies(kind, route)), *route.errors))
        for kind in answered:
            self._meet(kind)
            by_status.setdefault(kind.status, []).append(kind)
        return {str(status): self._response(status, by_status[status]) for status in sorted(by_status)}

    @property
    def examples(self) -> dict[str, Any]:
        """An example document for each code, by code."""
        return {code: {"summary": kind.title, "value": _example(kind)} for code, kind in self._sorted()}

    @property
    def catalogue(self) -> list[dict[str, Any]]:
        """Every code with its meaning and what to do about it, by status."""
        common = {kind.code for kind in self._common}
        return [
            {
                "code": code,
                "status": kind.status,
                "title": kind.title,
                "remedy": remedy(kind),
                "common": code in common,
            }
            for code, kind in self._sorted()
        ]

    def _sorted(self) -> Iterable[tuple[str, Kind]]:
        return sorted(self._met.items(), key=lambda each: (each[1].status, each[0]))

    def _meet(self, kind: Kind) -> None:
        known = self._met.setdefault(kind.code, kind)
        if (known.status, known.title) != (kind.status, kind.title):
            raise ValueError(f"two errors have the code {kind.code}")

    def _response(self, status: int, kinds: Sequence[Kind]) -> dict[str, str]:
        codes = sorted(kind.code for kind in kinds)
        name = ".".join(codes)
        if name not in self.responses:
            self.responses[name] = {
                "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}.",
                "headers": {each: {"$ref": f"#/components/headers/{each}"} for each in _headers(status)},
                "content": {
                    JSON_API: {
                        "schema": _schema(status, codes),
                        "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
                    }
                },
            }
        return {"$ref": f"#/components/responses/{name}"}


def remedy(kind: Kind) -> str:
    """What a caller can do about an error: from the catalogue, else as its class says, else by its status."""
    said = inspect.cleandoc(vars(kind).get("__doc__") or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")
    return REMEDIES.get(kind.code) or said or _BY_STATUS.get(kind.status, _OTHERWISE)


def _applies(kind: Kind, route: Route) -> bool:
    if kind in _WITH_CREDENTIAL:
        return route.scope is not None
    if kind in _WITH_BODY:
        return route.takes is not None
    if kind is IdConflict:
        return route.takes is not None and "{id}" in route.path
    if kind is IdempotencyConflict:
        return route.keyed
    return kind not in _ELSEWHERE


def _headers(status: int) -> tuple[str, ...]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ("Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ("Request-Id", "Retry-After")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ("Request-Id", "WWW-Authenticate")
    return ("Request-Id",)


def _schema(status: int, codes: Sequence[str]) -> dict[str, Any]:
    narrowed = {"properties": {"status": {"const": str(status)}, "code": {"enum": list(codes)}}}
    return {
        "allOf": [
            {"$ref": "#/components/schemas/Errors"},
            {"type": "object", "properties": {"errors": {"type": "array", "items": narrowed}}},
        ]
    }


_SOURCES: Final[Mapping[Kind, Mapping[str, str]]] = {
    InvalidRequest: {"pointer": "/data/attributes/amount"},
    TypeConflict: {"pointer": "/data/type"},
    IdConflict: {"pointer": "/data/id"},
    NotAcceptable: {"header": "Accept"},
    UnsupportedMediaType: {"header": "Content-Type"},
}


def _example(kind: Kind) -> dict[str, Any]:
    error: dict[str, Any] = {
        "id": "0199d3c0-7a2b-7e11-8f04-5b6c7d8e9f01",
        "status": str(kind.status),
        "code": kind.code,
        "title": kind.title,
        "detail": "A whole number from 1 to 2147483647 is wanted." if kind is InvalidRequest else remedy(kind),
        "meta": {
            "environment": None if kind is Unauthorized else "sandbox",
            "timestamp": "2026-06-17T12:00:00.000Z",
            "path": "/api/v1/rewards",
            "requestId": "0199d3c0-7a2b-7d00-9c3e-1a2b3c4d5e6f",
        },
    }
    if kind in _SOURCES:
        error["source"] = dict(_SOURCES[kind])
    return {"errors": [error]}
