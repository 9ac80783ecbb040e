"""Letters to a person who is erased: forgotten, and not sent."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tallystick.base.work import Work

ERASE: Final = """
update messages
set content_sealed = null, due_at = null, failed_at = case when due_at is null then failed_at else $3::timestamptz end
where tenant_id = $1 and recipient_id = any($2::uuid[]) and content_sealed is not null
"""


async def erase(work: Work, recipient_ids: Sequence[UUID]) -> None:
    """Forget what these recipients were written and were to be written."""
    await work.db.run(ERASE, work.tenant.id, recipient_ids, work.now)
