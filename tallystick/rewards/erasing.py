"""What rewards say of a person who is erased: nothing any more. Their amounts stay, since the books do."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tallystick.base.work import Work

WAITING: Final = """
select id from rewards where tenant_id = $1 and recipient_id = any($2::uuid[]) and status = 'Created' order by id
"""

AWAITED: Final = """
select distinct recipient_id from rewards
where tenant_id = $1 and recipient_id = any($2::uuid[]) and partner_id <> $3 and status = 'Created'
"""

# Of a reward whose recipient is known there always is an answer.
IS_ERASED: Final = "select answer_sealed = ''::bytea from rewards where tenant_id = $1 and id = $2"

ERASE: Final = """
update rewards set private_sealed = null, answer_sealed = ''::bytea
where tenant_id = $1 and recipient_id = any($2::uuid[]) and answer_sealed <> ''::bytea
    and (recipient_id = any($3::uuid[]) or wallet_id = any($4::uuid[]))
"""


async def is_erased(work: Work, reward_id: UUID) -> bool:
    """Whether whoever got it was erased."""
    return bool(await work.db.value(IS_ERASED, work.tenant.id, reward_id))


async def waiting(work: Work, recipient_ids: Sequence[UUID]) -> list[UUID]:
    """The rewards that wait for these held recipients."""
    return [row[0] for row in await work.db.rows(WAITING, work.tenant.id, recipient_ids)]


async def awaited_from_others(work: Work, recipient_ids: Sequence[UUID], partner_id: UUID) -> set[UUID]:
    """Those of these held recipients for whom a reward of another partner waits: what that one gave is not this one's to end."""
    return {row[0] for row in await work.db.rows(AWAITED, work.tenant.id, recipient_ids, partner_id)}


async def erase(
    work: Work, recipient_ids: Sequence[UUID], theirs_alone: Sequence[UUID], wallet_ids: Sequence[UUID]
) -> None:
    """Forget messages, e-mail addresses and first answers of rewards of these held recipients: of all that are theirs alone, and of
    the others what came into these wallets.
    """
    await work.db.run(ERASE, work.tenant.id, recipient_ids, theirs_alone, wallet_ids)
