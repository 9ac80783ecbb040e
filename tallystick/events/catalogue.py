"""The catalogue of topics: what each holds as a JSON Schema, and what it may look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tallystick.base.openapi_told import Told
from tallystick.events.model import SENT, Topic


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every topic, described from the same source as the OpenAPI document. `version` is that of the payload."""

    told: Told
    version: str
    schemas: Mapping[str, Mapping[str, Any]]
    """The schema of each topic's envelope, by name; it refers to nothing but itself."""

    @classmethod
    def of(cls, told: Told, version: str) -> "Catalogue":
        """The catalogue of what is told."""
        return cls(told, version, {topic.name: told.alone(topic) for topic in SENT})

    def topic(self, name: str) -> Topic | None:
        """The topic of this name."""
        return next((topic for topic in SENT if topic.name == name), None)

    def sample(self, topic: Topic, subject_id: str) -> bytes:
        """A document as an event of the topic may hold it, about a subject of this id; it says that it is a sample."""
        data = self.told.example(topic, subject_id)["data"]
        return msgspec.json.encode({**data, "meta": {"sample": True}})
