"""The worker's part of batches: cards are made some hundred at a time, exactly as many as were asked for, and activated.

The cards of a chunk, their value and the batch's count commit together, under the batch's lock: whatever dies on the way, no card
is made twice or forgotten.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

import tallystick.giftcards.batch_store as store
import tallystick.giftcards.store as card_store
from tallystick import events
from tallystick.base.batcher import run_batch
from tallystick.base.errors import Refusal
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work
from tallystick.giftcards import batch_resource, resource, states
from tallystick.giftcards.activities import moved_on
from tallystick.giftcards.batch_store import CardBatch
from tallystick.giftcards.deciding import look
from tallystick.giftcards.issuing import draw, put
from tallystick.giftcards.model import EMPTY, Activity, GiftCard
from tallystick.governance import quotas

CARDS_AT_ONCE: Final = 300
"""How many cards one work makes: cut by how long its locks are held."""
LEASE: Final = timedelta(seconds=30)
FIRST: Final = UUID(int=0)
"""Before every card, in the order of ids."""


async def run_batches(runtime: Runtime) -> bool:
    """One step of the loop: carry one batch of each tenant a chunk further; whether there was any."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, _: step(runtime, tenant))


async def step(runtime: Runtime, tenant: Tenant) -> bool:
    """Carry the tenant's longest waiting batch one chunk further. What was killed on the way has done nothing."""
    async with runtime.work(tenant) as work:
        batch_id = await store.lease(work, work.real_now + LEASE)
    if batch_id is None:
        return False
    (outcome,) = await run_batch(runtime, _go_on, tenant, [batch_id])
    if isinstance(outcome, Exception):
        raise outcome
    return True


async def _go_on(work: Work, batch_ids: Sequence[UUID]) -> list[None | Refusal]:
    """Under the batch's lock: what cancels or resumes it waits for the chunk, and the chunk sees what they did."""
    for batch in (await store.lock(work, batch_ids)).values():
        if batch.making:
            await _make(work, batch)
        elif batch.activation == "running":
            await _activate(work, batch)
        else:
            await store.update(work, batch)  # stopped since it was leased: nothing is due
    return [None] * len(batch_ids)


async def _make(work: Work, batch: CardBatch) -> None:
    """Make the next cards, as many as can be paid for; where that is not all of them, the batch waits to be resumed."""
    wanted = min(CARDS_AT_ONCE, batch.total - batch.done)
    terms, asked = batch.terms, _asked(work.tenant, batch, batch.client_id, batch.request_id)
    facts = await look(work, [(batch.partner_id, terms, wanted)])
    made, refusal = [], None
    for _ in range(wanted):
        refusal = facts.take(batch.partner_id, terms)
        if refusal is not None:
            break
        merchant = facts.merchants[batch.merchant_id]
        made.append((draw(work, batch.partner_id, terms, merchant, batch_id=batch.id), asked))
    quotas.count(work, facts.quotas)
    put(work, made)
    done = batch.done + len(made)
    batch = _next(work, replace(batch, done=done, status="completed" if done == batch.total else "running"))
    if refusal is not None:
        batch = replace(batch, status="paused", error=_error(refusal))
    await store.update(work, batch)
    if batch.status == "completed":
        events.record(work, _completed(batch))


async def _activate(work: Work, batch: CardBatch) -> None:
    """Activate the next pending cards. One that is frozen meanwhile is left out."""
    wanted = await store.pending_after(work, batch.id, batch.activation_after or FIRST, CARDS_AT_ONCE)
    locked = await card_store.lock(work, wanted) if wanted else {}
    going = [card for card in locked.values() if states.meets("activate", card.effective(work.now))]
    balances = await card_store.balances(work, [card.id for card in going]) if going else {}
    assert batch.activation_client_id is not None and batch.activation_request_id is not None, "somebody asked for it"
    asked = _asked(work.tenant, batch, batch.activation_client_id, batch.activation_request_id)
    changed, activities = [], []
    for before in going:
        card = moved_on(before, "activate", work.now, status="active", activated_at=work.now, reason=None)
        balance = balances.get(card.id, EMPTY)
        changed.append(card)
        activities.append(_activity(card, balance.available + balance.held, asked))
        events.record(work, resource.event("gift_card.activated", card, balance, work.now, asked))
    card_store.update_later(work, changed)
    card_store.insert_activities(work, activities)
    ended = len(wanted) < CARDS_AT_ONCE
    batch = replace(batch, activated=batch.activated + len(changed), activation="completed" if ended else "running")
    await store.update(work, _next(work, replace(batch, activation_after=wanted[-1] if wanted else None)))


def _activity(card: GiftCard, balance_after: int, asked: Asked) -> Activity:
    return Activity(
        card_id=card.id,
        sequence=card.version,
        kind="activate",
        amount=0,
        balance_after=balance_after,
        reason="activated",
        journal_id=None,
        cause_id=card.batch_id,
        partner_id=asked.caller.partner_id,
        request_id=asked.request_id,
        at=card.updated_at,
    )


def _next(work: Work, batch: CardBatch) -> CardBatch:
    return replace(batch, version=batch.version + 1, updated_at=work.now)


def _asked(tenant: Tenant, batch: CardBatch, client_id: UUID, request_id: UUID) -> Asked:
    """The request that wanted it stands behind what is done for a batch."""
    caller = Caller.behind(tenant, batch.partner_id, client_id)
    return Asked(caller, request_id, "POST", batch_resource.GIFT_CARD_BATCH.path)


def _error(refusal: Refusal) -> str:
    """Why a batch is paused, as an error of the API; its pointer is one into the batch's own document."""
    error: dict[str, Any] = {
        "code": refusal.code,
        "status": str(refusal.status),
        "title": refusal.title,
        "detail": refusal.detail,
    }
    if refusal.source is not None:
        error["source"] = {refusal.source.kind: refusal.source.name}
    return msgspec.json.encode(error).decode()


def _completed(batch: CardBatch) -> events.Event:
    return events.Event(
        topic="gift_card.batch_completed",
        subject_type=batch_resource.GIFT_CARD_BATCH.type,
        subject_id=batch.id,
        sequence=1,  # a batch is completed once, and nothing else is told of it
        document=batch_resource.resource(batch),
        partner_id=batch.partner_id,
        merchant_id=batch.merchant_id,
        request_id=batch.request_id,
    )
