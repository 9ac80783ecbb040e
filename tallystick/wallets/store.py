"""Every statement on `wallets`. What they hold is read from the books, a floor below."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.base.work import Work
from tallystick.wallets.model import EMPTY, Balance, HeldLot, Line, Wallet, WalletFact

COLUMNS = """id, customer_id, merchant_id, partner_id, currency, status, owed_account_id, version, created_at, updated_at,
    merged_into"""

# The hot path's one look: every open wallet of every recipient of a batch. `any` takes an id that is asked twice once.
FACTS = """
select c.recipient_id, w.merchant_id, w.id, w.status, w.owed_account_id, w.currency
from customers as c
join wallets as w on w.tenant_id = c.tenant_id and w.customer_id = c.id
where c.tenant_id = $1 and c.recipient_id = any($2::uuid[]) and c.status = 'active' and w.status <> 'closed'
"""

INSERT = """
insert into wallets (
    tenant_id, id, customer_id, merchant_id, partner_id, currency, status, version, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
"""

SET_STATUS = """
update wallets set status = $3, version = $4, updated_at = $5, merged_into = $6 where tenant_id = $1 and id = $2
"""

# What a holder still owed at a merchant when a wallet of theirs was closed. What was merged owes with its survivor.
LEFT_OWING = """
select w.owed_account_id
from wallets as w
join accounts as a on a.tenant_id = $1 and a.id = w.owed_account_id and a.balance < 0
where w.tenant_id = $1 and w.customer_id = $2 and w.merchant_id = $3 and w.status = 'closed' and w.merged_into is null
order by w.id
"""

SET_OWED_ACCOUNT = "update wallets set owed_account_id = $3 where tenant_id = $1 and id = $2"

WITH_IDS = "from wallets where tenant_id = $1 and id = any($2::uuid[])"

BY_IDS = f"select {COLUMNS} {WITH_IDS}"

LOCK = f"{BY_IDS} order by id for update"

MERGED_INTO = f"select id, merged_into {WITH_IDS}"

OPEN = "from wallets where tenant_id = $1 and customer_id = any($2::uuid[]) and status <> 'closed'"

OF_CUSTOMERS = f"select {COLUMNS} {OPEN} order by id"

LOCK_OF_CUSTOMERS = f"{OF_CUSTOMERS} for update"

LISTED = """
from wallets
where tenant_id = $1 and customer_id = any($2::uuid[]) and ($3::uuid is null or partner_id = $3)
    and ($4::uuid[] is null or merchant_id = any($4))
"""

COUNT = f"select count(*) {LISTED}"

LIST = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $5 limit $6"

OF_ERASED = """
select w.id
from wallets as w
join customers as c on c.tenant_id = $1 and c.id = w.customer_id and c.status = 'erased'
where w.tenant_id = $1 and w.id = any($2::uuid[])
"""

RAISE = """
update wallets as w
set version = raised.version, updated_at = $4
from unnest($2::uuid[], $3::integer[]) as raised (id, version)
where w.tenant_id = $1 and w.id = raised.id and w.id = any($2)
"""

LOTS = (
    "select id from accounts where tenant_id = $1 and parent_id = any($2::uuid[]) and code = 'wallet.lot' order by id"
)

# In the order in which they are spent. What is past its expiry is there only as far as a payment holds it.
HOLDING = """
from accounts as a
where a.tenant_id = $1 and a.parent_id = $2 and a.code = 'wallet.lot' and a.balance > 0
    and (a.held > 0 or a.expires_at is null or a.expires_at > $3)
"""

COUNT_HOLDING = f"select count(*) {HOLDING}"

LIST_HOLDING = f"""
select a.id, a.lot_class, case when a.expires_at <= $3 then 0 else a.balance - a.held end, a.held, a.expires_at, a.opened_at
{HOLDING}
order by a.expires_at asc nulls last,
    array_position(array['promotional', 'compensation', 'refund', 'paid'], a.lot_class), a.id
offset $4 limit $5
"""

# What a lot still holds past its expiry is no value of the wallet any more, whether or not the books have moved yet.
BALANCES = """
select w.id, coalesce(lots.available, 0)::bigint, 0::bigint, coalesce(lots.held, 0)::bigint,
    coalesce(-owed.balance, 0)::bigint
from wallets as w
left join lateral (
    select sum(a.balance - a.held) filter (where a.expires_at is null or a.expires_at > $3) as available, sum(a.held) as held
    from accounts as a
    where a.tenant_id = $1 and a.parent_id = w.id and a.code = 'wallet.lot'
) as lots on true
left join accounts as owed on owed.tenant_id = $1 and owed.id = w.owed_account_id
where w.tenant_id = $1 and w.id = any($2::uuid[])
"""

# The last entry at or before the instant says what an account held then; a hold counts from when it was made until it ended. The
# clocks of two processes may differ by a little: what a lot holds bounds what is held of it, so that nothing is below zero.
BALANCE_AT = """
select coalesce(sum(greatest(coalesce(last.balance_after, 0) - coalesce(kept.amount, 0), 0)) filter (
        where a.code = 'wallet.lot' and (a.expires_at is null or a.expires_at > $4)
    ), 0)::bigint,
    0::bigint,
    coalesce(sum(least(coalesce(kept.amount, 0), coalesce(last.balance_after, 0))) filter (
        where a.code = 'wallet.lot'
    ), 0)::bigint,
    coalesce(-sum(last.balance_after) filter (where a.id = $3), 0)::bigint
from accounts as a
left join lateral (
    select e.balance_after
    from entries as e
    where e.tenant_id = $1 and e.account_id = a.id and e.at <= $4
    order by e.version desc
    limit 1
) as last on true
left join lateral (
    select sum(h.amount) as amount
    from holds as h
    left join hold_resolutions as r on r.tenant_id = $1 and r.hold_id = h.id and r.at <= $4
    where h.tenant_id = $1 and h.account_id = a.id and h.at <= $4 and r.hold_id is null
) as kept on true
where a.tenant_id = $1 and (a.parent_id = $2 and a.code = 'wallet.lot' or a.id = $3)
"""

# Which tenants have lots past their deadline, and the earliest; a sandbox looks at its own clock.
DISCOVERY_DUE = """
select t.id, t.programme_id, t.environment, earliest.due_at
from tenants as t
cross join lateral (
    select min(d.due_at) as due_at
    from lot_deadlines as d
    where d.tenant_id = t.id and d.code = 'wallet.lot' and d.due_at is not null
) as earliest
where earliest.due_at <= $1::timestamptz + t.clock_offset
"""

# Which tenants may have lots to announce, by the longest notice any of their merchants gives, and what time it is there.
DISCOVERY_NOTICES = """
select t.id, t.programme_id, t.environment, $1::timestamptz + t.clock_offset
from tenants as t
cross join lateral (
    select min(d.expires_at) as expires_at
    from lot_deadlines as d
    where d.tenant_id = t.id and d.code = 'wallet.lot' and d.announced_at is null
        and d.expires_at > $1::timestamptz + t.clock_offset
) as earliest
cross join lateral (
    select max(s.expiry_notice_days) as days from spending_terms as s where s.tenant_id = t.id
) as longest
where earliest.expires_at <= $1::timestamptz + t.clock_offset + longest.days * interval '24 hours'
"""

# A day is 24 hours here, whatever the time zone of the session. One probe for each merchant.
NEXT_NOTICE = """
select min(earliest.expires_at - s.expiry_notice_days * interval '24 hours')
from spending_terms as s
cross join lateral (
    select d.expires_at
    from lot_deadlines as d
    where d.tenant_id = $1 and d.code = 'wallet.lot' and d.merchant_id = s.merchant_id and d.announced_at is null
        and d.expires_at > $2
    order by d.expires_at
    limit 1
) as earliest
where s.tenant_id = $1
"""

TO_ANNOUNCE = """
select d.account_id, d.parent_id, d.expires_at
from spending_terms as s
cross join lateral (
    select soon.account_id, soon.parent_id, soon.expires_at
    from lot_deadlines as soon
    where soon.tenant_id = $1 and soon.code = 'wallet.lot' and soon.merchant_id = s.merchant_id
        and soon.announced_at is null and soon.expires_at > $2
        and soon.expires_at <= $3::timestamptz + s.expiry_notice_days * interval '24 hours'
    order by soon.expires_at
    limit $4
) as d
where s.tenant_id = $1
limit $4
"""

UNANNOUNCED = """
select account_id
from lot_deadlines
where tenant_id = $1 and account_id = any($2::uuid[]) and announced_at is null
"""

COUNT_LINES = """
select count(*)
from accounts as a
join entries as e on e.tenant_id = a.tenant_id and e.account_id = a.id
where a.tenant_id = $1 and a.parent_id = $2 and a.code = 'wallet.lot'
"""

# Within a lot time never runs backwards, so this order keeps every lot's own, and what the wallet held is never below zero.
LINES = """
select line.account_id, line.version, line.amount, line.balance_after, j.kind, j.cause_id, line.lot_class, line.expires_at,
    line.at
from (
    select a.id as account_id, e.version, e.amount, e.journal_id, a.lot_class, a.expires_at, e.at,
        (sum(e.amount) over (order by e.at, e.version, a.id))::bigint as balance_after
    from accounts as a
    join entries as e on e.tenant_id = a.tenant_id and e.account_id = a.id
    where a.tenant_id = $1 and a.parent_id = $2 and a.code = 'wallet.lot'
) as line
join journals as j on j.tenant_id = $1 and j.id = line.journal_id
order by line.at desc, line.version desc, line.account_id desc
offset $3 limit $4
"""


@dataclass(frozen=True, slots=True)
class Expiring:
    """A lot of a wallet that expires soon."""

    account_id: UUID
    wallet_id: UUID
    expires_at: datetime


async def facts(work: Work, recipient_ids: Sequence[UUID]) -> list[WalletFact]:
    """Every wallet that is not closed of every customer known by these recipients; merged and erased customers have none.

    Decide on it only under the recipients' locks, taken by an earlier statement.
    """
    return [WalletFact(*row) for row in await work.db.rows(FACTS, work.tenant.id, recipient_ids)]


async def insert(work: Work, wallet: Wallet) -> None:
    """Insert a new wallet."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        wallet.id,
        wallet.customer_id,
        wallet.merchant_id,
        wallet.partner_id,
        wallet.currency,
        wallet.status,
        wallet.version,
        wallet.created_at,
    )


