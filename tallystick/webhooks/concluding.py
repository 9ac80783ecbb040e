"""What attempts came to is gathered and written together, a transaction for each tenant: never one for each delivery."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.webhooks.delivery_store as store
from tallystick.base import ids
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime, Tenant
from tallystick.webhooks import failing
from tallystick.webhooks.delivery_store import Ended, Lost, Taken
from tallystick.webhooks.failing import Fared
from tallystick.webhooks.lanes import Lane
from tallystick.webhooks.model import ANSWER_BYTES_KEPT, Answer, Delivery
from tallystick.webhooks.schedule import Verdict

AT_ONCE: Final = 1_000


@dataclass(slots=True)
class Gathered:
    """What one transaction writes."""

    ended: list[tuple[Lane, Ended, Verdict]] = field(default_factory=list)
    returned: list[Taken] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ended) + len(self.returned) + len(self.lost)


class Conclusions:
    """What is still to be written, by tenant."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._gathered: dict[UUID, tuple[Tenant, Gathered]] = {}
        self.size = 0

    def of(self, tenant: Tenant) -> Gathered:
        found = self._gathered.get(tenant.id)
        if found is None:
            found = self._gathered[tenant.id] = (tenant, Gathered())
        return found[1]

    def end(self, lane: Lane, ended: Ended, verdict: Verdict) -> None:
        """An attempt came to this."""
        self.of(lane.tenant).ended.append((lane, ended, verdict))
        self.size += 1

    def give_back(self, tenant: Tenant, taken: Taken) -> None:
        """This was taken and is not sent now."""
        self.of(tenant).returned.append(taken)
        self.size += 1

    def drop(self, tenant: Tenant, lost: Sequence[Lost]) -> None:
        """This can never be sent."""
        self.of(tenant).lost.extend(lost)
        self.size += len(lost)

    async def write(self) -> list[Lane]:
        """Write all that was gathered until now; the endpoints of whom something was written.

        What could not be written is kept and written with what comes. Nothing is harmed by writing it twice: a lease that was
        ended is nobody's. Raises what the database does, after every tenant had its turn.
        """
        faults: list[Exception] = []
        written: list[Lane] = []
        for tenant, gathered in self._taken_out():
            try:
                await self._write(tenant, gathered)
            except Exception as fault:  # noqa: BLE001 - it is raised below
                self._put_back(tenant, gathered)
                faults.append(fault)
            else:
                written += {id(lane): lane for lane, _, _ in gathered.ended}.values()
        if faults:
            raise faults[0]
        return written

    def _taken_out(self) -> list[tuple[Tenant, Gathered]]:
        parts: list[tuple[Tenant, Gathered]] = []
        for tenant, gathered in self._gathered.values():
            for begin in range(0, max(len(gathered.ended), len(gathered.returned), len(gathered.lost)), AT_ONCE):
                cut = slice(begin, begin + AT_ONCE)
                parts.append((tenant, Gathered(gathered.ended[cut], gathered.returned[cut], gathered.lost[cut])))
        self._gathered.clear()
        self.size = 0
        return parts

    def _put_back(self, tenant: Tenant, gathered: Gathered) -> None:
        waiting = self.of(tenant)
        waiting.ended[:0] = gathered.ended
        waiting.returned[:0] = gathered.returned
        waiting.lost[:0] = gathered.lost
        self.size += len(gathered)

    async def _write(self, tenant: Tenant, gathered: Gathered) -> None:
        lanes = {lane.webhook_id: lane for lane, _, _ in gathered.ended}
        fared = [each for each in _fared(gathered) if _is_news(lanes[each.webhook_id], each)]
        async with self._runtime.work(tenant) as work:
            # Endpoints first, as whoever changes one does it: so that nobody waits for each other.
            now = await failing.note(work, fared) if fared else {}
            if gathered.ended:
                await store.end(work, [ended for _, ended, _ in gathered.ended])
            if gathered.returned:
                await store.give_back(work, gathered.returned)
            if gathered.lost:
                await store.drop(work, gathered.lost)
        for webhook_id, webhook in now.items():
            lane = lanes[webhook_id]
            if lane.endpoint is not None:
                lane.endpoint = type(lane.endpoint)(webhook, lane.endpoint.headers, lane.endpoint.signer)


def ended(keys: MasterKeys, delivery: Delivery, at: datetime, answer: Answer, verdict: Verdict) -> Ended:
    """An attempt as it is written: of the answer only the beginning, sealed."""
    attempt_id = ids.new()
    kept = answer.body[:ANSWER_BYTES_KEPT]
    return Ended(
        delivery=delivery,
        status=verdict.status,
        due_at=verdict.due_at,
        id=attempt_id,
        at=at,
        milliseconds=answer.milliseconds,
        status_code=answer.status_code,
        fault=answer.fault,
        answer_sealed=keys.seal(kept, attempt_id.bytes) if kept else None,
    )


def _fared(gathered: Gathered) -> list[Fared]:
    """How each endpoint fared, by the attempts in the order in which they ended."""
    found: dict[UUID, Fared] = {}
    for lane, made, verdict in gathered.ended:
        before = found.get(lane.webhook_id)
        is_failing = made.status != "delivered"
        found[lane.webhook_id] = Fared(
            webhook_id=lane.webhook_id,
            succeeded_at=(before.succeeded_at if before else None) if is_failing else made.at,
            failed_at=made.at if is_failing else (before.failed_at if before else None),
            is_failing=is_failing,
            disables=verdict.disables or (before.disables if before else None),
        )
    return list(found.values())


def _is_news(lane: Lane, fared: Fared) -> bool:
    return lane.endpoint is None or failing.matters(lane.endpoint.webhook, fared)
