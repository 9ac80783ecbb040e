"""Every statement on `rewards`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from tallystick.base.db import Row, Step
from tallystick.base.idempotency import Claim
from tallystick.base.work import Work
from tallystick.customers.recipients import Candidates
from tallystick.rewards.model import Reward

COLUMNS = """id, partner_id, merchant_id, recipient_id, batch_id, kind, status, amount, reversed_amount, currency, wallet_id,
    funding_account_id, value_account_id, claim_expires_at, reason_code, cost_center, private_sealed, version, created_at,
    updated_at"""

INSERT = Step(
    (
        (
            "issued",
            """
insert into rewards (
    tenant_id, id, partner_id, merchant_id, recipient_id, batch_id, kind, status, amount, currency, wallet_id,
    funding_account_id, value_account_id, claim_expires_at, reason_code, cost_center, private_sealed, answer_sealed,
    created_at, updated_at
)
select $1, given.id, given.partner_id, given.merchant_id, given.recipient_id, given.batch_id,
    case when given.wallet_id is null then 'preIssued' else 'immediate' end,
    case when given.wallet_id is null then 'Created' else 'Credited' end,
    given.amount, given.currency, given.wallet_id, given.funding_account_id, given.value_account_id, given.claim_expires_at,
    given.reason_code, given.cost_center, given.private_sealed, given.answer_sealed, $2, $2
from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[], $9::text[], $10::uuid[], $11::uuid[],
    $12::uuid[], $13::timestamptz[], $14::text[], $15::text[], $16::bytea[], $17::bytea[]) as given (
    id, partner_id, merchant_id, recipient_id, batch_id, amount, currency, wallet_id, funding_account_id, value_account_id,
    claim_expires_at, reason_code, cost_center, private_sealed, answer_sealed
)
""",
        ),
    )
)

LOOK = """
select taken, recipient_indexes, recipient_ids, recipient_keys, merchants, wallets, waiting, accounts, quotas
from rewards_look($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""

GIVEN_BETWEEN = """
select coalesce(sum(amount - reversed_amount), 0)::bigint
from rewards
where tenant_id = $1 and recipient_id = $2 and merchant_id = $3 and created_at >= $4 and created_at < $5
    and status not in ('Cancelled', 'Expired')
"""

ANSWERS = """
select r.id, r.merchant_id, r.answer_sealed, p.id, p.key_wrapped
from rewards as r
join recipients as p on p.tenant_id = r.tenant_id and p.id = r.recipient_id
where r.tenant_id = $1 and r.id = any($2::uuid[])
"""

BY_IDS = f"select {COLUMNS} from rewards where tenant_id = $1 and id = any($2::uuid[])"

LOCK = f"select {COLUMNS} from rewards where tenant_id = $1 and id = any($2::uuid[]) order by id for update"

LOCK_WAITING = f"""
select {COLUMNS}
from rewards
where tenant_id = $1 and recipient_id = any($2::uuid[]) and status = 'Created'
order by id
for update
"""

DUE = """
select id, recipient_id
from rewards
where tenant_id = $1 and status = 'Created' and claim_expires_at <= $2
order by claim_expires_at
limit $3
"""

NEXT_DUE = "select min(claim_expires_at) from rewards where tenant_id = $1 and status = 'Created'"

UPDATE = """
update rewards as r
set amount = changed.amount, reason_code = changed.reason_code, cost_center = changed.cost_center,
    private_sealed = changed.private_sealed, version = r.version + 1, updated_at = $2
from unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::bytea[]) as changed (
    id, amount, reason_code, cost_center, private_sealed
)
where r.tenant_id = $1 and r.id = changed.id and r.id = any($3)
"""

SETTLE = """
update rewards as r
set status = settled.status, wallet_id = settled.wallet_id, value_account_id = settled.value_account_id,
    version = r.version + 1, updated_at = settled.at
from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::timestamptz[]) as settled (
    id, status, wallet_id, value_account_id, at
)
where r.tenant_id = $1 and r.id = settled.id and r.id = any($2)
"""

REVERSE = """
update rewards as r
set reversed_amount = r.reversed_amount + back.amount, version = r.version + 1, updated_at = $2
from unnest($3::uuid[], $4::bigint[]) as back (id, amount)
where r.tenant_id = $1 and r.id = back.id and r.id = any($3)
"""

# The effective status: what a deadline has passed reads Expired before the books have moved.
LISTED = """
from rewards
where tenant_id = $1 and recipient_id = $2 and ($3::uuid is null or partner_id = $3)
    and ($4::uuid[] is null or merchant_id = any($4))
    and ($5::text is null or (kind = 'preIssued' and
        case when status = 'Created' and claim_expires_at <= $6 then 'Expired' else status end = $5))
"""

COUNT = f"select count(*) {LISTED}"

LIST = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $7 limit $8"

# Which tenants have rewards past their deadline, and the earliest; a sandbox looks at its own clock.
DISCOVERY_DUE = """
select t.id, t.programme_id, t.environment, earliest.deadline
from tenants as t
cross join lateral (
    select min(r.claim_expires_at) as deadline from rewards as r where r.tenant_id = t.id and r.status = 'Created'
) as earliest
where earliest.deadline <= $1::timestamptz + t.clock_offset
"""


class NewReward(NamedTuple):
    """A reward that is to be, with what is kept of it sealed: what only its recipient reads, and its first answer."""

    reward: Reward
    private: bytes | None
    answer: bytes


def insert(work: Work, new: Sequence[NewReward]) -> None:
    """Insert new rewards at the end of the work."""
    rewards = [each.reward for each in new]
    work.defer(
        INSERT,
        work.tenant.id,
        work.now,
        [reward.id for reward in rewards],
        [reward.partner_id for reward in rewards],
        [reward.merchant_id for reward in rewards],
        [reward.recipient_id for reward in rewards],
        [reward.batch_id for reward in rewards],
        [reward.amount for reward in rewards],
        [reward.currency for reward in rewards],
        [reward.wallet_id for reward in rewards],
        [reward.funding_account_id for reward in rewards],
        [reward.value_account_id for reward in rewards],
        [reward.claim_expires_at for reward in rewards],
        [reward.reason_code for reward in rewards],
        [reward.cost_center for reward in rewards],
        [each.private for each in new],
        [each.answer for each in new],
    )


async def look(
    work: Work,
    operation: str,
    claims: Sequence[Claim],
    wanted: Candidates,
    merchants: Sequence[UUID],
    asked: Sequence[Sequence[object]],
) -> Row:
    """Claim the keys, lock the recipients and the accounts, and read everything that issuing must know, in one round trip.

    `asked` is what may be taken of quotas: partners, metrics and amounts.
    """
    row = await work.db.row(
        LOOK,
        work.tenant.id,
        work.now,
        work.real_now,
        operation,
        [claim.partner_id for claim in claims],
        [claim.key for claim in claims],
        [claim.fingerprint for claim in claims],
        [claim.resource_id for claim in claims],
        *wanted.columns(),
        merchants,
        *asked,
    )
    assert row is not None, "a look answers one row"
    return row


async def given_between(work: Work, recipient_id: UUID, merchant_id: UUID, since: datetime, until: datetime) -> int:
    """Minor units of the rewards that a merchant issued to a recipient in a stretch of time, less what was taken back."""
    given: int = await work.db.value(GIVEN_BETWEEN, work.tenant.id, recipient_id, merchant_id, since, until)
    return given


async def first_answers(work: Work, reward_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, bytes, UUID, bytes]]:
    """The merchant and the sealed first answer of each reward, with the id and the wrapped key of its recipient."""
    rows = await work.db.rows(ANSWERS, work.tenant.id, reward_ids)
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}


