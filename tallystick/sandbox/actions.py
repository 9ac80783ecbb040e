"""Take aim: decide, once for its key, where a clock is to go. Going there is the clockwork's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from tallystick import audit
from tallystick.base import clock, idempotency
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.sandbox import resource
from tallystick.sandbox.model import target


@dataclass(frozen=True, slots=True)
class AimClock:
    """A partner's wish to move its sandbox's clock: by an ISO 8601 duration or to an instant, exactly one of them."""

    asked: Asked
    by: str | None = None
    to: str | None = None


async def aim(work: Work, commands: Sequence[AimClock]) -> list[Answer | Refusal]:
    """Where each command moves the clock, as the answer that tells it. With a key the aim is remembered, so that a retry of `by`
    goes to the same instant and not as far again.
    """
    return await idempotency.keyed(
        work,
        "sandbox.clock.advance",
        commands,
        _aim,
        fingerprint=lambda command: msgspec.json.encode([command.by, command.to]),
        seal=HouseSeal(),
    )


def aimed_at(answer: Answer) -> datetime:
    """The instant that an answer of `aim` tells."""
    assert answer.body is not None, "a clock's answer has a body"
    return clock.parse_instant(msgspec.json.decode(answer.body)["data"]["attributes"]["now"])


async def _aim(work: Work, command: AimClock) -> Answer | Refusal:
    at = target(work.now, command.by, command.to)
    if isinstance(at, Refusal):
        return at
    audit.note(work, command.asked, status=200, resource_id=work.tenant.id)
    return Answer(200, resource.document(work.tenant.id, at), work.tenant.id)
