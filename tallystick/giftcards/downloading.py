"""The numbers of a batch, given out once: as a file of comma-separated values, read page by page while it is sent.

Every value in it is made here, of letters, digits and hyphens, so that no spreadsheet takes one for a formula.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import tallystick.giftcards.batch_store as store
from tallystick import audit
from tallystick.base import clock
from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.work import Asked, Runtime, Tenant, Work
from tallystick.giftcards import codes
from tallystick.giftcards.batch_store import CardBatch, Secrets
from tallystick.giftcards.batches import mine, missing
from tallystick.giftcards.making import FIRST

AGAIN_WITHIN: Final = timedelta(hours=24)
PAGE: Final = 300
"""How many cards one reading transaction takes."""
HEADER: Final = b"id,code,pin,amount,currency,expiresAt\r\n"


class AlreadyDownloaded(Refusal):
    code, status, title = "AlreadyDownloaded", 409, "The numbers of this batch were given out already."


@dataclass(frozen=True, slots=True)
class DownloadBatch:
    """A partner's wish for the numbers of its batch. `asked.key`, where it has one, allows it to begin again for a day."""

    asked: Asked
    batch_id: UUID


async def allow(work: Work, commands: Sequence[DownloadBatch]) -> list[tuple[CardBatch, bool] | Refusal]:
    """Whether each may be downloaded now, and whether it was before. What is allowed is written down, once and for all."""
    locked = await store.lock(work, list({command.batch_id for command in commands}))
    outcomes: list[tuple[CardBatch, bool] | Refusal] = []
    for command in commands:
        batch = locked.get(command.batch_id)
        allowed = missing() if batch is None else _allowed(work, batch, command.asked)
        if isinstance(allowed, Refusal) or batch is None:
            outcomes.append(allowed if isinstance(allowed, Refusal) else missing())
            continue
        locked[allowed.id] = allowed
        await store.update(work, allowed)
        audit.note(work, command.asked, status=200, resource_id=allowed.id)
        outcomes.append((allowed, batch.downloaded_at is not None))
    return outcomes


async def lines(runtime: Runtime, tenant: Tenant, batch_id: UUID) -> AsyncIterator[bytes]:
    """The file, piece by piece; no transaction stays open while a piece is sent."""
    yield HEADER
    after = FIRST
    while True:
        async with runtime.reading(tenant) as work:
            page = await store.secrets_after(work, batch_id, after, PAGE)
            piece = b"".join(_line(work, card) for card in page)
        if piece:
            yield piece
        if len(page) < PAGE:
            return
        after = page[-1].card_id


def _allowed(work: Work, batch: CardBatch, asked: Asked) -> CardBatch | Refusal:
    if not mine(batch, asked.caller):
        return missing()
    if batch.status not in ("completed", "cancelled"):
        return InvalidState(f"The batch is {batch.status}. Download its numbers once it is completed or cancelled.")
    key = None if asked.key is None else work.keys.fingerprint(work.tenant.id, asked.key.encode())
    if batch.downloaded_at is None:
        return replace(
            batch,
            downloaded_at=work.now,
            download_until=work.now + AGAIN_WITHIN,
            download_key=key,
            version=batch.version + 1,
            updated_at=work.now,
        )
    assert batch.download_until is not None, "what was downloaded may be for a while"
    if key is None or key != batch.download_key or work.now >= batch.download_until:
        return AlreadyDownloaded(
            f"The numbers were given out at {clock.render(batch.downloaded_at)}. For a day they can be downloaded again with the "
            "Idempotency-Key of that request, if it had one; later, one at a time, by revealing a card."
        )
    return batch


def _line(work: Work, card: Secrets) -> bytes:
    values = (
        str(card.card_id),
        codes.written(codes.unseal(work, card.card_id, card.code_sealed)),
        "" if card.pin_sealed is None else codes.unseal_pin(work, card.card_id, card.pin_sealed),
        str(card.amount),
        card.currency,
        "" if card.expires_at is None else clock.render(card.expires_at),
    )
    return ",".join(values).encode() + b"\r\n"