async def set_status(work: Work, wallet: Wallet) -> None:
    """Write the status, the version and the successor that a wallet has now."""
    await work.db.run(
        SET_STATUS, work.tenant.id, wallet.id, wallet.status, wallet.version, wallet.updated_at, wallet.merged_into
    )


async def left_owing(work: Work, customer_id: UUID, merchant_id: UUID) -> list[UUID]:
    """The accounts of what a holder owes with closed wallets at a merchant."""
    return [row[0] for row in await work.db.rows(LEFT_OWING, work.tenant.id, customer_id, merchant_id)]


async def set_owed_account(work: Work, wallet_id: UUID, account_id: UUID) -> None:
    """Name the account that says what the holder owes."""
    await work.db.run(SET_OWED_ACCOUNT, work.tenant.id, wallet_id, account_id)


async def by_ids(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, Wallet]:
    """Wallets by id, for reading; unknown ids are absent."""
    return {row[0]: Wallet(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, wallet_ids)}


async def lock(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, Wallet]:
    """Wallets by id, locked until the work ends; after their holders and before any account."""
    return {row[0]: Wallet(*row) for row in await work.db.rows(LOCK, work.tenant.id, wallet_ids)}


async def merged_into(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, UUID | None]:
    """Which wallet each of these was merged into, None where it was not; unknown ids are absent."""
    return {row[0]: row[1] for row in await work.db.rows(MERGED_INTO, work.tenant.id, wallet_ids)}


