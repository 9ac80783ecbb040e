"""The statements of `rate_limits`: the arrival times that processes share."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tallystick.base.db import Pool

# What was taken counts from the instant of the first of it, as if it had come at once. For a process alone that is never later
# than the time it knows itself, so that sharing refuses nothing that the limit allows. Rows are locked in the order of their ids.
ADD = """
with held as (
    select client_id from rate_limits where client_id = any($1::uuid[]) order by client_id for update
)
update rate_limits as shared
set arrival_at = greatest(shared.arrival_at, told.since) + told.cost
from unnest($1::uuid[], $2::timestamptz[], $3::interval[]) as told (client_id, since, cost)
join held on held.client_id = told.client_id
where shared.client_id = told.client_id
returning shared.client_id, shared.arrival_at
"""

BEGIN = """
insert into rate_limits (client_id, arrival_at)
select told.client_id, told.since from unnest($1::uuid[], $2::timestamptz[]) as told (client_id, since)
order by told.client_id
on conflict (client_id) do nothing
"""

Told = tuple[UUID, datetime, timedelta]
"""A client, the instant of the first request that was taken, and what all of them cost in time."""


async def add(pool: Pool, told: Sequence[Told]) -> dict[UUID, datetime]:
    """Move the shared times on; the new ones by client."""
    async with pool.lend() as db, db.connection.transaction():
        # Nothing is promised by it: a crash of the server may forget the last moments of a rate limit.
        await db.script("set local synchronous_commit = off")
        found = {row[0]: row[1] for row in await db.rows(ADD, *_columns(told))}
        if fresh := [each for each in told if each[0] not in found]:
            columns = _columns(fresh)
            await db.run(BEGIN, columns[0], columns[1])
            found.update((row[0], row[1]) for row in await db.rows(ADD, *columns))
        return found


def _columns(told: Sequence[Told]) -> tuple[list[UUID], list[datetime], list[timedelta]]:
    return [each[0] for each in told], [each[1] for each in told], [each[2] for each in told]
