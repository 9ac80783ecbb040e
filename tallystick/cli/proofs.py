"""Proofs beside the books': that keys, rewards and events tell the same story as the books do. Run by the auditor."""

from collections.abc import Mapping
from typing import Final

from tallystick import ledger
from tallystick.base.db import Db
from tallystick.cli.proofs_of_spending import PROOFS_OF_SPENDING
from tallystick.cli.proofs_of_thresholds import PROOFS_OF_THRESHOLDS

FAULTS_MAX: Final = 100

# A key stands for exactly one reward of its partner, and every reward has one.
AUDITOR_KEYLESS = """
select r.tenant_id, r.id, 'The reward has no idempotency key, or more than one.'
from rewards as r
left join (
    select tenant_id, resource_id, partner_id, count(*) as n
    from idempotency_keys
    where operation in ('rewards.issue', 'reward-batches.issue', 'thresholds.issue')
    group by tenant_id, resource_id, partner_id
) as k on k.tenant_id = r.tenant_id and k.resource_id = r.id and k.partner_id = r.partner_id
where k.n is distinct from 1
"""

AUDITOR_HALF_DONE = """
select k.tenant_id, k.resource_id, 'An idempotency key stands for a reward that does not exist.'
from idempotency_keys as k
left join rewards as r on r.tenant_id = k.tenant_id and r.id = k.resource_id
where k.operation in ('rewards.issue', 'reward-batches.issue', 'thresholds.issue') and r.id is null and not exists (
    select from gift_cards as c where c.tenant_id = k.tenant_id and c.id = k.resource_id and k.operation = 'thresholds.issue'
)
"""

# What a reward says is what its account holds: all of it while it waits, nothing once it was taken back.
AUDITOR_VALUE = """
select r.tenant_id, r.id, format('The reward is %s of %s, and its account stands at %s.', r.status, r.amount, a.balance)
from rewards as r
left join accounts as a on a.tenant_id = r.tenant_id and a.id = r.value_account_id
where a.id is null
    or (r.status = 'Created' and a.balance <> r.amount)
    or (r.status in ('Expired', 'Cancelled') and a.balance <> 0)
    or (r.status in ('Credited', 'Claimed') and (a.parent_id is distinct from r.wallet_id or a.balance > r.amount))
"""

AUDITOR_GAPS = """
select h.tenant_id, h.tenant_id, format('The feed has %s events behind %s up to position %s, and its head stands at %s.',
    coalesce(e.n, 0), h.kept_after, coalesce(e.last, 0), h.position)
from tenant_heads as h
left join (
    select kept.tenant_id, count(*) as n, max(kept.position) as last, count(distinct kept.position) as positions
    from events as kept
    join tenant_heads as of_kept on of_kept.tenant_id = kept.tenant_id and kept.position > of_kept.kept_after
    group by kept.tenant_id
) as e on e.tenant_id = h.tenant_id
where coalesce(e.n, 0) <> h.position - h.kept_after or coalesce(e.positions, 0) <> h.position - h.kept_after
    or (h.position > h.kept_after and coalesce(e.last, 0) <> h.position)
"""

# A reward's version counts what became of it, and each of those is told once.
AUDITOR_UNTOLD = """
select r.tenant_id, r.id, format('The reward is at version %s, and %s events tell of it.', r.version, coalesce(e.n, 0))
from rewards as r
join tenant_heads as h on h.tenant_id = r.tenant_id
left join (
    select tenant_id, subject_id, count(distinct sequence) as n, min(sequence) as first, max(sequence) as last
    from events
    where subject_type = 'Reward'
    group by tenant_id, subject_id
) as e on e.tenant_id = r.tenant_id and e.subject_id = r.id
where (e.n is distinct from r.version::bigint or e.last is distinct from r.version)
    and not (h.kept_after > 0 and (e.n is null or (e.n = e.last - e.first + 1 and e.last = r.version)))
"""

PROOFS: Final[Mapping[str, str]] = {
    "every reward has one key": AUDITOR_KEYLESS,
    "every key has its reward": AUDITOR_HALF_DONE,
    "a reward is worth what its account holds": AUDITOR_VALUE,
    "the feed is gapless": AUDITOR_GAPS,
    "every change of a reward is told once": AUDITOR_UNTOLD,
    **PROOFS_OF_SPENDING,
    **PROOFS_OF_THRESHOLDS,
}


async def check_stories(db: Db) -> list[ledger.Fault]:
    """What does not fit together between rewards, payments, cards, activity, progress, keys, accounts and events, if anything."""
    faults: list[ledger.Fault] = []
    for invariant, sql in PROOFS.items():
        rows = await db.rows(f"{sql} limit {FAULTS_MAX}")
        faults += [ledger.Fault(invariant, row[0], row[1], row[2]) for row in rows]
    return faults
