"""Existing rewards, many at once: every row that issuing would have written, set by set, so that the books hold.

Sealed values are random-looking bytes of the length of true ones: nothing here reads them back. Half of the rewards went to
wallets; half wait, each for somebody nobody knew before.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from benchmarks.world import FILL_FIRST, FRESH_FIRST, Credential

CHUNK: Final = 25_000

# Numbered, so that a row is picked without a sort.
SHOPS: Final = """
create temporary table shops as
select row_number() over (order by id) - 1 as n, id as merchant_id, receivable_account_id as funding_id
from merchants where tenant_id = '{tenant}'
"""
WALLETS: Final = """
create temporary table held as
select row_number() over (order by w.id) - 1 as n, c.recipient_id, w.id as wallet_id, s.merchant_id, s.funding_id
from wallets as w join customers as c on c.tenant_id = w.tenant_id and c.id = w.customer_id
join shops as s on s.merchant_id = w.merchant_id
where w.tenant_id = '{tenant}'
"""
GIVEN: Final = """
create temporary table given (
    n bigint, reward_id uuid, value_id uuid, journal_id uuid, recipient_id uuid, wallet_id uuid, merchant_id uuid,
    funding_id uuid, amount bigint, at timestamptz, request_id uuid
)
"""

# In the order of time: ids made by uuidv7() ascend.
CHOOSE: Final = """
insert into given
select g.n, uuidv7(), uuidv7(), uuidv7(), coalesce(h.recipient_id, uuidv7()), h.wallet_id,
    coalesce(h.merchant_id, s.merchant_id), coalesce(h.funding_id, s.funding_id), 100 + g.n * 7919 % 900,
    $3::timestamptz + g.n * interval '1 millisecond', uuidv7()
from (
    select n, case when n % 2 = 0 then n / 2 % (select count(*) from held) end as known,
        case when n % 2 = 1 then n / 2 % (select count(*) from shops) end as place
    from generate_series($1::bigint, $2::bigint - 1) as n
) as g
left join held as h on h.n = g.known
left join shops as s on s.n = g.place
order by g.n
"""
RECIPIENTS: Final = """
insert into recipients (tenant_id, phone_index, id, key_wrapped, phone_sealed, created_at)
select $1, sha256(('fill' || n)::bytea), recipient_id, decode(rpad(md5(n::text), 122, md5(n::text)), 'hex'),
    decode(rpad(md5(n::text), 82, md5(n::text)), 'hex'), at
from given where wallet_id is null
"""
KEYS: Final = """
insert into idempotency_keys (tenant_id, partner_id, operation, key, fingerprint, resource_id, status, created_at)
select $1, $2, 'rewards.issue', 'reward-case-' || n, sha256(n::text::bytea), reward_id, 200, at from given
"""
REWARDS: Final = """
insert into rewards (
    tenant_id, id, partner_id, merchant_id, recipient_id, kind, status, amount, currency, wallet_id, funding_account_id,
    value_account_id, claim_expires_at, reason_code, private_sealed, answer_sealed, created_at, updated_at
)
select $1, reward_id, $2, merchant_id, recipient_id, case when wallet_id is null then 'preIssued' else 'immediate' end,
    case when wallet_id is null then 'Created' else 'Credited' end, amount, 'USD', wallet_id, funding_id, value_id,
    case when wallet_id is null then at + interval '90 days' end, 'CX-COMPENSATION',
    decode(repeat(md5(n::text), 4), 'hex'), decode(repeat(md5(n::text), 44), 'hex'), at, at
from given
"""
ACCOUNTS: Final = """
insert into accounts (
    tenant_id, id, merchant_id, currency, code, owner_id, parent_id, lot_class, funder_id, floor, balance, version, last_at,
    opened_at
)
select $1, value_id, merchant_id, 'USD', case when wallet_id is null then 'reward.unclaimed' else 'wallet.lot' end, reward_id,
    wallet_id, case when wallet_id is not null then 'compensation' end,
    case when wallet_id is not null then funding_id end, 0, amount, 1, at, at
from given
"""
JOURNALS: Final = """
insert into journals (tenant_id, id, merchant_id, currency, kind, cause_id, at, recorded_at)
select $1, journal_id, merchant_id, 'USD', case when wallet_id is null then 'reward.pre_issue' else 'reward.issue' end,
    reward_id, at, at
