"""Every statement on `card_pin_tries`, `card_lookup_windows` and `card_canaries`."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tallystick.base.work import Work
from tallystick.giftcards.breaker import Window
from tallystick.giftcards.pins import Tries

# What is there already is written as it was: an update locks it and reads its newest version, even when it had to wait.
LOCK_WINDOWS: Final = """
insert into card_lookup_windows as counted (tenant_id, client_id, window_start)
select $1, wanted.client_id, $2
from unnest($3::uuid[]) as wanted (client_id)
order by wanted.client_id
on conflict (tenant_id, client_id) do update set tried = counted.tried
returning counted.client_id, counted.window_start, counted.tried, counted.missed, counted.blocked_until
"""

LOCK_TRIES: Final = """
insert into card_pin_tries as counted (tenant_id, card_id)
select $1, wanted.card_id
from unnest($2::uuid[]) as wanted (card_id)
order by wanted.card_id
on conflict (tenant_id, card_id) do update set wrong = counted.wrong
returning counted.card_id, counted.wrong, counted.locks, counted.locked_until
"""

# One round trip for both, and the same one whatever was found.
COUNT: Final = """
with guessed as (
    update card_pin_tries as counted
    set wrong = new.wrong, locks = new.locks, locked_until = new.locked_until
    from unnest($2::uuid[], $3::integer[], $4::integer[], $5::timestamptz[]) as new (card_id, wrong, locks, locked_until)
    where counted.tenant_id = $1 and counted.card_id = new.card_id and counted.card_id = any($2)
)
update card_lookup_windows as counted
set window_start = new.began_at, tried = new.tried, missed = new.missed, blocked_until = new.blocked_until
from unnest($6::uuid[], $7::timestamptz[], $8::integer[], $9::integer[], $10::timestamptz[]) as new (
    client_id, began_at, tried, missed, blocked_until
)
where counted.tenant_id = $1 and counted.client_id = new.client_id and counted.client_id = any($6)
"""

CANARIES: Final = "select code_index, label from card_canaries where tenant_id = $1 and code_index = any($2::bytea[])"

PLANT: Final = """
insert into card_canaries (tenant_id, code_index, label, created_at)
select $1, planted.code_index, $2, $3
from unnest($4::bytea[]) as planted (code_index)
"""


async def lock_windows(work: Work, client_ids: Sequence[UUID]) -> dict[UUID, Window]:
    """What these clients have looked for so far, locked in the order of their ids until the work ends."""
    rows = await work.db.rows(LOCK_WINDOWS, work.tenant.id, work.real_now, client_ids)
    return {row[0]: Window(*row) for row in rows}


async def lock_tries(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, Tries]:
    """The tries of these cards, locked in the order of their ids until the work ends; after the windows."""
    return {row[0]: Tries(*row) for row in await work.db.rows(LOCK_TRIES, work.tenant.id, card_ids)}


async def count(work: Work, tries: Sequence[Tries], windows: Sequence[Window]) -> None:
    """Write tries and windows that are locked, as they are now."""
    await work.db.run(
        COUNT,
        work.tenant.id,
        [each.card_id for each in tries],
        [each.wrong for each in tries],
        [each.locks for each in tries],
        [each.locked_until for each in tries],
        [each.client_id for each in windows],
        [each.began_at for each in windows],
        [each.tried for each in windows],
        [each.missed for each in windows],
        [each.blocked_until for each in windows],
    )


async def canaries(work: Work, indexes: Sequence[bytes]) -> dict[bytes, str]:
    """Those of the indexes that belong to canaries, each with its label."""
    return {row[0]: row[1] for row in await work.db.rows(CANARIES, work.tenant.id, indexes)}


async def plant(work: Work, label: str, indexes: Sequence[bytes]) -> None:
    """Canaries to watch for."""
    await work.db.run(PLANT, work.tenant.id, label, work.now, indexes)
