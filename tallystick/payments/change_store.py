"""The statements by which a reversal and its payment meet."""

from collections.abc import Collection
from uuid import UUID

from tallystick.base.work import Work
from tallystick.payments.model import TillReference

Reference = tuple[UUID, UUID, str]
"""A partner, a merchant, and what a till of theirs calls the payment."""

# The row is the lock: whoever comes second waits for the first, and then reads what it left in a statement of its own. The
# order is the database's own, since payments claim theirs by it too.
CLAIM = """
insert into till_references as kept (tenant_id, partner_id, merchant_id, reference, intent_id, reversed_at, created_at)
select $1, fresh.partner_id, fresh.merchant_id, fresh.reference, null, $2, $2
from unnest($3::uuid[], $4::uuid[], $5::text[]) as fresh (partner_id, merchant_id, reference)
order by fresh.partner_id, fresh.merchant_id, fresh.reference
on conflict on constraint till_references_pkey do nothing
"""

LOCK = """
select partner_id, merchant_id, reference, intent_id, reversed_at
from till_references
where tenant_id = $1 and partner_id = any($2::uuid[]) and merchant_id = any($3::uuid[]) and reference = any($4::text[])
order by partner_id, merchant_id, reference
for update
"""


async def claim_references(work: Work, names: Collection[Reference]) -> dict[Reference, TillReference]:
    """These references of tills, locked, for their reversals; those that no payment claimed yet are made, and stay reversed."""
    columns = [list(column) for column in zip(*set(names), strict=True)]
    await work.db.run(CLAIM, work.tenant.id, work.now, *columns)
    rows = await work.db.rows(LOCK, work.tenant.id, *columns)
    return {(row[0], row[1], row[2]): TillReference(*row) for row in rows}