async def of_customers(work: Work, customer_ids: Sequence[UUID]) -> list[Wallet]:
    """Every wallet of these customers that is not closed, for reading."""
    return [Wallet(*row) for row in await work.db.rows(OF_CUSTOMERS, work.tenant.id, customer_ids)]


async def lock_of_customers(work: Work, customer_ids: Sequence[UUID]) -> list[Wallet]:
    """Every wallet of these customers that is not closed, locked; after the customers."""
    return [Wallet(*row) for row in await work.db.rows(LOCK_OF_CUSTOMERS, work.tenant.id, customer_ids)]


async def of_erased(work: Work, wallet_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these wallets whose holder was erased, and owes nothing any more."""
    return {row[0] for row in await work.db.rows(OF_ERASED, work.tenant.id, wallet_ids)}


async def listed(
    work: Work,
    customer_ids: Sequence[UUID],
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    offset: int,
    limit: int,
) -> tuple[list[Wallet], int]:
    """One page of the wallets of these customers, newest first, and how many there are; None: of any partner, any merchant."""
    wanted = (work.tenant.id, customer_ids, partner_id, merchant_ids)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Wallet(*row) for row in rows], total


async def lots(work: Work, wallet_ids: Sequence[UUID]) -> list[UUID]:
    """The accounts of the lots of these wallets."""
    return [row[0] for row in await work.db.rows(LOTS, work.tenant.id, wallet_ids)]


async def raise_versions(work: Work, wallets: Sequence[Wallet]) -> None:
    """Write the versions that locked wallets have now."""
    ids, versions = [wallet.id for wallet in wallets], [wallet.version for wallet in wallets]
    await work.db.run(RAISE, work.tenant.id, ids, versions, work.now)


async def holding(work: Work, wallet_id: UUID, offset: int, limit: int) -> tuple[list[HeldLot], int]:
    """One page of the lots of a wallet that hold anything at `work.now`, as they will be spent, and how many there are."""
    total: int = await work.db.value(COUNT_HOLDING, work.tenant.id, wallet_id, work.now)
    rows = (
        await work.db.rows(LIST_HOLDING, work.tenant.id, wallet_id, work.now, offset, limit) if offset < total else []
    )
    return [HeldLot(*row) for row in rows], total


async def balances(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, Balance]:
    """What these wallets hold at `work.now`; unknown ids are absent."""
    rows = await work.db.rows(BALANCES, work.tenant.id, wallet_ids, work.now)
    return {row[0]: Balance(*list(row)[1:]) for row in rows}


async def balance_at(work: Work, wallet: Wallet, at: datetime) -> Balance:
    """What a wallet held at an instant."""
    row = await work.db.row(BALANCE_AT, work.tenant.id, wallet.id, wallet.owed_account_id, at)
    return EMPTY if row is None else Balance(*row)


async def next_notice(work: Work) -> datetime | None:
    """The earliest instant at which a lot that has not expired is to be announced."""
    instant: datetime | None = await work.db.value(NEXT_NOTICE, work.tenant.id, work.now)
    return instant


async def to_announce(work: Work, until: datetime, limit: int) -> list[Expiring]:
    """Lots that have not expired and were to be announced by an instant; not locked."""
    rows = await work.db.rows(TO_ANNOUNCE, work.tenant.id, work.now, until, limit)
    return [Expiring(*row) for row in rows]


async def unannounced(work: Work, account_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the lots that were not announced."""
    return {row[0] for row in await work.db.rows(UNANNOUNCED, work.tenant.id, account_ids)}


async def lines(work: Work, wallet_id: UUID, offset: int, limit: int) -> tuple[list[Line], int]:
    """One page of what came into a wallet's lots and went out, newest first, and how many lines there are."""
    total: int = await work.db.value(COUNT_LINES, work.tenant.id, wallet_id)
    rows = await work.db.rows(LINES, work.tenant.id, wallet_id, offset, limit) if offset < total else []
    return [Line(*row) for row in rows], total
