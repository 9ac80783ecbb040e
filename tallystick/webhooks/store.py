"""Every statement on endpoints and their secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.webhooks.model import Webhook

COLUMNS: Final = """id, partner_id, client_id, merchant_limit, url, description, topics, merchant_ids, location_ids,
    payload_version, headers_sealed, rate_per_minute, fifo, status, reason, since_position, failing_since, failed_at,
    succeeded_at, warned, version, created_at, updated_at"""

# The first endpoint of a tenant begins where its feed ends; who makes one holds the row, so that two first ones agree.
OPEN_HEAD: Final = """
insert into webhook_heads (tenant_id, position)
select tenant_id, position from tenant_heads where tenant_id = $1
on conflict (tenant_id) do nothing
"""
HOLD_HEAD: Final = "select position from webhook_heads where tenant_id = $1 for update"
FEED_END: Final = "select position from tenant_heads where tenant_id = $1"

INSERT: Final = f"""
insert into webhooks (tenant_id, {COLUMNS})
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
"""

UPDATE: Final = """
update webhooks
set url = $3, description = $4, topics = $5, merchant_ids = $6, location_ids = $7, headers_sealed = $8, rate_per_minute = $9,
    fifo = $10, status = $11, reason = $12, failing_since = $13, failed_at = $14, succeeded_at = $15, warned = $16, version = $17,
    updated_at = $18
where tenant_id = $1 and id = $2
"""

BY_IDS: Final = f"select {COLUMNS} from webhooks where tenant_id = $1 and id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by id for update"

LISTED: Final = """
from webhooks
where tenant_id = $1 and partner_id = $2 and status <> 'deleted'
    and ($3::uuid[] is null or merchant_limit <@ $3) and ($4::text is null or status = $4)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $5 limit $6"

INSERT_SECRET: Final = """
insert into webhook_secrets (tenant_id, webhook_id, id, symmetric_sealed, private_sealed, public_key, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""  # noqa: S105 - a statement
# Those that would go on for longer end now, or when they would have.
END_SECRETS: Final = """
update webhook_secrets set ends_at = least(ends_at, $4)
where tenant_id = $1 and webhook_id = $2 and id <> $3
"""
SECRETS: Final = """
select webhook_id, id, symmetric_sealed, private_sealed, public_key, created_at, ends_at
from webhook_secrets
where tenant_id = $1 and webhook_id = any($2::uuid[]) and (ends_at is null or ends_at > $3)
order by webhook_id, created_at desc, id desc
"""


@dataclass(frozen=True, slots=True)
class Secret:
    """What an endpoint's deliveries are signed with, sealed."""

    webhook_id: UUID
    id: UUID
    symmetric_sealed: bytes
    private_sealed: bytes
    public_key: bytes
    created_at: datetime
    ends_at: datetime | None


async def hold_head(work: Work) -> None:
    """Lock the row that says how far events were handed out; made where there is none."""
    await work.db.run(OPEN_HEAD, work.tenant.id)
    await work.db.run(HOLD_HEAD, work.tenant.id)


async def feed_end(work: Work) -> int:
    """The position of the newest event."""
    found: int = await work.db.value(FEED_END, work.tenant.id)
    return found


async def insert(work: Work, webhook: Webhook) -> None:
    """Insert a new endpoint."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        webhook.id,
        webhook.partner_id,
        webhook.client_id,
        webhook.merchant_limit,
        webhook.url,
        webhook.description,
        webhook.topics,
        webhook.merchant_ids,
        webhook.location_ids,
        webhook.payload_version,
        webhook.headers_sealed,
        webhook.rate_per_minute,
        webhook.fifo,
        webhook.status,
        webhook.reason,
        webhook.since_position,
        webhook.failing_since,
        webhook.failed_at,
        webhook.succeeded_at,
        webhook.warned,
        webhook.version,
        webhook.created_at,
        webhook.updated_at,
    )


async def update(work: Work, webhook: Webhook) -> None:
    """Write whatever may change of an endpoint that is locked."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        webhook.id,
        webhook.url,
        webhook.description,
        webhook.topics,
        webhook.merchant_ids,
        webhook.location_ids,
        webhook.headers_sealed,
        webhook.rate_per_minute,
        webhook.fifo,
        webhook.status,
        webhook.reason,
        webhook.failing_since,
        webhook.failed_at,
        webhook.succeeded_at,
        webhook.warned,
        webhook.version,
        webhook.updated_at,
    )


async def by_ids(work: Work, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook]:
    """Endpoints by id, for reading; unknown ids are absent."""
    return {row[0]: _webhook(row) for row in await work.db.rows(BY_IDS, work.tenant.id, webhook_ids)}


async def lock(work: Work, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook]:
    """Endpoints by id, locked."""
    return {row[0]: _webhook(row) for row in await work.db.rows(LOCK, work.tenant.id, webhook_ids)}


async def count(work: Work, partner_id: UUID) -> int:
    """How many endpoints a partner has."""
    found: int = await work.db.value(COUNT, work.tenant.id, partner_id, None, None)
    return found


async def listed(
    work: Work, partner_id: UUID, merchant_ids: Sequence[UUID] | None, status: str | None, offset: int, limit: int
) -> tuple[list[Webhook], int]:
    """One page of a partner's endpoints, newest first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, merchant_ids, status)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [_webhook(row) for row in rows], total


async def insert_secret(work: Work, secret: Secret) -> None:
    """Insert a new secret."""
    await work.db.run(
        INSERT_SECRET,
        work.tenant.id,
        secret.webhook_id,
        secret.id,
        secret.symmetric_sealed,
        secret.private_sealed,
        secret.public_key,
        secret.created_at,
    )


async def end_secrets(work: Work, webhook_id: UUID, but: UUID, at: datetime) -> None:
    """Every secret of an endpoint but one ends at this instant, or earlier if it would have."""
    await work.db.run(END_SECRETS, work.tenant.id, webhook_id, but, at)


async def secrets(work: Work, webhook_ids: Sequence[UUID]) -> list[Secret]:
    """The secrets of these endpoints that are alive in real time, newest first."""
    return [Secret(*row) for row in await work.db.rows(SECRETS, work.tenant.id, webhook_ids, work.real_now)]


def _webhook(row: Row) -> Webhook:
    values = list(row)
    for place in (3, 6, 7, 8):
        values[place] = None if row[place] is None else tuple(row[place])
    return Webhook(*values)