from given
"""
ENTRIES: Final = """
insert into entries (tenant_id, account_id, version, journal_id, leg, counterpart_id, amount, balance_after, at)
select $1, e.account_id, e.version, e.journal_id, 1, e.counterpart_id, e.amount, e.balance_after, e.at
from (
    select g.n, g.funding_id as account_id, a.version + row_number() over chain as version, g.journal_id,
        g.value_id as counterpart_id, -g.amount as amount, a.balance - sum(g.amount) over chain as balance_after, g.at
    from given as g join accounts as a on a.tenant_id = $1 and a.id = g.funding_id
    window chain as (partition by g.funding_id order by g.n)
    union all
    select n, value_id, 1, journal_id, funding_id, amount, amount, at from given
) as e
order by e.n
"""
BALANCES: Final = """
update accounts as a
set balance = a.balance - moved.amount, version = a.version + moved.count, last_at = greatest(a.last_at, moved.at)
from (select funding_id, sum(amount) as amount, count(*) as count, max(at) as at from given group by funding_id) as moved
where a.tenant_id = $1 and a.id = moved.funding_id
"""
EVENTS: Final = """
with head as (
    update tenant_heads set position = position + (select count(*) from given) where tenant_id = $1
    returning position - (select count(*) from given) as taken
)
insert into events (
    tenant_id, position, recorded_at, id, topic, subject_type, subject_id, sequence, partner_id, merchant_id, request_id, at,
    document
)
select $1, head.taken + row_number() over (order by n), at, uuidv7(),
    case when wallet_id is null then 'reward.pre_issued' else 'reward.credited' end, 'Reward', reward_id, 1, $2, merchant_id,
    request_id, at, format(
        '{"id":"%s","type":"Reward","attributes":{"kind":"%s","amount":%s,"walletId":"%s","status":"%s","canUpdate":true,'
        '"canCancel":true,"claimExpiresAt":"%s","reasonCode":"CX-COMPENSATION","costCenter":null,"currency":"USD",'
        '"merchantId":"%s","reversedAmount":0,"createdAt":"%s","updatedAt":"%s"}}',
        reward_id, case when wallet_id is null then 'preIssued' else 'immediate' end, amount, wallet_id,
        case when wallet_id is null then 'Created' else 'Credited' end, at, merchant_id, at, at
    )::json
from given, head
order by n
"""
REQUESTS: Final = """
insert into request_log (tenant_id, at, id, partner_id, client_id, method, route, status, resource_id)
select $1, at, request_id, $2, $3, 'POST', '/api/v1/rewards', 200, reward_id from given
"""
BY_TENANT: Final = (RECIPIENTS, ACCOUNTS, JOURNALS, ENTRIES, BALANCES)
BY_PARTNER: Final = (KEYS, REWARDS, EVENTS)


async def fill(dsn: str, credential: Credential, rewards: int, now: datetime) -> None:
    """So many rewards of the tenant, the last of them just before `now`; the tables are swept and counted afterwards."""
    assert rewards // 2 <= FRESH_FIRST - FILL_FIRST, "each waiting reward is a new person's"
    caller = credential.caller
    connection = await asyncpg.connect(dsn, command_timeout=None)
    try:
        await connection.execute(
            "set synchronous_commit = off; set idle_in_transaction_session_timeout = 0; set statement_timeout = 0;"
            f"{SHOPS.format(tenant=caller.tenant.id)};{WALLETS.format(tenant=caller.tenant.id)};{GIVEN};"
            "analyze shops; analyze held"
        )
        began = await connection.fetchval("select $1::timestamptz - $2 * interval '1 millisecond'", now, rewards)
        for first in range(0, rewards, CHUNK):
            async with connection.transaction():
                await connection.execute("truncate given")
                await connection.execute(CHOOSE, first, min(first + CHUNK, rewards), began)
                await connection.execute("analyze given")
                await _write(connection, caller.tenant.id, caller.partner_id, caller.client_id)
        await connection.execute("vacuum (analyze)")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _write(
    connection: "asyncpg.Connection[asyncpg.Record]", tenant_id: UUID, partner_id: UUID, client_id: UUID
) -> None:
    statements: Sequence[tuple[str, Sequence[UUID]]] = (
        *((sql, (tenant_id,)) for sql in BY_TENANT),
        *((sql, (tenant_id, partner_id)) for sql in BY_PARTNER),
        (REQUESTS, (tenant_id, partner_id, client_id)),
    )
    for sql, arguments in statements:
        await connection.execute(sql, *arguments)