async def by_ids(work: Work, reward_ids: Sequence[UUID]) -> dict[UUID, Reward]:
    """Rewards by id, for reading; unknown ids are absent."""
    return {row[0]: Reward(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, reward_ids)}


async def lock(work: Work, reward_ids: Sequence[UUID]) -> dict[UUID, Reward]:
    """Rewards by id, locked; after their recipients."""
    return {row[0]: Reward(*row) for row in await work.db.rows(LOCK, work.tenant.id, reward_ids)}


async def lock_waiting(work: Work, recipient_ids: Sequence[UUID]) -> list[Reward]:
    """Every unclaimed reward of these recipients, locked; after the recipients."""
    rows = await work.db.rows(LOCK_WAITING, work.tenant.id, recipient_ids)
    return [reward for reward in (Reward(*row) for row in rows) if reward.can_change(work.now)]


async def due(work: Work, limit: int) -> list[tuple[UUID, UUID]]:
    """(reward, recipient) of rewards past their claim deadline, earliest first."""
    return [(row[0], row[1]) for row in await work.db.rows(DUE, work.tenant.id, work.now, limit)]


async def next_due(work: Work) -> datetime | None:
    """The earliest claim deadline of an unclaimed reward."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id)
    return instant


async def update(work: Work, rewards: Sequence[Reward]) -> None:
    """Write the changed fields of unclaimed rewards, each one version on."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        work.now,
        [reward.id for reward in rewards],
        [reward.amount for reward in rewards],
        [reward.reason_code for reward in rewards],
        [reward.cost_center for reward in rewards],
        [reward.private_sealed for reward in rewards],
    )


async def settle(work: Work, rewards: Sequence[Reward]) -> None:
    """Write the final state of rewards that were claimed, expired or cancelled, each one version on."""
    await work.db.run(
        SETTLE,
        work.tenant.id,
        [reward.id for reward in rewards],
        [reward.status for reward in rewards],
        [reward.wallet_id for reward in rewards],
        [reward.value_account_id for reward in rewards],
        [reward.updated_at for reward in rewards],
    )


async def reverse(work: Work, amounts: Mapping[UUID, int]) -> None:
    """Add to what was taken back of each reward, one version on."""
    await work.db.run(REVERSE, work.tenant.id, work.now, list(amounts), list(amounts.values()))


async def listed(
    work: Work,
    recipient_id: UUID,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    status: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Reward], int]:
    """One page of a recipient's rewards, newest first, and how many there are in all. A status speaks of pre-issued ones."""
    wanted = (work.tenant.id, recipient_id, partner_id, merchant_ids, status, work.now)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Reward(*row) for row in rows], total
