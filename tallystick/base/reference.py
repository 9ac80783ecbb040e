"""The reference that people read: one page made of the OpenAPI document, which needs neither the network nor a script."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tallystick.base.mediatypes import JSON_API

METHODS: Final = frozenset({"get", "post", "patch", "put", "delete"})
FEED: Final = "WebhookEvent"
"""The type of resource that the feed of events gives."""
NESTED_MAX: Final = 3
"""How deep objects within attributes are listed."""

_CODE: Final = re.compile(r"`([^`]+)`")
_JSON: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\b\d+(?:\.\d+)?\b')
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Row:
    """An attribute or a parameter: its name, what it may be, and what it means."""

    name: str
    kind: str
    limits: tuple[str, ...]
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it is shown."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: tuple[Row, ...]
    sends: str
    """The type of the document it takes; empty where it takes none."""
    body_optional: bool
    attributes: tuple[Row, ...]
    status: str
    answer: str
    gives: str
    """The type of the resource it gives; empty where it gives none."""
    example: str
    errors: tuple[Mapping[str, Any], ...]
    curl: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of resource and its attributes."""

    name: str
    description: str
    attributes: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """The operations of one group of resources, and the resources first met there."""

    name: str
    anchor: str
    operations: tuple[Operation, ...]
    kinds: tuple[Kind, ...]


def page(document: Mapping[str, Any]) -> bytes:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("tallystick.base", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "coloured": _coloured, "steps": _steps, "shell": shlex.quote}
    reader = _Reader(document)
    chapters = reader.chapters()
    topics = document.get("webhooks", {})
    written = environment.get_template("reference.html").render(
        info=document["info"],
        server=document["servers"][0]["url"],
        chapters=chapters,
        documented={kind.name for chapter in chapters for kind in chapter.kinds},
        errors=document["x-errors"],
        error_rows=reader.rows(document["components"]["schemas"]["Error"]),
        error_example=_pretty(next(iter(document["components"]["examples"].values()))["value"]),
        scopes=document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"],
        topics=[(name, item["post"]["summary"], reader.subject(item)) for name, item in topics.items()],
        envelope=reader.envelope(next(iter(topics.values()), None)),
        feed=next((o for chapter in chapters for o in chapter.operations if o.gives == FEED), None),
    )
    return written.encode()


