"""Every statement on `till_codes`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.work import Work

INSERT = "insert into till_codes (tenant_id, code_index, wallet_id, expires_at) values ($1, $2, $3, $4)"

LIVE = """
select t.expires_at
from (
    select c.expires_at, c.used_at
    from till_codes as c
    where c.tenant_id = $1 and c.wallet_id = $2
    offset 0  -- a fence: found by wallet, and only then looked at by time
) as t
where t.expires_at > $3 and t.used_at is null
order by t.expires_at
"""

GOOD = """
select code_index, wallet_id
from till_codes
where tenant_id = $1 and code_index = any($2::bytea[]) and expires_at > $3 and used_at is null
"""

LOCK = f"{GOOD} order by code_index for update"

USE = """
update till_codes set used_at = $3
where tenant_id = $1 and code_index = any($2::bytea[]) and used_at is null
returning code_index
"""

# A few at a time, and none that somebody has in hand.
FORGET = """
delete from till_codes
where tenant_id = $1 and code_index = any(array(
    select t.code_index
    from till_codes as t
    where t.tenant_id = $1 and t.expires_at <= $2
    order by t.expires_at
    limit $3
    for update skip locked
))
"""


async def insert(work: Work, index: bytes, wallet_id: UUID, expires_at: datetime) -> None:
    """Keep the index of a code that was drawn."""
    await work.db.run(INSERT, work.tenant.id, index, wallet_id, expires_at)


async def live(work: Work, wallet_id: UUID) -> list[datetime]:
    """When each code of a wallet ends that is good still, earliest first."""
    return [row[0] for row in await work.db.rows(LIVE, work.tenant.id, wallet_id, work.now)]


async def good(work: Work, indexes: Sequence[bytes]) -> list[tuple[bytes, UUID]]:
    """(index, wallet) of those of the codes that are good now, for reading."""
    return [(row[0], row[1]) for row in await work.db.rows(GOOD, work.tenant.id, indexes, work.now)]


async def lock(work: Work, indexes: Sequence[bytes]) -> list[tuple[bytes, UUID]]:
    """The same, locked until the work ends; before any wallet."""
    return [(row[0], row[1]) for row in await work.db.rows(LOCK, work.tenant.id, indexes, work.now)]


async def use(work: Work, indexes: Sequence[bytes]) -> int:
    """Mark codes as used; how many were not before."""
    return len(await work.db.rows(USE, work.tenant.id, indexes, work.now))


async def forget(work: Work, limit: int) -> None:
    """Delete codes that have expired, those that did first."""
    await work.db.run(FORGET, work.tenant.id, work.now, limit)
