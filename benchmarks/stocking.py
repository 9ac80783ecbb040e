"""Stored activity, many rows at once: what landing so many purchases of 10.00 would have left, with the progress they come to.

All of it happened in May, in one month of ids, by card, in a category that the fourth rule does not count; every customer has as
many. Fingerprints are of the length of true ones: nothing sends these again.
"""

from typing import Any, Final

import asyncpg

from benchmarks import receipts
from benchmarks.clubs import Club

CHUNK: Final = 100_000
AMOUNT: Final = 1_000
BUYERS: Final = """
create temporary table if not exists buyers as
select row_number() over (order by id) - 1 as n, id from customers where tenant_id = '{tenant}' and external_id is not null
"""
STOCKED: Final = """
create temporary table if not exists stocked (n bigint, id uuid, customer_id uuid)
"""
CHOOSE: Final = """
insert into stocked select g.n, uuidv7(), b.id
from generate_series($1::bigint, $2::bigint - 1) as g (n) join buyers as b on b.n = g.n % $3
"""
KEYS: Final = """
insert into activity_keys (tenant_id, source, source_id, partner_id, activity_id, fingerprint)
select $1, $3, 'stock-' || n, $2, id, sha256(n::text::bytea) from stocked
"""
ACTIVITIES: Final = """
insert into activities (
    tenant_id, id, partner_id, merchant_id, kind, type, source, source_id, occurred_at, received_at, channel, currency, amount, tax,
    units, categories, category_amounts, category_taxes, category_units, methods, method_amounts, customer_id, identity_kind,
    attribution, import_id, import_line, request_id
)
select $1, id, $2, $4, 'transaction', 'Purchase', $3, 'stock-' || n,
    '2026-05-02T12:00:00Z'::timestamptz + n % 2000000 * interval '1 s',
    '2026-05-30T12:00:00Z', 'pos', 'USD', $5::bigint, 80, 1, array['retail'], array[$5::bigint], array[80], array[1],
    array['CreditCard'], array[$5::bigint], customer_id, 'externalId', 'counted', $4, n, $4
from stocked
"""
PROGRESS: Final = """
insert into threshold_progress as p (
    tenant_id, threshold_id, customer_id, window_start, id, merchant_id, current, pending, reached, number, created_at, updated_at
)
select $1, v.threshold_id, b.id, w.start, threshold_progress_id(v.threshold_id, b.id, w.start), v.merchant_id,
    case v.metric when 'visits' then $2::bigint else $2::bigint * $3::bigint end, 0,
    case v.repeat when 'repeating' then $2::bigint * $3::bigint / $4::bigint * $4::bigint else 0 end, v.number,
    '2026-05-30T12:00:00Z', '2026-05-30T12:00:00Z'
from threshold_versions as v
cross join lateral (
    select threshold_window(v.window_kind, v.window_period, v.time_zone, '2026-05-15T12:00:00Z') as start
) as w
cross join buyers as b
where v.tenant_id = $1 and v.metric <> 'items'
order by v.threshold_id, b.id
on conflict on constraint threshold_progress_pkey do update
set current = p.current + excluded.current,
    reached = case when excluded.reached = 0 then p.reached else (p.current + excluded.current) / $4::bigint * $4::bigint end
"""


async def stock(dsn: str, club: Club, first: int, rows: int) -> None:
    """So many more activities, whole numbers of them for each customer; the tables are swept and counted afterwards."""
    assert rows % club.customers == 0, "everybody has as many"
    caller = club.credential.caller
    tenant_id, merchant_id = caller.tenant.id, club.credential.shops[0].merchant_id
    source = f"partner:{caller.partner_id}:transaction"
    connection = await asyncpg.connect(dsn, command_timeout=None)
    try:
        await connection.execute(
            "set synchronous_commit = off; set idle_in_transaction_session_timeout = 0; set statement_timeout = 0;"
            f"{BUYERS.format(tenant=tenant_id)};{STOCKED};analyze buyers"
        )
        for at in range(first, first + rows, CHUNK):
            statements: tuple[tuple[str, tuple[Any, ...]], ...] = (
                (CHOOSE, (at, min(at + CHUNK, first + rows), club.customers)),
                (KEYS, (tenant_id, caller.partner_id, source)),
                (ACTIVITIES, (tenant_id, caller.partner_id, source, merchant_id, AMOUNT)),
            )
            async with connection.transaction():
                await connection.execute("truncate stocked")
                for sql, arguments in statements:
                    await connection.execute(sql, *arguments)
        await connection.execute(PROGRESS, tenant_id, rows // club.customers, AMOUNT, receipts.LARGE)
        await connection.execute("vacuum (analyze)")
        await connection.execute("checkpoint")
    finally:
        await connection.close()