class _Reader:
    """Reads what is shown out of the document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._errors = {error["code"]: error for error in document["x-errors"]}
        self._shown: set[str] = set()

    def chapters(self) -> list[Chapter]:
        """Every tag with its operations, in the order of the document."""
        found: dict[str, list[tuple[Operation, str]]] = {tag["name"]: [] for tag in self._document["tags"]}
        for path, item in self._document["paths"].items():
            for method in item:
                if method in METHODS:
                    operation = self._operation(method, path, item)
                    found[item[method]["tags"][0]].append((operation, operation.gives))
        return [
            Chapter(
                name, _anchor(name), tuple(each for each, _ in pairs), tuple(self._kinds(kind for _, kind in pairs))
            )
            for name, pairs in found.items()
        ]

    def rows(self, schema: Mapping[str, Any], prefix: str = "", depth: int = 0) -> list[Row]:
        """The members of an object, and those of the objects in them."""
        schema = self._resolved(schema)
        required = schema.get("required", ())
        rows = []
        for name, member in schema.get("properties", {}).items():
            shown, nullable = self._without_null(member)
            description = member.get("description") or shown.get("description") or ""
            inner = self._resolved(shown.get("items", shown))
            is_list, has_members = shown.get("type") == "array", "properties" in inner
            if has_members and depth < NESTED_MAX and "description" not in member:
                description = "" if not is_list else inner.get("description", "")
            kind, limits = _kind(shown, inner, nullable=nullable), tuple(_limits(shown, inner))
            rows.append(Row(prefix + name, kind, limits, name in required, description))
            if has_members and depth < NESTED_MAX:
                rows += self.rows(inner, f"{prefix}{name}{'[]' if is_list else ''}.", depth + 1)
        return rows

    def subject(self, item: Mapping[str, Any]) -> str:
        """The type of resource that an event holds."""
        body = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        return str(self._resolved(body["properties"]["data"])["properties"]["type"]["const"])

    def envelope(self, item: Mapping[str, Any] | None) -> list[Row]:
        """The members around an event's resource."""
        if item is None:
            return []
        schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        rows = [row for row in self.rows(schema) if "." not in row.name]
        return [Row(r.name, r.kind, () if r.name == "type" else r.limits, r.required, r.description) for r in rows]

    def _operation(self, method: str, path: str, item: Mapping[str, Any]) -> Operation:
        operation = item[method]
        parameters = [self._resolved(each) for each in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        status = next(iter(operation["responses"]))
        answer = operation["responses"][status]
        given = answer.get("content", {}).get(JSON_API, {})
        body = operation.get("requestBody")
        sent = {} if body is None else body["content"].get(JSON_API, {})
        primary = self._resolved(sent.get("schema", {})).get("properties", {}).get("data", {})
        data = self._resolved(next(iter(primary.get("oneOf", ())), primary)).get(
            "properties", {}
        )  # one, where many may come
        scopes = next((each["oauth2"] for each in operation["security"] if "oauth2" in each), [""])
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation["description"],
            scope=scopes[0],
            parameters=tuple(self._parameter(each) for each in parameters),
            sends=" or ".join(data["type"]["enum"]) if data else "",
            body_optional=body is not None and not body["required"],
            attributes=tuple(self.rows(data.get("attributes", {}))),
            status=status,
            answer=answer["description"],
            gives=self._given(given.get("schema")),
            example=_pretty(_example(given)),
            errors=tuple(self._errors_of(operation["responses"])),
            curl=_curl(method.upper(), path, parameters, sent.get("example")),
        )

    def _parameter(self, parameter: Mapping[str, Any]) -> Row:
        schema = parameter["schema"]
        kind, limits = _kind(schema, schema, nullable=False), tuple(_limits(schema, schema))
        description = parameter.get("description") or f"Of the {parameter['in']}."
        return Row(
            parameter["name"], f"{kind}, {parameter['in']}", limits, parameter.get("required", False), description
        )

    def _errors_of(self, responses: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The errors that not every operation answers; those stand in the catalogue."""
        for status, response in responses.items():
            if int(status) < HTTPStatus.BAD_REQUEST:
                continue
            for code in self._resolved(response)["content"][JSON_API]["examples"]:
                error = self._errors[code]
                if not error["common"] or code in {"NotFound", "IdempotencyConflict"}:
                    yield error

    def _given(self, schema: Mapping[str, Any] | None) -> str:
        if schema is None:
            return ""
        data = self._resolved(schema)["properties"]["data"]
        kind = self._resolved(data.get("items") or self._without_null(data)[0])
        return str(kind["properties"]["type"]["const"])

    def _kinds(self, names: Iterator[str]) -> Iterator[Kind]:
        for name in names:
            if name and name not in self._shown:
                self._shown.add(name)
                kind = self._document["components"]["schemas"][name]
                attributes = self._resolved(kind["properties"]["attributes"])
                yield Kind(name, attributes.get("description", ""), tuple(self.rows(attributes)))

    def _resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in value:
            found: Any = self._document
            for step in value["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            value = found
        return value

    def _without_null(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        if len(others) == 1:
            return self._resolved(others[0]), len(others) < len(schema["anyOf"])
        return self._resolved(schema), False


def _kind(schema: Mapping[str, Any], inner: Mapping[str, Any], *, nullable: bool) -> str:
    names = schema.get("type", "any JSON")
    kind = " or ".join(names) if isinstance(names, list) else str(names)
    if kind == "array":
        kind = f"list of {inner.get('type', 'any JSON')}s"
    return f"{kind} or null" if nullable and kind != "any JSON" else kind


def _limits(schema: Mapping[str, Any], inner: Mapping[str, Any]) -> Iterator[str]:
    yield from _span(schema.get("minimum"), schema.get("maximum"), "")
    yield from _span(schema.get("minLength"), schema.get("maxLength"), " characters")
    yield from _span(schema.get("minItems"), schema.get("maxItems"), " items")
    formats = {"uuid": "UUID", "date-time": "ISO 8601 instant"}
    if "format" in schema:
        yield formats.get(schema["format"], schema["format"])
    if "const" in schema:
        yield f"always `{schema['const']}`"
    values = schema.get("enum") or (inner.get("enum") if inner is not schema else None)
    if values:
        yield "one of " + ", ".join(f"`{json.dumps(value) if value is None else value}`" for value in values)
    if schema.get("default") is not None:
        yield f"`{json.dumps(schema['default'])}` unless told"


def _span(least: int | None, most: int | None, unit: str) -> Iterator[str]:
    if least is not None and most is not None:
        yield f"{least:,}{unit}" if least == most else f"{least:,} to {most:,}{unit}"
    elif most is not None:
        yield f"at most {most:,}{unit}"
    elif least is not None:
        yield f"at least {least:,}{unit}"


def _example(content: Mapping[str, Any]) -> Any:
    if "example" in content:
        return content["example"]
    return next((each["value"] for each in content.get("examples", {}).values()), None)


def _pretty(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)


def _curl(method: str, path: str, parameters: Sequence[Mapping[str, Any]], body: Any) -> str:
    """A command for a shell in which TALLYSTICK_URL, CLIENT_ID and CLIENT_SECRET are set."""
    query = [
        f"{quote(each['name'], safe='')}={quote(str(each['example']), safe='')}"
        for each in parameters
        if each["in"] == "query"
        and "example" in each
        and (each.get("required") or each["name"] == "filter[phoneNumber]")
    ]
    # What stands in the address is ours and has no character that a shell reads within double quotes.
    address = re.sub(r"\{(\w+)\}", lambda found: "$" + found[1].upper(), path) + (
        "?" + "&".join(query) if query else ""
    )
    lines = [
        "curl" + ("" if method == "GET" else f" -X {method}") + f' "$TALLYSTICK_URL{address}"',
        '-H "Client-ID: $CLIENT_ID"',
        '-H "Authorization: Bearer $CLIENT_SECRET"',
    ]
    headers = [
        f"{each['name']}: {each['example']}" for each in parameters if each["in"] == "header" and "example" in each
    ]
    lines += ["-H " + shlex.quote(each) for each in headers]
    if body is not None:
        # The id of the path is enough, and here it is not the example's.
        body = {**body, "data": {name: member for name, member in body["data"].items() if name != "id"}}
        lines += [f"-H 'Content-Type: {JSON_API}'", "-d " + shlex.quote(_pretty(body))]
    return " \\\n  ".join(lines)


def _anchor(name: str) -> str:
    return _NOT_A_WORD.sub("-", name.lower()).strip("-")


def _prose(text: str) -> Markup:
    """A sentence whose words between backticks are code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just here


def _steps(name: str) -> Markup:
    """A name that a narrow page may break between its steps."""
    return Markup(str(escape(name)).replace(".", ".<wbr>"))  # noqa: S704 - escaped just here


def _coloured(text: str) -> Markup:
    """JSON, or a command that holds some, with its names, strings and numbers marked."""
    parts, end = [], 0
    for found in _JSON.finditer(text):
        parts.append(escape(text[end : found.start()]))
        kind = "n" if found[1] is None else "k" if found[2] else "s"
        parts.append(Markup("<span class={}>{}</span>{}").format(kind, found[1] or found[0], found[2] or ""))
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
