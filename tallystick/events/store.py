"""Every statement on `events` and `tenant_heads`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tallystick.base import ids
from tallystick.base.db import Db, Step
from tallystick.base.work import Caller, Work
from tallystick.events.model import Event

POSITION_MAX: Final = 2**63 - 1
MILLISECOND: Final = timedelta(milliseconds=1)

# The update locks the head and reads its newest version even when it had to wait, so that no position is taken twice.
APPEND = Step(
    (
        (
            "head",
            """
update tenant_heads set position = position + $2 where tenant_id = $1 returning position - $2 as taken
""",
        ),
        (
            "appended",
            """
insert into events (
    tenant_id, position, recorded_at, id, topic, subject_type, subject_id, sequence, partner_id, merchant_id, request_id,
    at, document
)
select $1, head.taken + happened.n, $3, happened.id, happened.topic, happened.subject_type, happened.subject_id,
    happened.sequence, happened.partner_id, happened.merchant_id, happened.request_id, $4, happened.document
from head, unnest($5::uuid[], $6::text[], $7::text[], $8::uuid[], $9::int[], $10::uuid[], $11::uuid[],
    $12::uuid[], $13::json[]) with ordinality as happened (
    id, topic, subject_type, subject_id, sequence, partner_id, merchant_id, request_id, document, n
)
""",
        ),
    )
)

COLUMNS = "position, id, topic, subject_type, subject_id, sequence, at, document, partner_id, merchant_id, recorded_at"

# What is about no merchant (a quota, a credential) is about its partner, and for nobody else.
VISIBLE = """case
        when merchant_id is null then partner_id = $2
        else ($3 or partner_id = $2) and ($4::uuid[] is null or merchant_id = any($4))
    end"""

FEED = f"""
select {COLUMNS}
from events
where tenant_id = $1 and {VISIBLE}
    and position > $5 and position <= $6
    and ($7::text[] is null or topic = any($7)) and ($8::uuid is null or subject_id = $8)
    and ($9::timestamptz is null or recorded_at >= $9) and ($10::timestamptz is null or recorded_at < $10)
order by position
limit $11
"""

# The id names the millisecond in which it was recorded, so that a few blocks of one partition are all that is read.
ONE = f"""
select {COLUMNS}
from events
where tenant_id = $1 and {VISIBLE} and id = $5 and recorded_at >= $6 and recorded_at < $7
"""

HEAD = "select position from tenant_heads where tenant_id = $1"

DISCOVERY_HEADS = "select tenant_id, position from tenant_heads where tenant_id = any($1::uuid[])"

BEHIND = f"""
select {COLUMNS} from events where tenant_id = $1 and position > $2 and position <= $3 order by position limit $4
"""

ABOUT = f"""
select {COLUMNS}
from events
where tenant_id = $1 and subject_id = $2
order by sequence
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the feed."""

    position: int
    id: UUID
    topic: str
    subject_type: str
    subject_id: UUID
    sequence: int
    at: datetime
    document: str
    partner_id: UUID | None
    merchant_id: UUID | None
    recorded_at: datetime

    def seen_by(self, caller: Caller) -> bool:
        """Whether this caller may read it: what the statements say with `VISIBLE`."""
        if self.merchant_id is None:
            return self.partner_id == caller.partner_id
        if not caller.sees_programme and self.partner_id != caller.partner_id:
            return False
        return caller.merchant_ids is None or self.merchant_id in caller.merchant_ids


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for: of these topics, about this subject, recorded from one instant until before another; all of
    them where None. The position is above `after` and at most `upto`."""

    topics: Sequence[str] | None = None
    subject_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0
    upto: int = POSITION_MAX

    def takes(self, event: Recorded) -> bool:
        """Whether this event is among them, by topic and subject."""
        if self.topics is not None and event.topic not in self.topics:
            return False
        return self.subject_id is None or event.subject_id == self.subject_id


def append(work: Work, events: Sequence[Event], event_ids: Sequence[UUID]) -> None:
    """Number and insert the events of one work at its end, in the order in which they were recorded."""
    work.defer(
        APPEND,
        work.tenant.id,
        len(events),
        work.real_now,
        work.now,
        event_ids,
        [event.topic for event in events],
        [event.subject_type for event in events],
        [event.subject_id for event in events],
        [event.sequence for event in events],
        [event.partner_id for event in events],
        [event.merchant_id for event in events],
        [event.request_id for event in events],
        [event.document.decode() for event in events],
    )


async def feed(work: Work, caller: Caller, wanted: Wanted, limit: int) -> list[Recorded]:
    """The events that are wanted and that the caller may read, oldest first."""
    rows = await work.db.rows(
        FEED,
        *_seen_by(work, caller),
        wanted.after,
        wanted.upto,
        wanted.topics,
        wanted.subject_id,
        wanted.since,
        wanted.until,
        limit,
    )
    return [Recorded(*row) for row in rows]


async def one(work: Work, caller: Caller, event_id: UUID) -> Recorded | None:
    """The event with this id, where the caller may read it."""
    recorded_at = ids.made_at(event_id)
    if recorded_at is None:
        return None
    row = await work.db.row(ONE, *_seen_by(work, caller), event_id, recorded_at, recorded_at + MILLISECOND)
    return None if row is None else Recorded(*row)


async def head(work: Work) -> int:
    """The position of the newest event."""
    position: int = await work.db.value(HEAD, work.tenant.id)
    return position


async def heads(db: Db, tenant_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The position of each tenant's newest event."""
    return {row[0]: row[1] for row in await db.rows(DISCOVERY_HEADS, tenant_ids)}


async def behind(work: Work, after: int, upto: int, limit: int) -> list[Recorded]:
    """Every event of the tenant above one position and up to another, oldest first, whoever may read it."""
    return [Recorded(*row) for row in await work.db.rows(BEHIND, work.tenant.id, after, upto, limit)]


def _seen_by(work: Work, caller: Caller) -> tuple[UUID, UUID, bool, tuple[UUID, ...] | None]:
    return work.tenant.id, caller.partner_id, caller.sees_programme, caller.merchant_ids


async def about(work: Work, subject_id: UUID) -> list[Recorded]:
    """Everything that happened to one subject, in its order."""
    return [Recorded(*row) for row in await work.db.rows(ABOUT, work.tenant.id, subject_id)]
