"""What the base must know of a kind of event, wherever the catalogue stands."""

from typing import Protocol


class Topic(Protocol):
    """A kind of event: its name, what it tells, and the type of resource it holds."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def subject_type(self) -> str: ...
