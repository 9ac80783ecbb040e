"""Every statement on `events` and `tenant_heads`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.work import Caller, Work
from tallystick.events.model import Event

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

# What is about no merchant (a quota, a credential) is about its partner, and for nobody else.
FEED = """
select position, id, topic, subject_type, subject_id, sequence, at, document
from events
where tenant_id = $1 and position > $2 and ($3::text[] is null or topic = any($3)) and case
        when merchant_id is null then partner_id = $4
        else ($5 or partner_id = $4) and ($6::uuid[] is null or merchant_id = any($6))
    end
order by position
limit $7
"""

ABOUT = """
select position, id, topic, subject_type, subject_id, sequence, at, document
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


async def feed(work: Work, after: int, caller: Caller, topics: Sequence[str] | None, limit: int) -> list[Recorded]:
    """Events behind position `after` that the caller may read, oldest first; of these topics unless None."""
    rows = await work.db.rows(
        FEED, work.tenant.id, after, topics, caller.partner_id, caller.sees_programme, caller.merchant_ids, limit
    )
    return [Recorded(*row) for row in rows]


async def about(work: Work, subject_id: UUID) -> list[Recorded]:
    """Everything that happened to one subject, in its order."""
    return [Recorded(*row) for row in await work.db.rows(ABOUT, work.tenant.id, subject_id)]
