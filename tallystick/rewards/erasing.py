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
where tenant_id = $1 and recipient_id = any($2::uuid[]) and ($3::uuid is null or partner_id <> $3) and status = 'Created'
"""

# Of a reward whose recipient is known there always is an answer.
IS_ERASED: Final = "select answer_sealed = ''::bytea from rewards where tenant_id = $1 and id = $2"

# Every lot of a wallet says which reward gave it, also one that is empty, and whatever phone the reward was for.
CAME_INTO: Final = """
select r.id, r.recipient_id
from rewards as r
where r.tenant_id = $1 and r.id = any(array(
    select a.owner_id from accounts as a where a.tenant_id = $1 and a.parent_id = any($2::uuid[]) and a.code = 'wallet.lot'
))
"""

ERASE: Final = """
update rewards set private_sealed = null, answer_sealed = ''::bytea
where tenant_id = $1 and (recipient_id = any($2::uuid[]) or id = any($3::uuid[])) and answer_sealed <> ''::bytea
"""


async def is_erased(work: Work, reward_id: UUID) -> bool:
    """Whether whoever got it was erased."""
    return bool(await work.db.value(IS_ERASED, work.tenant.id, reward_id))


async def waiting(work: Work, recipient_ids: Sequence[UUID]) -> list[UUID]:
    """The rewards that wait for these held recipients."""
    return [row[0] for row in await work.db.rows(WAITING, work.tenant.id, recipient_ids)]


async def came_into(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The rewards that ever came into these wallets, with whom each was for: by a phone that the holder may have had once."""
    return {row[0]: row[1] for row in await work.db.rows(CAME_INTO, work.tenant.id, wallet_ids)}


async def awaited(work: Work, recipient_ids: Sequence[UUID], but: UUID | None = None) -> set[UUID]:
    """Those of these recipients for whom a reward waits that is not `but` this partner's."""
    return {row[0] for row in await work.db.rows(AWAITED, work.tenant.id, recipient_ids, but)}


async def erase(work: Work, theirs_alone: Sequence[UUID], reward_ids: Sequence[UUID]) -> None:
    """Forget messages, e-mail addresses and first answers of these rewards, and of all of recipients that are theirs alone."""
    await work.db.run(ERASE, work.tenant.id, theirs_alone, reward_ids)
