"""Fast and wrong is worth nothing: after a run, the books of every contender are proven and what it granted is counted."""

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

SPENT = """
select (select count(*) from payment_intents where status = 'captured'),
    (select count(*) from idempotency_keys where operation = 'payments.authorize'),
    (select count(*) from payment_sources), (select count(*) from payment_parts),
    (select count(*) from journals where kind = 'payment.capture'),
    (select count(*) from gift_card_activities where kind = 'redeem'),
    (select count(*) from events where topic = 'redemption.captured'),
    (select count(*) from events where topic = 'gift_card.redeemed'),
    (select count(*) from request_log where route = '/api/v1/payment-intents' and status = 201),
    (select count(*) from entries as e join journals as j on j.tenant_id = e.tenant_id and j.id = e.journal_id
        where j.kind = 'payment.capture'),
    (select count(*) from gift_cards), (select count(*) from accounts where code = 'card.lot'),
    (select count(*) from journals where kind = 'card.issue'),
    (select count(*) from gift_card_activities where kind = 'issue'),
    (select count(*) from events where topic = 'gift_card.issued')
"""
TOTALS = """
select (select count(distinct (tenant_id, position)) from events), (select sum(position) from tenant_heads),
    (select coalesce(sum(amount), 0) from entries)
"""


async def spending_faults(dsn: str, payments: int, cards: int) -> list[str]:
    """What is wrong: broken books, or rows that are not what so many granted payments and cards leave."""
    connection = await asyncpg.connect(dsn, statement_cache_size=0, command_timeout=None)
    try:
        await connection.execute("set statement_timeout = 0")
        counted, totals = await connection.fetchrow(SPENT), await connection.fetchrow(TOTALS)
        assert counted is not None and totals is not None, "counts are one row"
        await connection.execute("set role tallystick_auditor")
        wrong = [f"{fault.invariant}: {fault.sentence}" for fault in await ledger.check_books(Db(connection))]
    finally:
        await connection.close()
    wanted = [payments] * 9 + [2 * payments] + [cards] * 5
    if list(counted) != wanted:
        wrong.append(f"There are {list(counted)} rows, and {wanted} were granted.")
    if totals[0] != totals[1]:
        wrong.append(f"The heads stand at {totals[1]} in all, and there are {totals[0]} positions.")
    if totals[2] != 0:
        wrong.append(f"All entries sum to {totals[2]}.")
    return wrong


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
