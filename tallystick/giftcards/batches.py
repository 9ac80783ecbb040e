"""Batches of equal gift cards as partners ask for them: accepted, cancelled, resumed, activated. The worker does the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import msgspec

import tallystick.giftcards.batch_store as store
from tallystick import audit
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidState, NotFound, Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Caller, Work
from tallystick.giftcards import batch_resource
from tallystick.giftcards.batch_store import CardBatch
from tallystick.giftcards.deciding import Terms, fits

TOTAL_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class AcceptBatch:
    """A partner's wish to have many equal cards."""

    asked: Asked
    terms: Terms
    total: int


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """A partner's wish about its batch: to cancel it, to go on with it, or to activate its cards."""

    asked: Asked
    batch_id: UUID


async def accept(work: Work, commands: Sequence[AcceptBatch]) -> list[Answer | Refusal]:
    """Accept each batch, once for its key; its cards are made within moments."""
    return await idempotency.keyed(
        work, "gift-card-batches.create", commands, _accept, fingerprint=_fingerprint, seal=HouseSeal()
    )


async def cancel(work: Work, commands: Sequence[ChangeBatch]) -> list[Answer | Refusal]:
    """Make no more cards; those that are made stay."""

    def act(batch: CardBatch, _: Asked) -> CardBatch | Refusal:
        if batch.status in ("completed", "cancelled"):
            return InvalidState(f"The batch is {batch.status}; there is nothing left to cancel.")
        return replace(batch, status="cancelled", error=None)

    return await _changed(work, commands, "gift-card-batches.cancel", act)


async def resume(work: Work, commands: Sequence[ChangeBatch]) -> list[Answer | Refusal]:
    """Go on with a paused batch, once what stopped it was put right."""

    def act(batch: CardBatch, _: Asked) -> CardBatch | Refusal:
        if batch.status != "paused":
            return InvalidState(f"The batch is {batch.status}; only a paused one can be resumed.")
        return replace(batch, status="running", error=None)

    return await _changed(work, commands, "gift-card-batches.resume", act)


async def activate(work: Work, commands: Sequence[ChangeBatch]) -> list[Answer | Refusal]:
    """Activate the pending cards of a batch that is made; within moments, some hundred at a time."""

    def act(batch: CardBatch, asked: Asked) -> CardBatch | Refusal:
        if batch.making:
            return InvalidState("The batch is still being made. Wait until it is completed, or cancel the rest.")
        if batch.activate:
            return InvalidState("The cards of this batch were active from the beginning.")
        if batch.activation == "running":
            return InvalidState("The cards of this batch are being activated already.")
        return replace(
            batch,
            activation="running",
            activation_client_id=asked.caller.client_id,
            activation_request_id=asked.request_id,
            activation_after=None,
        )

    return await _changed(work, commands, "gift-card-batches.activate", act)


async def visible(work: Work, caller: Caller, batch_id: UUID) -> CardBatch | None:
    """The batch, where the caller may see it."""
    batch = await store.by_id(work, batch_id)
    return batch if batch is not None and _seen(batch, caller) else None


def mine(batch: CardBatch, caller: Caller) -> bool:
    """Whether it is the caller's own to change and to download."""
    return _seen(batch, caller) and batch.partner_id == caller.partner_id


def missing() -> NotFound:
    """The refusal for a batch that is not there, or not for this caller."""
    return NotFound("No gift card batch has this id. Verify the id.")


async def _accept(work: Work, command: AcceptBatch) -> Answer | Refusal:
    terms, caller = command.terms, command.asked.caller
    # Whether such a card could be issued now; what paying for all of them takes is looked at when they are made.
    merchant = await fits(work, caller.partner_id, terms)
    if isinstance(merchant, Refusal):
        return merchant
    batch = CardBatch(
        id=ids.new(),
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        merchant_id=terms.merchant_id,
        request_id=command.asked.request_id,
        status="accepted",
        total=command.total,
        done=0,
        amount=terms.amount,
        currency=merchant.currency,
        value_class=terms.value_class,
        activate=terms.activate,
        reloadable=terms.reloadable,
        pin=terms.pin,
        design_id=terms.design_id,
        expires_at=terms.expires_at,
        external_reference=terms.external_reference,
        error=None,
        activation=None,
        activated=0,
        activation_client_id=None,
        activation_request_id=None,
        activation_after=None,
        downloaded_at=None,
        download_until=None,
        download_key=None,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, batch)
    audit.note(work, command.asked, status=202, resource_id=batch.id)
    return Answer(202, batch_resource.document(batch), batch.id, f"{batch_resource.GIFT_CARD_BATCH.path}/{batch.id}")


async def _changed(
    work: Work,
    commands: Sequence[ChangeBatch],
    operation: str,
    act: Callable[[CardBatch, Asked], CardBatch | Refusal],
) -> list[Answer | Refusal]:
    """Change each batch under its lock, once for its key; `act` decides what it becomes."""

    async def prepare(work: Work, commands: Sequence[ChangeBatch]) -> None:
        await store.lock(work, list({command.batch_id for command in commands}))

    async def change(work: Work, command: ChangeBatch) -> Answer | Refusal:
        batch = await store.by_id(work, command.batch_id)
        if batch is None or not mine(batch, command.asked.caller):
            return missing()
        changed = act(batch, command.asked)
        if isinstance(changed, Refusal):
            return changed
        changed = replace(changed, version=batch.version + 1, updated_at=work.now)
        await store.update(work, changed)
        audit.note(work, command.asked, status=202, resource_id=batch.id)
        return Answer(202, batch_resource.document(changed), batch.id)

    return await idempotency.keyed(
        work,
        operation,
        commands,
        change,
        fingerprint=lambda command: command.batch_id.bytes,
        seal=HouseSeal(),
        prepare=prepare,
    )


def _seen(batch: CardBatch, caller: Caller) -> bool:
    if caller.merchant_ids is not None and batch.merchant_id not in caller.merchant_ids:
        return False
    return caller.sees_programme or batch.partner_id == caller.partner_id


def _fingerprint(command: AcceptBatch) -> bytes:
    return msgspec.json.encode([command.total, command.terms])
