"""Every statement on `merchants`, `spending_terms` and `activity_terms`."""

from collections.abc import Sequence
from dataclasses import astuple
from uuid import UUID

from tallystick.base.work import Work
from tallystick.merchants.model import ActivityTerms, Merchant, MerchantRef, SpendingTerms

COLUMNS = """id, name, currency, country, time_zone, status, claim_days, pre_issuing, stacking, funding_mode,
    reward_maximum, phone_day_maximum, receivable_account_id, prefund_account_id, region, value_days"""

INSERT = """
insert into merchants (
    tenant_id, id, name, currency, country, time_zone, status, claim_days, pre_issuing, stacking, funding_mode,
    reward_maximum, phone_day_maximum, receivable_account_id, prefund_account_id, cash_account_id, created_at, region, value_days
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""

INSERT_TERMS = "insert into spending_terms (tenant_id, merchant_id) values ($1, $2)"

TERM_COLUMNS = """payment_minimum, payment_maximum, wallet_day_maximum, wallet_day_count, card_day_maximum, card_day_count,
    merchant_day_maximum, card_maximum, adjust_maximum, authorization_days, refund_grace_days, expiry_notice_days,
    member_code_pays"""

TERMS_OF = (
    f"select merchant_id, {TERM_COLUMNS} from spending_terms where tenant_id = $1 and merchant_id = any($2::uuid[])"
)

ACTIVITY_COLUMNS = "attribution, release_after_days, unknown_days, return_count_signal, return_window_days"

ACTIVITY_TERMS_OF = f"""
select merchant_id, {ACTIVITY_COLUMNS} from activity_terms where tenant_id = $1 and merchant_id = any($2::uuid[])
"""

UPDATE_ACTIVITY_TERMS = """
update activity_terms
set attribution = $3, release_after_days = $4, unknown_days = $5, return_count_signal = $6, return_window_days = $7
where tenant_id = $1 and merchant_id = $2
"""

INSERT_ACTIVITY_TERMS = "insert into activity_terms (tenant_id, merchant_id) values ($1, $2)"

UPDATE_TERMS = """
update spending_terms
set payment_minimum = $3, payment_maximum = $4, wallet_day_maximum = $5, wallet_day_count = $6, card_day_maximum = $7,
    card_day_count = $8, merchant_day_maximum = $9, card_maximum = $10, adjust_maximum = $11, authorization_days = $12,
    refund_grace_days = $13, expiry_notice_days = $14, member_code_pays = $15
where tenant_id = $1 and merchant_id = $2
"""

UPDATE = """
update merchants
set status = $3, claim_days = $4, pre_issuing = $5, stacking = $6, funding_mode = $7, reward_maximum = $8,
    phone_day_maximum = $9, region = $10, value_days = $11
where tenant_id = $1 and id = $2
"""

BY_IDS = f"select {COLUMNS} from merchants where tenant_id = $1 and id = any($2::uuid[])"

LOCK = f"select {COLUMNS} from merchants where tenant_id = $1 and id = any($2::uuid[]) order by id for update"

CASH_ACCOUNT = "select cash_account_id from merchants where tenant_id = $1 and id = $2"

REFS = "select id, country, status = 'active' from merchants where tenant_id = $1"

LISTED = "from merchants where tenant_id = $1 and ($2::uuid[] is null or id = any($2))"

COUNT = f"select count(*) {LISTED}"

LIST = f"select {COLUMNS} {LISTED} order by created_at, id offset $3 limit $4"

# How often the merchant was told of: the next event's number, under the merchant's lock.
TOLD = """
select greatest(
    (select coalesce(max(sequence), 0) from events where tenant_id = $1 and subject_id = $2),
    (select coalesce(max(sequence), 0) from event_sequences where tenant_id = $1 and subject_id = $2)
)
"""


# What is left to fund rewards: without a floor there is no bound.
LEFT = """
select a.balance - a.held - a.floor
from accounts as a
where a.tenant_id = $1 and a.id = $2
"""


async def insert(work: Work, merchant: Merchant, cash_account_id: UUID) -> None:
    """Insert a new merchant."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        merchant.id,
        merchant.name,
        merchant.currency,
        merchant.country,
        merchant.time_zone,
        merchant.status,
        merchant.claim_days,
        merchant.pre_issuing,
        merchant.stacking,
        merchant.funding_mode,
        merchant.reward_maximum,
        merchant.phone_day_maximum,
        merchant.receivable_account_id,
        merchant.prefund_account_id,
        cash_account_id,
        work.now,
        merchant.region,
        merchant.value_days,
    )
    await work.db.run(INSERT_TERMS, work.tenant.id, merchant.id)
    await work.db.run(INSERT_ACTIVITY_TERMS, work.tenant.id, merchant.id)


