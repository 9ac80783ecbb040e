"""What was asked, and what came of it: the only things the model is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["issue", "replay", "change key", "update", "cancel", "add user", "open wallet"]


@dataclass(frozen=True, slots=True)
class Command:
    """One wish about one phone. `key` names it for ever; `of` is the key of the earlier command it is about."""

    key: str
    kind: Kind
    phone: str
    amount: int = 0
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Acknowledged: the id and the attributes that were answered, none where the answer has no document."""

    id: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused for good, with the code of the error."""

    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer, or one that says to ask again."""

    why: str


Outcome = Done | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request: when it was sent and ended (seconds of one clock), and its outcome. Some hang up on purpose."""

    command: Command
    sent: float
    ended: float
    outcome: Outcome
    hung_up: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the house, and when."""

    kind: str
    at: float


def recovery(fault: Fault, until: float, attempts: list[Attempt]) -> float | None:
    """Seconds from a fault to the first acknowledgement after the last failure before `until`; zero when nothing failed.

    None when nothing was acknowledged again. Those that hung up on purpose tell nothing.
    """
    seen = [a for a in attempts if fault.at <= a.ended and a.sent < until and not a.hung_up]
    failures = [a.ended for a in seen if isinstance(a.outcome, Unknown) and a.ended < until]
    if not failures:
        return 0.0
    after = [a.ended for a in seen if isinstance(a.outcome, Done) and a.sent >= max(failures)]
    return min(after) - fault.at if after else None
