"""Accept activity: land it, move the progress it counts for, and give or take back what that deserves, in one work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tallystick import thresholds
from tallystick.activity import abuse, awarding
from tallystick.activity.awarding import Settled
from tallystick.activity.landing import Landing, land
from tallystick.activity.model import RecordActivity, Recorded
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Work
from tallystick.thresholds.model import Move, Moved

NONE: Final[Mapping[UUID, UUID]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of accepting: the landing, the progress it moved, and what was given or taken back."""

    landing: Landing
    moved: Sequence[Moved]
    settled: Settled


async def accept(work: Work, commands: Sequence[RecordActivity], *, all_moved: bool = True) -> list[Recorded | Refusal]:
    """Keep each activity once for its name, with everything that comes of it. An outcome for every command, in order.

    Where not `all_moved`, only progress that reached a step, or fell below one, is told of.
    """
    return (await carry_out(work, commands, all_moved=all_moved)).landing.outcomes


async def carry_out(work: Work, commands: Sequence[RecordActivity], *, all_moved: bool = True) -> Accepted:
    """As `accept`, with everything that came of it."""
    return await _moved_on(work, commands, await land(work, commands), all_moved=all_moved)


async def conclude(
    work: Work, commands: Sequence[RecordActivity], landing: Landing, *, all_moved: bool = True
) -> list[Recorded | Refusal]:
    """What `accept` does behind the landing of these commands in this work: until then, it has only kept them."""
    return (await _moved_on(work, commands, landing, all_moved=all_moved)).landing.outcomes


async def _moved_on(work: Work, commands: Sequence[RecordActivity], landing: Landing, *, all_moved: bool) -> Accepted:
    if not landing.moves:
        return Accepted(landing, (), Settled())
    requests = {each.id: each.command.asked.request_id for each in landing.landed}
    requests |= {each.linked_id: each.command.asked.request_id for each in landing.landed if each.linked_id is not None}
    requests |= {activity_id: requests[refund_id] for activity_id, refund_id in landing.restored.items()}
    moved, settled = await advance(work, commands[0].asked, landing.moves, requests, all_moved=all_moved)
    await abuse.signal(work, landing)
    return Accepted(landing, moved, settled)


async def advance(
    work: Work,
    asked: Asked,
    moves: Sequence[Move],
    requests: Mapping[UUID, UUID] = NONE,
    *,
    all_moved: bool = True,
) -> tuple[Sequence[Moved], Settled]:
    """Move progress, and settle what it deserves now; told of are all that moved, or those that reached a step or lost one.

    `requests` are those behind single activities, where they are not `asked`.
    """
    moved = await thresholds.advance(work, moves, all_moved=all_moved) if moves else []
    if not moved:
        return moved, Settled()
    return moved, await awarding.settle(work, moved, asked, requests, moves, tell_progress=all_moved)
