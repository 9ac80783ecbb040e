"""Fast and wrong is worth nothing: after a run, the books of every contender are proven and its rewards counted."""

import asyncpg

from tallystick import ledger
from tallystick.base.db import Db

COUNTS = """
select (select count(*) from rewards), (select count(*) from idempotency_keys where operation = 'rewards.issue'),
    (select count(*) from journals), (select count(*) from entries),
    (select count(*) from events where subject_type = 'Reward'),
    (select count(*) from request_log where route = '/api/v1/rewards' and status = 200),
    (select count(distinct (tenant_id, position)) from events), (select sum(position) from tenant_heads),
    (select coalesce(sum(amount), 0) from entries)
"""


async def faults(dsn: str, rewards: int) -> list[str]:
    """What is wrong: broken books, or rows that are not one, or two, for each of the `rewards` that were answered 200."""
    connection = await asyncpg.connect(dsn, statement_cache_size=0, command_timeout=None)
    try:
        await connection.execute("set statement_timeout = 0")
        counted = await connection.fetchrow(COUNTS)
        assert counted is not None, "counts are one row"
        await connection.execute("set role tallystick_auditor")
        wrong = [f"{fault.invariant}: {fault.sentence}" for fault in await ledger.check_books(Db(connection))]
    finally:
        await connection.close()
    names = ("rewards", "keys", "journals", "entries", "events of rewards", "requests")
    for name, found, wanted in zip(
        names, counted, (rewards, rewards, rewards, 2 * rewards, rewards, rewards), strict=False
    ):
        if found != wanted:
            wrong.append(f"There are {found} {name}, and {rewards} rewards were answered 200.")
    if counted[6] != counted[7]:
        wrong.append(f"The heads stand at {counted[7]} in all, and there are {counted[6]} positions.")
    if counted[8] != 0:
        wrong.append(f"All entries sum to {counted[8]}.")
    return wrong
