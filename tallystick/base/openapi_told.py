"""The schemas of what events tell: one source for the OpenAPI document, for the catalogue of topics and for their examples.

They are closed: a member that they do not name is none of an event. So what is sent can be held against them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tallystick.base.openapi_shapes import EXAMPLE_ID, Schema, explain, plain_name, resource_object
from tallystick.base.routes import Resource
from tallystick.base.topics import Topic

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
EVENT_ID: Final = "0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01"
EXAMPLE_AT: Final = "2026-06-17T12:00:00.000Z"
_COMPONENTS: Final = "#/components/schemas/"
_INLINED: Final = "#/$defs/"


class Told:
    """What events of each type of subject hold. A type that nobody described may hold anything. `shows` is how the example of a
    topic differs from that of its type.
    """

    def __init__(self, kinds: Sequence[Resource], shows: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._shows = shows or {}
        self._kinds = {kind.type: kind for kind in kinds}
        assert len(self._kinds) == len(kinds), "what is told of a type is described once"
        self.schemas: dict[str, Schema] = {}
        """By their names in the OpenAPI document, whose references they hold."""
        structs = [kind.attributes for kind in self._kinds.values()]
        refs, found = msgspec.json.schema_components(structs, ref_template=_COMPONENTS + "{name}")
        names = {raw: f"Told{plain_name(raw)}" for raw in found}
        for kind, ref in zip(self._kinds.values(), refs, strict=True):
            names[ref["$ref"].removeprefix(_COMPONENTS)] = f"{kind.type}ToldAttributes"
        for raw, schema in found.items():
            schema.pop("title", None)
            explain(schema, sent=False)
            if "properties" in schema:
                schema["additionalProperties"] = False
            self._add(
                names[raw], _pointed(schema, {_COMPONENTS + raw: _COMPONENTS + name for raw, name in names.items()})
            )

    def describes(self, topic: Topic) -> bool:
        """Whether it is known what such an event looks like."""
        kind = self._kinds.get(topic.subject_type)
        return kind is not None and bool(kind.example)

    def envelope(self, topic: Topic) -> Schema:
        """The body of an event as Standard Webhooks has it, and `sequence`, which is gapless for its subject."""
        members = {
            "id": {"type": "string", "format": "uuid", "description": "The same on every attempt."},
            "type": {"type": "string", "const": topic.name},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "sequence": {"type": "integer", "minimum": 1, "description": "Gapless for this subject, from 1."},
            "data": {**self._subject(topic.subject_type), "description": "The resource as it was after the change."},
        }
        return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}

    def alone(self, topic: Topic) -> Schema:
        """The same as one JSON Schema that refers to nothing but itself."""
        envelope = self.envelope(topic)
        needed: dict[str, Schema] = {}
        waiting = _names_in(envelope)
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed[name] = self.schemas[name]
                waiting |= _names_in(needed[name])
        moved = {_COMPONENTS + name: _INLINED + name for name in needed}
        inlined = {name: _pointed(needed[name], moved) for name in sorted(needed)}
        return {
            "$schema": DIALECT,
            "title": topic.name,
            "description": topic.summary,
            **_pointed(envelope, moved),
            "$defs": inlined,
        }

    def example(self, topic: Topic, subject_id: str = EXAMPLE_ID) -> dict[str, Any]:
        """What such an event may look like. Raises KeyError for a type that nobody described."""
        kind = self._kinds[topic.subject_type]
        attributes = {**kind.example, **self._shows.get(topic.name, {})}
        return {
            "id": EVENT_ID,
            "type": topic.name,
            "timestamp": EXAMPLE_AT,
            "sequence": 1,
            "data": {"id": subject_id, "type": kind.type, "attributes": attributes},
        }

    def _subject(self, subject_type: str) -> Schema:
        name = f"{subject_type}Told"
        attributes: Schema = {"type": "object", "description": "Nothing personal and no free text."}
        if subject_type in self._kinds:
            attributes = {"$ref": f"{_COMPONENTS}{subject_type}ToldAttributes"}
        if name not in self.schemas:
            subject = {**resource_object(subject_type, attributes), "additionalProperties": False}
            subject["properties"]["meta"] = {
                "type": "object",
                "properties": {
                    "sample": {"type": "boolean", "const": True, "description": "Nothing happened: it was asked for."}
                },
                "additionalProperties": False,
            }
            self._add(name, subject)
        return {"$ref": _COMPONENTS + name}

    def _add(self, name: str, schema: Schema) -> None:
        if name in self.schemas:
            raise ValueError(f"two schemas are called {name}")
        self.schemas[name] = schema


def as_told(kind: Resource, like: Resource, /, **more: Any) -> Resource:
    """What events tell, with the example of the resource that is read, as far as they tell it, and what they tell beyond it."""
    names = {field.encode_name for field in msgspec.structs.fields(kind.attributes)}
    example = {name: value for name, value in {**like.example, **more}.items() if name in names}
    return Resource(kind.type, kind.path, kind.attributes, example)


def _names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"].removeprefix(_COMPONENTS)} if "$ref" in value else set()
        return found.union(*(_names_in(each) for each in value.values()))
    return set().union(*(_names_in(each) for each in value)) if isinstance(value, list) else set()


def _pointed(value: Any, moved: Mapping[str, str]) -> Any:
    """The value with its references moved."""
    if isinstance(value, dict):
        return {name: moved[each] if name == "$ref" else _pointed(each, moved) for name, each in value.items()}
    return [_pointed(each, moved) for each in value] if isinstance(value, list) else value
