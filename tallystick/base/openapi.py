"""The OpenAPI 3.1 document of a table of routes: what is dispatched is what is described."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from tallystick.base.errors import IdempotencyConflict, Refusal
from tallystick.base.mediatypes import JSON, JSON_API
from tallystick.base.openapi_errors import COMMON, ERROR, ERROR_DOCUMENT, Errors
from tallystick.base.openapi_shapes import EXAMPLE_ID, Schema, Shapes, is_feed
from tallystick.base.openapi_told import Told
from tallystick.base.routes import Parameter, Resource, Route
from tallystick.base.topics import Topic
from tallystick.base.work import OPERATOR

VERSION: Final = "3.1.0"
SUMMARY: Final = "Merchant rewards and stored value, with books that always add up."
DESCRIPTION: Final = (
    "JSON:API 1.1. Money is an integer in minor units beside an ISO 4217 currency; ids are UUIDs; instants are ISO 8601 in UTC "
    "with milliseconds. Every write can be retried safely with its idempotency key. Every error has a stable `code`."
)
API: Final = "/api/v1/"
KEY_MAX: Final = 255

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_EXAMPLES: Final[Mapping[str, str]] = {
    "filter[phoneNumber]": "+15551234567",
    "filter[userId]": EXAMPLE_ID,
    "filter[merchantId]": EXAMPLE_ID,
    "filter[requestId]": EXAMPLE_ID,
    "filter[topic]": "reward.credited",
    "asOf": "2026-03-02T09:00:00.000Z",
}
"""What a query parameter of this name may look like."""

_HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    "Request-Id": ("Name it when you report a problem.", {"type": "string", "format": "uuid"}),
    "RateLimit": ("How many requests are left (r), and seconds until all are there again (t).", {"type": "string"}),
    "RateLimit-Policy": ("How many requests (q) a window of seconds (w) takes.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 1}),
    "Location": ("Where the resource is.", {"type": "string", "format": "uri-reference"}),
    "Idempotent-Replayed": ("The original answer, given again.", {"type": "string", "const": "true"}),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string"}),
}
_HEADERS_OF_ALL: Final = ("Request-Id", "RateLimit", "RateLimit-Policy")
"""Of every answer to who has a credential."""
_EVENT_HEADERS: Final[Mapping[str, str]] = {
    "webhook-id": "The id of the event; the same on every attempt.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "Signatures of id, timestamp and body, separated by spaces: v1 (HMAC-SHA256), v1a (Ed25519).",
}


def document(
    routes: Iterable[Route],
    *,
    topics: Iterable[Topic],
    scopes: Mapping[str, str],
    title: str,
    version: str,
    server_url: str,
    errors: Sequence[type[Refusal]] = COMMON,
    told: Told,
) -> dict[str, Any]:
    """The document. `told` is what events hold.

    The same table gives the same document. Raises ValueError where two operations, schemas or errors want one name.
    """
    operations = _named(routes)
    shapes, faults = Shapes(operations), Errors(errors)
    shapes.add("Error", ERROR)
    shapes.add("Errors", ERROR_DOCUMENT)
    server = server_url.rstrip("/")
    paths: dict[str, dict[str, Any]] = {}
    for name, route in operations.items():
        path = paths.setdefault(route.path, _path_item(route))
        path[route.method.lower()] = _operation(name, route, shapes, faults)
    webhooks = {topic.name: _webhook(topic, told) for topic in topics}
    for name, schema in told.schemas.items():
        shapes.add(name, schema)
    return {
        "openapi": VERSION,
        "info": {
            "title": title,
            "summary": SUMMARY,
            "description": DESCRIPTION,
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(route) for route in operations.values())],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": dict(sorted(shapes.schemas.items())),
            "responses": dict(sorted(faults.responses.items())),
            "parameters": {"Idempotency-Key": _key_parameter()},
            "headers": {name: {"description": said, "schema": schema} for name, (said, schema) in _HEADERS.items()},
            "examples": faults.examples,
            "securitySchemes": _security_schemes(server, scopes),
        },
        "x-errors": faults.catalogue,
    }


def encode(document: Mapping[str, Any]) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document)


def _named(routes: Iterable[Route]) -> dict[str, Route]:
    """Routes by their operation ids."""
    named: dict[str, Route] = {}
    for route in routes:
        name = _operation_id(route)
        if name in named:
            raise ValueError(f"{route.method} {route.path} has the operation id of another route, {name}")
        named[name] = route
    return named


def _operation_id(route: Route) -> str:
    """The name of the handler, which code that was generated from the document calls it by; else of the summary."""
    name = getattr(_function(route), "__name__", "")
    words = name.strip("_").split("_") if name.isidentifier() else re.findall(r"[a-z0-9]+", route.summary.lower())
    return str(words[0] + "".join(word.capitalize() for word in words[1:]))


def _function(route: Route) -> Any:
    handler: Any = route.handler
    while isinstance(handler, partial):
        handler = handler.func
    return handler


def _tag(route: Route) -> str:
    return route.path.removeprefix(API).strip("/").split("/")[0].replace("-", " ").capitalize()


def _path_item(route: Route) -> dict[str, Any]:
    names = _PARAMETER.findall(route.path)
    return {"parameters": [_path_parameter(name) for name in names]} if names else {}


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "uuid"} if name.lower().endswith("id") else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _operation(name: str, route: Route, shapes: Shapes, errors: Errors) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [_tag(route)],
        "summary": route.summary,
        "description": inspect.getdoc(_function(route)) or route.summary,
    }
    parameters = [_query_parameter(known) for known in route.query]
    parameters += [{**_query_parameter(known), "in": "header"} for known in route.headers]
    if route.keyed:
        parameters.append({"$ref": "#/components/parameters/Idempotency-Key"})
    if parameters:
        operation["parameters"] = parameters
    if route.raw is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {route.raw: {"schema": {"type": "string", "format": "binary"}}},
        }
    if route.takes is not None:
        operation["requestBody"] = _request_body(name, route, shapes)
    many = {} if route.verdicts is None else {"200": _verdicts(route, shapes)}
    operation["responses"] = {str(route.status): _success(route, shapes), **many, **errors.of(route)}
    # Either an access token, or the id and the secret of the client together.
    both: list[dict[str, list[str]]] = [{"oauth2": [route.scope or ""]}, {"clientId": [], "clientSecret": []}]
    if route.scope == OPERATOR:
        both = [{"operatorSecret": []}]
    operation["security"] = [] if route.scope is None else both
    return operation


def _query_parameter(known: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": known.name,
        "in": "query",
        "description": known.description,
        "required": known.required,
        "schema": dict(known.schema),
    }
    if known.name in _EXAMPLES:
        described["example"] = _EXAMPLES[known.name]
    return described


def _key_parameter() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Your name for this very request: sent again with the same body, it is answered as the first time.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[!-~]+$"},
        "example": "case-98765-1",
    }


def _request_body(name: str, route: Route, shapes: Shapes) -> dict[str, Any]:
    takes = route.takes
    assert takes is not None, "a body is of a route that takes one"
    content: dict[str, Any] = {"schema": shapes.request(name, route)}
    if takes.example or takes.optional:
        data: dict[str, Any] = {"type": takes.types[0]}
        if route.method == "PATCH" and route.path.endswith("{id}"):
            data["id"] = EXAMPLE_ID
        if takes.example:
            data["attributes"] = dict(takes.example)
        content["example"] = {"data": data}
    return {"required": not takes.optional, "content": {JSON_API: content, JSON: content}}


def _success(route: Route, shapes: Shapes) -> dict[str, Any]:
    names = ["Request-Id"] if route.scope is None else list(_HEADERS_OF_ALL)
    if route.status in {201, 202}:
        names.append("Location")
    if route.keyed or route.verdicts is not None or IdempotencyConflict in route.errors:
        names.append("Idempotent-Replayed")
    answer: dict[str, Any] = {
        "description": _told(route),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
    }
    if route.download is not None:
        answer["content"] = {route.download: {"schema": {"type": "string", "format": "binary"}}}
    elif route.gives is not None and route.status != 204:
        content: dict[str, Any] = {"schema": shapes.answer(route)}
        found = _example(route, route.gives)
        if route.nullable:
            content["examples"] = {
                **({} if found is None else {"found": {"summary": "There is one.", "value": found}}),
                "nothing": {"summary": "There is none.", "value": {"data": None}},
            }
        elif found is not None:
            content["example"] = found
        answer["content"] = {JSON_API: content}
    return answer


def _verdicts(route: Route, shapes: Shapes) -> dict[str, Any]:
    """The answer to a list of documents."""
    return {
        "description": "A verdict on each document of a list, in its order.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS_OF_ALL},
        "content": {JSON_API: {"schema": shapes.verdicts(route)}},
    }


def _told(route: Route) -> str:
    if route.download is not None:
        return "The download, streamed."
    if route.gives is None or route.status == 204:
        return "Done."
    kind = route.gives.type
    if route.many:
        return f"{kind} resources, a page of them."
    said = {201: f"The {kind} that was made.", 202: f"Accepted. The {kind} as it is now."}
    return said.get(route.status, f"The {kind}, or null." if route.nullable else f"The {kind}.")


def _example(route: Route, kind: Resource) -> dict[str, Any] | None:
    """A whole document, where the resource has an example."""
    if not kind.example:
        return None
    data = {"id": EXAMPLE_ID, "type": kind.type, "attributes": dict(kind.example)}
    if not route.many:
        return {"data": data}
    if is_feed(route):
        return {"data": [data], "meta": {"limit": 10}, "links": {"next": None}}
    only = {known.name: _EXAMPLES[known.name] for known in route.query if known.required and known.name in _EXAMPLES}
    path = _PARAMETER.sub(EXAMPLE_ID, route.path)
    here = f"{path}?{urlencode({**only, 'page[offset]': 0, 'page[limit]': 10})}"
    links = {"self": here, "first": here, "prev": None, "next": None, "last": here}
    return {"data": [data], "meta": {"total": 1, "limit": 10, "offset": 0}, "links": links}


def _webhook(topic: Topic, told: Told) -> dict[str, Any]:
    """The request that tells of an event."""
    content: dict[str, Any] = {"schema": told.envelope(topic)}
    if told.describes(topic):
        content["example"] = told.example(topic)
    words = topic.name.replace(".", "_").split("_")
    return {
        "post": {
            "operationId": "on" + "".join(word.capitalize() for word in words),
            "tags": ["Events"],
            "summary": topic.summary,
            "description": "Answer any 2xx status once it is kept; the same event may come more than once.",
            "parameters": [
                {"name": name, "in": "header", "required": True, "description": said, "schema": {"type": "string"}}
                for name, said in _EVENT_HEADERS.items()
            ],
            "requestBody": {"required": True, "content": {JSON: content}},
            "responses": {"2XX": {"description": "Kept."}},
            "security": [],
        }
    }


def _security_schemes(server: str, scopes: Mapping[str, str]) -> dict[str, Any]:
    flow = {"tokenUrl": f"{server}/oauth/token", "scopes": dict(scopes)}
    return {
        "oauth2": {
            "type": "oauth2",
            "description": "An access token, by client credentials (RFC 6749, 4.4).",
            "flows": {"clientCredentials": flow},
        },
        "clientId": {
            "type": "apiKey",
            "in": "header",
            "name": "Client-ID",
            "description": "The id of the client; together with its secret.",
        },
        "clientSecret": {
            "type": "http",
            "scheme": "bearer",
            "description": "The secret of the client as `Authorization: Bearer`; together with Client-ID.",
        },
        "operatorSecret": {
            "type": "http",
            "scheme": "bearer",
            "description": "The secret of an operator as `Authorization: Bearer`, for everything under /admin.",
        },
    }
