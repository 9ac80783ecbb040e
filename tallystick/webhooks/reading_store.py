"""Statements that read what became of events: deliveries and attempts, by those whose endpoints they went to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.work import Work
from tallystick.webhooks.model import Attempt

DELIVERIES: Final = """
from webhook_deliveries
where tenant_id = $1 and webhook_id = $2 and ($3::text is null or status = $3)
"""
COUNT: Final = f"select count(*) {DELIVERIES}"
LIST: Final = f"""
select webhook_id, position, event_id, topic, status, attempts, due_at, concluded_at {DELIVERIES}
order by position desc
offset $4 limit $5
"""

ATTEMPTS: Final = """
from webhook_attempts
where tenant_id = $1 and webhook_id = any($2::uuid[]) and position = $3
"""
COUNT_ATTEMPTS: Final = f"select count(*) {ATTEMPTS}"
LIST_ATTEMPTS: Final = f"""
select webhook_id, position, $4::uuid, id, number, at, milliseconds, status_code, fault, answer_sealed, replayed {ATTEMPTS}
order by id desc
offset $5 limit $6
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the delivery of one event to one endpoint stands."""

    webhook_id: UUID
    position: int
    event_id: UUID
    topic: str
    status: str
    attempts: int
    due_at: datetime
    concluded_at: datetime | None


async def deliveries(
    work: Work, webhook_id: UUID, status: str | None, offset: int, limit: int
) -> tuple[list[Standing], int]:
    """One page of an endpoint's deliveries, newest event first, and how many there are in all."""
    wanted = (work.tenant.id, webhook_id, status)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Standing(*row) for row in rows], total


async def attempts(
    work: Work, webhook_ids: Sequence[UUID], position: int, event_id: UUID, offset: int, limit: int
) -> tuple[list[Attempt], int]:
    """One page of what was tried to tell these endpoints of one event, newest first, and how many there are in all."""
    wanted = (work.tenant.id, webhook_ids, position)
    total: int = await work.db.value(COUNT_ATTEMPTS, *wanted)
    rows = await work.db.rows(LIST_ATTEMPTS, *wanted, event_id, offset, limit) if offset < total else []
    return [_attempt(work, row[3], list(row)) for row in rows], total


def _attempt(work: Work, attempt_id: UUID, values: list[object]) -> Attempt:
    sealed = values[9]
    values[9] = work.keys.open_sealed(sealed, attempt_id.bytes) if isinstance(sealed, bytes) else None
    return Attempt(*values)  # type: ignore[arg-type]
