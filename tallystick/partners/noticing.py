"""Tell partners in time: of secrets that end, and of agreements to be reviewed. In real time, also in a sandbox."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import tallystick.partners.notice_store as notice_store
import tallystick.partners.store as store
from tallystick import events
from tallystick.base.db import Db
from tallystick.base.errors import InvalidRequest, NotFound
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.partners import resource, review_resource
from tallystick.partners.model import REVIEW_EVERY, Agreement
from tallystick.partners.notice_store import Marks, Reviewed

NEAR: Final = timedelta(days=7)
NEAREST: Final = timedelta(days=1)
REVIEW_NEAR: Final = timedelta(days=30)
REVIEW_LATEST: Final = timedelta(days=1096)
TELL_AT_ONCE: Final = 50


async def tell_of_secrets(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, tell of secrets that end within 7 days, and again within one; whether any does."""
    now = runtime.clock()
    marks = Marks(now, now + NEAR, now + NEAREST)
    async with runtime.pool.lend() as db:
        rows = await notice_store.expiring_tenants(db, marks)
    return await each_in_turn(rows, lambda tenant, _: _tell_of_secrets(runtime, tenant, marks))


async def tell_of_reviews(runtime: Runtime) -> bool:
    """One step of the loop: of each programme, tell of agreements to be reviewed within 30 days, and of those that are due."""
    now = runtime.clock()
    async with runtime.pool.lend() as db:
        rows = await notice_store.review_tenants(db, now, now + REVIEW_NEAR)
    return await each_in_turn(rows, lambda tenant, _: _tell_of_reviews(runtime, tenant, now))


async def review(db: Db, agreement_id: UUID, now: datetime, due_at: datetime | None = None) -> Agreement:
    """The agreement was reviewed; the next review is due at `due_at`, in a year unless told, and told anew. Raises NotFound."""
    due_at = due_at or now + REVIEW_EVERY
    if not now < due_at <= now + REVIEW_LATEST:
        raise InvalidRequest("The next review is due after now and within three years.")
    if not await notice_store.reviewed(db, agreement_id, due_at):
        raise NotFound("There is no such agreement, or it has ended.")
    found = await store.agreement(db, agreement_id)
    assert found is not None, "it was changed just now"
    return found


async def _tell_of_secrets(runtime: Runtime, tenant: Tenant, marks: Marks) -> bool:
    async with runtime.work(tenant) as work:
        client_ids = await notice_store.lock_expiring(work, marks, TELL_AT_ONCE)
        # Who waited for a client's row may have waited for one who told, or for a rotation: what is due is found under the lock.
        due = await notice_store.told_expiring(work, marks, client_ids)
        for client_id in sorted(due):
            await _tell_of_secret(work, client_id)
    return bool(due)


async def _tell_of_secret(work: Work, client_id: UUID) -> None:
    client = await store.client(work.db, client_id)
    assert client is not None, "a client that is locked is there"
    events.record(
        work,
        events.Event(
            topic="credential.expiring",
            subject_type="Credential",
            subject_id=client_id,
            sequence=await store.told(work, client_id) + 1,
            document=resource.told(client, await store.secrets_of(work.db, [client_id]), work.real_now),
            partner_id=client.partner_id,
        ),
    )


async def _tell_of_reviews(runtime: Runtime, tenant: Tenant, now: datetime) -> bool:
    async with runtime.work(tenant) as work:
        due = await notice_store.told_reviews(work, now, now + REVIEW_NEAR, TELL_AT_ONCE)
        for agreement in due:
            await _tell_of_review(work, agreement)
    return bool(due)


async def _tell_of_review(work: Work, agreement: Reviewed) -> None:
    events.record(
        work,
        events.Event(
            topic="access.review_due",
            subject_type="Agreement",
            subject_id=agreement.id,
            sequence=await store.told(work, agreement.id) + 1,
            document=review_resource.told(agreement, work.tenant.programme_id),
            partner_id=agreement.partner_id,
        ),
    )
