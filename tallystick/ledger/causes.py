"""What the books say of one cause: the journals that it is behind, found by the accounts that it moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.work import Work
from tallystick.ledger.model import Transfer

# Of an account that the cause owned before (where a reward waited until it was claimed) the way leads on from what came of it.
CAUSED: Final = """
with named as materialized (
    select e.journal_id, e.leg, e.account_id, e.counterpart_id, e.amount
    from entries as e
    join journals as j on j.tenant_id = $1 and j.id = e.journal_id
    where e.tenant_id = $1 and e.account_id = any($3::uuid[]) and j.cause_id = $2
),
earlier as (
    select distinct a.id
    from named as n
    join accounts as a on a.tenant_id = $1 and a.id = n.counterpart_id
    where a.owner_id = $2 and a.id <> all($3::uuid[])
),
found as (
    select n.journal_id, n.leg, n.account_id, n.counterpart_id, n.amount from named as n
    union all
    select e.journal_id, e.leg, e.account_id, e.counterpart_id, e.amount
    from earlier as o
    join entries as e on e.tenant_id = $1 and e.account_id = o.id
)
select j.id, j.kind, j.at, case when f.amount < 0 then f.account_id else f.counterpart_id end,
    case when f.amount < 0 then f.counterpart_id else f.account_id end, abs(f.amount)
from (
    select distinct on (f.journal_id, f.leg) f.journal_id, f.leg, f.account_id, f.counterpart_id, f.amount
    from found as f
    order by f.journal_id, f.leg
) as f
join journals as j on j.tenant_id = $1 and j.id = f.journal_id
where j.cause_id = $2
order by j.at, j.id, f.leg
"""


@dataclass(frozen=True, slots=True)
class Caused:
    """A journal as far as it moved the accounts that it was looked for by."""

    id: UUID
    kind: str
    at: datetime
    transfers: tuple[Transfer, ...]


async def journals_of(work: Work, cause_id: UUID, account_ids: Sequence[UUID]) -> list[Caused]:
    """The journals that this is behind, oldest first, among those that moved these accounts or those it owned before."""
    found: dict[UUID, Caused] = {}
    for journal_id, kind, at, debit, credit, amount in await work.db.rows(
        CAUSED, work.tenant.id, cause_id, account_ids
    ):
        earlier = found[journal_id].transfers if journal_id in found else ()
        found[journal_id] = Caused(journal_id, kind, at, (*earlier, Transfer(debit, credit, amount)))
    return list(found.values())
