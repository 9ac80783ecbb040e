"""A loader written by hand for these rows and these rules: what must be written for a file, by sets, and nothing decided.

`python -m benchmarks.loading` is spoken to as `benchmarks.copying` is, and copies as that does. Then it keeps each name once, each
new row with the indexes by which the product finds it, and a row of progress for each customer and rule. It knows the five rules
of `benchmarks.clubs` by heart and locks fifty thousand lines' customers at a time. No row may be wrong, take anything back, or
come late; nobody is rewarded, told, or bound by anything; nothing is sealed; no line is refused alone.
"""

import asyncio
import resource
import sys
import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from benchmarks import copying, receipts

TABLES: Final = f"""
set client_min_messages = error;
create table if not exists loaded_customers (external_id text primary key, id bigint generated always as identity);
create table if not exists loaded_staging ({copying.TYPES});
create table if not exists loaded_names (source_id text primary key, fingerprint bytea not null);
create table if not exists loaded_rows (
    id bigint generated always as identity primary key, customer_id bigint not null, merchant_id uuid not null,
    import_id uuid not null, {copying.TYPES}
);
create index if not exists loaded_rows_of_customer on loaded_rows (customer_id, id);
create index if not exists loaded_rows_of_merchant on loaded_rows (merchant_id, id);
create index if not exists loaded_rows_of_import on loaded_rows (import_id, id);
create table if not exists loaded_progress (
    rule int, customer_id bigint, window_start timestamptz, current bigint not null, updated_at timestamptz not null,
    primary key (rule, customer_id, window_start)
) with (fillfactor = 70);
create index if not exists loaded_progress_of_customer on loaded_progress (customer_id);
"""
CUSTOMERS: Final = "insert into loaded_customers (external_id) select unnest($1::text[]) on conflict do nothing"
LOAD: Final = f"""
with fresh as (
    insert into loaded_names (source_id, fingerprint)
    select source_id, sha256(row_to_json(s)::text::bytea) from loaded_staging as s
    on conflict do nothing
    returning source_id
),
known as materialized (
    select c.id as customer_id, s.*
    from loaded_staging as s
    join fresh on fresh.source_id = s.source_id
    join loaded_customers as c on c.external_id = s.external_id
),
kept as (
    insert into loaded_rows (customer_id, merchant_id, import_id, {copying.NAMES})
    select customer_id, $1, $2, {copying.NAMES} from known
),
counted as (
    select r.rule, k.customer_id, r.window_start, sum(r.counted) as counted
    from known as k
    cross join lateral (
        values
            (1, '-infinity'::timestamptz, k.amount),
            (2, date_trunc('month', k.occurred_at, 'Europe/Zurich'), k.amount),
            (3, '-infinity', 1),
            (4, '-infinity', case when k.category in ('coffee', 'cake') then k.quantity end),
            (5, '-infinity', case when k.method <> 'GiftCard' and k.channel = 'pos' then k.amount end)
    ) as r (rule, window_start, counted)
    where r.counted is not null and r.rule <= $3
    group by r.rule, k.customer_id, r.window_start
),
moved as (
    insert into loaded_progress as p (rule, customer_id, window_start, current, updated_at)
    select rule, customer_id, window_start, counted, $4 from counted order by rule, customer_id, window_start
    on conflict (rule, customer_id, window_start) do update
    set current = p.current + excluded.current, updated_at = excluded.updated_at
)
select count(*) from fresh
"""


class Plan(msgspec.Struct):
    """The file, the database it is loaded into, and of how many customers and rules."""

    dsn: str
    file: str
    customers: int
    rules: int
    merchant_id: str
    run: str


async def drive(plan: Plan) -> copying.Counted:
    """Carry the plan out. The tables stay from run to run, as those of the product do; the staging table is left empty."""
    connection = await asyncpg.connect(plan.dsn, command_timeout=None)
    try:
        await connection.execute(TABLES)
        await connection.execute(CUSTOMERS, [receipts.external_id(each) for each in range(plan.customers)])
        copying.say("measuring")
        began, cpu = time.perf_counter(), time.process_time()
        rows = 0
        for piece in copying.pieces(Path(plan.file)):
            async with connection.transaction():
                await connection.copy_to_table("loaded_staging", source=piece, format="csv")
                rows += await connection.fetchval(LOAD, plan.merchant_id, plan.run, plan.rules, receipts.BEGAN)
                await connection.execute("truncate loaded_staging")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        copying.say("measured")
    finally:
        await connection.close()
    return copying.Counted(rows, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Read the plan, carry it out, tell what was counted."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    copying.say(msgspec.json.encode(asyncio.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