async def update(work: Work, merchant: Merchant) -> None:
    """Write what can change of a merchant."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        merchant.id,
        merchant.status,
        merchant.claim_days,
        merchant.pre_issuing,
        merchant.stacking,
        merchant.funding_mode,
        merchant.reward_maximum,
        merchant.phone_day_maximum,
        merchant.region,
        merchant.value_days,
    )


async def terms(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, SpendingTerms]:
    """On what terms the value of these merchants is spent."""
    rows = await work.db.rows(TERMS_OF, work.tenant.id, merchant_ids)
    return {row[0]: SpendingTerms(*list(row)[1:]) for row in rows}


async def activity_terms(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, ActivityTerms]:
    """How these merchants take activity."""
    rows = await work.db.rows(ACTIVITY_TERMS_OF, work.tenant.id, merchant_ids)
    return {row[0]: ActivityTerms(*list(row)[1:]) for row in rows}


async def set_activity_terms(work: Work, merchant_id: UUID, terms: ActivityTerms) -> None:
    """Write how a locked merchant takes activity."""
    await work.db.run(UPDATE_ACTIVITY_TERMS, work.tenant.id, merchant_id, *astuple(terms))


async def set_terms(work: Work, merchant_id: UUID, terms: SpendingTerms) -> None:
    """Write the terms of a locked merchant."""
    await work.db.run(UPDATE_TERMS, work.tenant.id, merchant_id, *astuple(terms))


async def by_ids(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, Merchant]:
    """The merchants with these ids; unknown ids are absent."""
    rows = await work.db.rows(BY_IDS, work.tenant.id, merchant_ids)
    return {row[0]: Merchant(*row) for row in rows}


async def lock(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, Merchant]:
    """The merchants, locked against other changes until the work ends; issuing does not wait for it."""
    rows = await work.db.rows(LOCK, work.tenant.id, merchant_ids)
    return {row[0]: Merchant(*row) for row in rows}


async def cash_account(work: Work, merchant_id: UUID) -> UUID:
    """The account that says how much money came in from the merchant."""
    account_id: UUID = await work.db.value(CASH_ACCOUNT, work.tenant.id, merchant_id)
    return account_id


async def refs(work: Work) -> list[MerchantRef]:
    """Every merchant of the tenant, in short."""
    return [MerchantRef(*row) for row in await work.db.rows(REFS, work.tenant.id)]


async def count(work: Work, merchant_ids: Sequence[UUID] | None) -> int:
    """How many of these merchants there are; all of the tenant for None."""
    number: int = await work.db.value(COUNT, work.tenant.id, merchant_ids)
    return number


async def listed(work: Work, merchant_ids: Sequence[UUID] | None, offset: int, limit: int) -> list[Merchant]:
    """A page of these merchants, oldest first; of the whole tenant for None."""
    return [Merchant(*row) for row in await work.db.rows(LIST, work.tenant.id, merchant_ids, offset, limit)]


async def told(work: Work, merchant_id: UUID) -> int:
    """How many events about the merchant are committed."""
    number: int = await work.db.value(TOLD, work.tenant.id, merchant_id)
    return number


async def left(work: Work, account_id: UUID) -> int | None:
    """Minor units above the account's floor that nothing holds; None: it has no floor."""
    units: int | None = await work.db.value(LEFT, work.tenant.id, account_id)
    return units
