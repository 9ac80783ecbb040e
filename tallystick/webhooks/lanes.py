"""What one process holds of each endpoint: how it is reached, what was taken for it, what is under way; and the places of all."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import tallystick.webhooks.store as store
from tallystick import partners
from tallystick.base.work import Tenant, Work
from tallystick.webhooks import changing, secrets
from tallystick.webhooks.delivery_store import Taken
from tallystick.webhooks.model import Signer, Webhook
from tallystick.webhooks.pacing import STUCK, Kind, Pace

AT_ONCE_OF_ALL: Final = 400
SHARES: Final[Mapping[Kind, float]] = {"good": 1.0, "unknown": 0.75, "bad": 0.5}
"""Up to which share of all places an endpoint of this kind may take one more: the last are for those that answer soon."""
KINDS: Final[Sequence[Kind]] = ("good", "unknown", "bad")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How deliveries to an endpoint are made, as it was known lately."""

    webhook: Webhook
    headers: Mapping[str, str]
    signer: Signer


@dataclass(slots=True)
class Busy:
    """An attempt that is under way. What is stuck no longer counts among its kind."""

    taken: Taken
    began: float
    kind: Kind
    is_stuck: bool = False


@dataclass(slots=True)
class Lane:
    """One endpoint, to this process."""

    tenant: Tenant
    webhook_id: UUID
    pace: Pace = field(default_factory=Pace)
    endpoint: Endpoint | None = None
    known_until: float = 0.0
    """What is known of the endpoint is looked up again after that."""
    fresh_until: float = 0.0
    """What waits here is given back after that: its lease comes to an end."""
    is_due: bool = False
    """Whether more is due than was taken."""
    queue: dict[int, Taken] = field(default_factory=dict)
    busy: dict[int, Busy] = field(default_factory=dict)
    is_waiting: bool = False
    """For a place among all."""
    is_timed: bool = False
    used_at: float = 0.0

    @property
    def held(self) -> int:
        return len(self.queue) + len(self.busy)

    def room(self, now: float) -> int:
        """How many are worth being taken now: none before half of what is held is done."""
        if self.pace.resumes_at > now:
            return 0
        ahead = self.pace.ahead(now)
        waits = self.pace.waits(now, len(self.busy))
        if waits is None or waits > 0 or self.held * 2 > ahead:
            return 0
        return ahead - self.held

    def first(self) -> Taken:
        """Take out what waits longest."""
        return self.queue.pop(next(iter(self.queue)))


class Places:
    """How many attempts may be under way at once in all, of which kind, and who waits to make one more."""

    def __init__(self, most: int = AT_ONCE_OF_ALL) -> None:
        self.most = most
        self.taken: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.stuck = 0
        self._waiting: dict[Kind, deque[Lane]] = {kind: deque() for kind in KINDS}
        self._turns = list(KINDS)

    def has(self, kind: Kind) -> bool:
        """Whether one more of this kind may begin. The worse count against the better, and not the other way round."""
        worse = KINDS[KINDS.index(kind) :]
        return (
            sum(self.taken.values()) < self.most and sum(self.taken[each] for each in worse) < self.most * SHARES[kind]
        )

    def wait(self, lane: Lane) -> None:
        """Let this endpoint have its turn when there is a place."""
        if not lane.is_waiting:
            lane.is_waiting = True
            self._waiting[lane.pace.kind].append(lane)

    def next(self) -> Lane | None:
        """Whose turn it is; None: nobody's, or there is no place."""
        for kind in self._turns:
            if self._waiting[kind] and self.has(kind):
                self._turns.remove(kind)
                self._turns.append(kind)  # the others come first next time
                lane = self._waiting[kind].popleft()
                lane.is_waiting = False
                return lane
        return None

    def begin(self, busy: Busy) -> None:
        self.taken[busy.kind] += 1

    def end(self, busy: Busy) -> None:
        if busy.is_stuck:
            self.stuck -= 1
        else:
            self.taken[busy.kind] -= 1

    def look(self, lane: Lane, now: float) -> None:
        """Find what is stuck, so that it takes nobody's place; as many more, and no further."""
        for busy in lane.busy.values():
            if now - busy.began > STUCK and not busy.is_stuck and self.stuck < self.most:
                lane.pace.stuck()
                busy.is_stuck = True
                self.taken[busy.kind] -= 1
                self.stuck += 1


async def known(work: Work, webhook_ids: Sequence[UUID]) -> dict[UUID, Endpoint]:
    """How these endpoints are reached; those whose partner no longer stands with the programme are absent."""
    webhooks = await store.by_ids(work, webhook_ids)
    sight = await partners.sight(work, list({each.partner_id for each in webhooks.values()}))
    signers = await secrets.signers(work, webhook_ids)
    return {
        each.id: Endpoint(each, changing.opened_headers(work, each), signers[each.id])
        for each in webhooks.values()
        if each.partner_id in sight and each.id in signers
    }
