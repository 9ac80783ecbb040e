"""The schemas of the OpenAPI document: attributes as the structs say them, and the JSON:API documents around them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tallystick.base.jsonapi import LIMIT_MAX
from tallystick.base.routes import Resource, Route

Schema = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/"
EXAMPLE_ID: Final = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"

_CONVENTIONS: Final[Mapping[str, str]] = {
    "amount": "Minor units of the currency.",
    "currency": "ISO 4217.",
    "createdAt": "When it was made.",
    "updatedAt": "When it last changed.",
    "idempotencyKey": "Your name for this very request: sent again with the same body, it is answered as the first time.",
}
"""What an attribute of this name is everywhere; said where its own struct does not say it."""
_SENT: Final[Mapping[str, str]] = {
    "merchantId": "Needed only where the client may act for several merchants.",
    "notificationEmail": "Who is told when the reward is claimed or expires.",
}
_INSTANTS: Final = frozenset({"at", "now", "asOf", "timestamp"})

_MEMBERS: Final[Mapping[str, Any]] = {"type": "object"}
_PAGES: Final[Mapping[str, Schema]] = {
    "PageMeta": {
        "type": "object",
        "properties": {
            "total": {"type": "integer", "minimum": 0, "description": "How many there are in all."},
            "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX},
            "offset": {"type": "integer", "minimum": 0},
        },
        "required": ["total", "limit", "offset"],
    },
    "PageLinks": {
        "type": "object",
        "properties": {
            "self": {"type": "string"},
            "first": {"type": "string"},
            "prev": {"type": ["string", "null"]},
            "next": {"type": ["string", "null"]},
            "last": {"type": "string"},
        },
        "required": ["self", "first", "prev", "next", "last"],
    },
    "FeedMeta": {
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX},
            "after": {"type": "string", "description": "The cursor behind the last one of this page."},
        },
        "required": ["limit"],
    },
    "FeedLinks": {
        "type": "object",
        "properties": {"next": {"type": ["string", "null"], "description": "null: nothing more for now."}},
        "required": ["next"],
    },
}


class Shapes:
    """The schemas of a table of routes. Each has one name; two structs that want the same one are refused."""

    def __init__(self, operations: Mapping[str, Route]) -> None:
        self.schemas: dict[str, Schema] = {}
        self._names = self._attributes(_wanted(operations))

    def ref(self, name: str) -> Schema:
        """A reference to a schema that is there."""
        assert name in self.schemas, f"no schema is called {name}"
        return {"$ref": _SCHEMAS + name}

    def add(self, name: str, schema: Mapping[str, Any]) -> Schema:
        """Describe a schema, once for its name, and refer to it."""
        if self.schemas.setdefault(name, dict(schema)) != schema:
            raise ValueError(f"two schemas are called {name}")
        return self.ref(name)

    def request(self, operation: str, route: Route) -> Schema:
        """The document a route takes."""
        takes = route.takes
        assert takes is not None, "a request document is of a route that takes one"
        properties: Schema = {"type": {"type": "string", "enum": list(takes.types)}}
        if "{id}" in route.path:
            properties["id"] = {"type": "string", "description": "The id of the path; may be left out."}
        properties |= {
            "attributes": self._attributes_ref(takes.attributes),
            "links": dict(_MEMBERS),
            "meta": dict(_MEMBERS),
        }
        data = {
            "type": "object",
            "properties": properties,
            "required": ["type"] if takes.optional else ["type", "attributes"],
            "additionalProperties": False,
        }
        primary: Schema = data
        if takes.many:
            item = self.add(f"{pascal(operation)}Data", data)
            primary = {"oneOf": [item, {"type": "array", "items": item, "minItems": 1, "maxItems": takes.many}]}
        return self.add(
            f"{pascal(operation)}Request",
            {
                "type": "object",
                "properties": {"data": primary, **{name: dict(_MEMBERS) for name in ("meta", "links", "jsonapi")}},
                "required": ["data"],
                "additionalProperties": False,
            },
        )

    def answer(self, route: Route) -> Schema:
        """The document a route gives."""
        assert route.gives is not None, "an answer is of a route that gives a resource"
        shown, name = self.resource(route.gives), route.gives.type
        if route.many:
            kind = "Feed" if is_feed(route) else "Page"
            properties = {"data": {"type": "array", "items": shown}}
            for member in ("Meta", "Links"):
                properties[member.lower()] = self.add(kind + member, _PAGES[kind + member])
            return self.add(f"{name}{kind}", _object(properties))
        if route.nullable:
            return self.add(f"{name}OrNull", _object({"data": {"anyOf": [shown, {"type": "null"}]}}))
        return self.add(f"{name}Document", _object({"data": shown}))

    def verdicts(self, route: Route) -> Schema:
        """What a list of documents is answered with: a verdict on each, in order."""
        assert route.verdicts is not None, "verdicts are of a route that takes a list"
        verdict = _object(
            {
                "id": {"type": "string", "description": "The place in the list, from 0."},
                "type": {"type": "string", "const": "Verdict"},
                "attributes": self._attributes_ref(route.verdicts),
            }
        )
        properties: Schema = {"data": {"type": "array", "items": self.add("Verdict", verdict)}}
        if route.verdicts_meta is not None:
            properties["meta"] = self._attributes_ref(route.verdicts_meta)
        return self.add("Verdicts", _object(properties))

    def resource(self, kind: Resource) -> Schema:
        """A resource object."""
        shown = resource_object(kind.type, self._attributes_ref(kind.attributes))
        if kind.is_named:
            shown["properties"]["id"] = {"type": "string"}
        return self.add(kind.type, shown)

    def _attributes_ref(self, struct: type[msgspec.Struct]) -> Schema:
        return self.ref(self._names[struct])

    def _attributes(self, wanted: Mapping[type[msgspec.Struct], tuple[str, bool]]) -> dict[type[msgspec.Struct], str]:
        """Describe structs and all that they hold; answers the name of each."""
        refs, found = msgspec.json.schema_components(list(wanted), ref_template=_SCHEMAS + "{name}")
        names = {raw: plain_name(raw) for raw in found}
        sent = set()
        for ref, (name, is_sent) in zip(refs, wanted.values(), strict=True):
            raw = ref["$ref"].removeprefix(_SCHEMAS)
            names[raw] = name
            if is_sent:
                sent.add(raw)
        for raw, schema in found.items():
            schema.pop("title", None)
            closed = raw in sent or schema.get("additionalProperties") is False
            explain(schema, sent=closed)
            self.add(names[raw], _renamed(schema, names))
        return {struct: name for struct, (name, _) in wanted.items()}


def is_feed(route: Route) -> bool:
    """Whether a list is read by cursor, not by offset."""
    return any(known.name == "page[after]" for known in route.query)


def pascal(operation: str) -> str:
    """`issueReward` as the name of a schema."""
    return operation[:1].upper() + operation[1:]


def _wanted(operations: Mapping[str, Route]) -> dict[type[msgspec.Struct], tuple[str, bool]]:
    """Structs with the name each gets, and whether it is sent to us: a resource's is named by its type, a request's by its
    operation, and one that several requests share by itself."""
    wanted: dict[type[msgspec.Struct], tuple[str, bool]] = {}
    for operation, route in operations.items():
        if route.gives is not None:
            wanted[route.gives.attributes] = (f"{route.gives.type}Attributes", False)
        if route.takes is not None:
            struct = route.takes.attributes
            wanted[struct] = (struct.__name__ if struct in wanted else f"{pascal(operation)}Attributes", True)
        for shown in (route.verdicts, route.verdicts_meta):
            if shown is not None:
                wanted.setdefault(shown, (shown.__name__, False))
    return wanted


def plain_name(raw: str) -> str:
    """Names of structs that stand twice come with their modules; keep what tells them apart."""
    return "".join(pascal(word) for part in raw.split(".")[-2:] for word in part.split("_"))


def explain(schema: Schema, *, sent: bool) -> None:
    """Say of attributes what is agreed for their names."""
    for name, member in schema.get("properties", {}).items():
        said = (_SENT.get(name) if sent else None) or _CONVENTIONS.get(name)
        inner = [member, *member.get("anyOf", ())]
        if said is not None and not any("description" in each for each in inner):
            member["description"] = said
        if not sent and (name.endswith("At") or name in _INSTANTS):
            for each in inner:
                if each.get("type") == "string":
                    each.setdefault("format", "date-time")
    if not schema.get("required", True):
        del schema["required"]


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _SCHEMAS + names[each.removeprefix(_SCHEMAS)] if key == "$ref" else _renamed(each, names)
            for key, each in value.items()
        }
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value


def resource_object(name: str, attributes: Schema) -> Schema:
    """A resource object of this type."""
    return _object(
        {
            "id": {"type": "string", "format": "uuid"},
            "type": {"type": "string", "const": name},
            "attributes": attributes,
        }
    )


def _object(properties: Mapping[str, Any]) -> Schema:
    """An object that has all of these members."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}
