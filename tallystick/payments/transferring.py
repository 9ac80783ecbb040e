"""Move value from a gift card to a wallet of the same merchant: to lots of the same classes, funders and expiries.

What payments hold stays on the card. Debts of the wallet's holder are paid from what was given (promotional and compensation), as
they are from rewards, and never from what somebody paid for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec

from tallystick import ledger, wallets
from tallystick.base import idempotency, ids
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, InvalidState, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.base.work import Asked, Work
from tallystick.customers.api import path_id, replied
from tallystick.giftcards import activities, lives, resource
from tallystick.giftcards.activities import Change
from tallystick.giftcards.delivery import missing
from tallystick.giftcards.lives import Standing
from tallystick.giftcards.model import AMOUNT_MAX, GiftCard
from tallystick.ledger import Lot
from tallystick.wallets import Wallet

NETTED: Final = frozenset({"promotional", "compensation"})
"""Classes of value that pay the holder's debts on their way into a wallet."""


@dataclass(frozen=True, slots=True)
class TransferGiftCard:
    """Move `amount` minor units of a card to a wallet; None: all that can be spent."""

    asked: Asked
    card_id: UUID
    wallet_id: UUID | None
    """None: what was sent is no id, so no wallet has it."""
    amount: int | None = None


class TransferGiftCardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Where to, and how much; all that can be spent, unless told."""

    wallet_id: Annotated[str, msgspec.Meta(max_length=100)]
    amount: (
        Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the card's currency.")] | None
    ) = None


@dataclass(frozen=True, slots=True)
class _Moved:
    """What of a card moves: out of which lots into which new ones, and what of those pays a debt."""

    opening: list[ledger.NewAccount]
    transfers: list[ledger.Transfer]


async def transfer(work: Work, commands: Sequence[TransferGiftCard]) -> list[Answer | Refusal]:
    """The card with what is left on it, for each command."""
    return await idempotency.keyed(
        work, "gift-cards.transfer", commands, _transfer, fingerprint=_fingerprint, seal=HouseSeal(), prepare=_lock
    )


def _fingerprint(command: TransferGiftCard) -> bytes:
    return msgspec.json.encode([command.card_id, command.wallet_id, command.amount])


async def _lock(work: Work, commands: Sequence[TransferGiftCard]) -> None:
    """Every lock of the batch in the one order: holders and wallets, the callers' own cards, accounts at once."""
    held = await wallets.hold(work, list({each.wallet_id for each in commands if each.wallet_id is not None}))
    await lives.lock_own(work, commands)
    lots = await ledger.lots.of_parents(work, list({command.card_id for command in commands}))
    owed = [wallet.owed_account_id for wallet in held.values() if wallet.owed_account_id is not None]
    await ledger.lock(work, [*(lot.id for lot in lots), *owed])


async def _transfer(work: Work, command: TransferGiftCard) -> Answer | Refusal:
    stands = await lives.own(work, command)
    if isinstance(stands, Refusal):
        return stands
    wallet = await _wallet(work, command, stands.card)
    if isinstance(wallet, Refusal):
        return wallet
    refusal = stands.refuse_state("transfer")
    if refusal is not None:
        return refusal
    if stands.available == 0:
        return InvalidState("All that is on the gift card is held by payments. Wait until they end, or cancel them.")
    amount = stands.available if command.amount is None else command.amount
    if amount > stands.available:
        return InvalidRequest(
            f"At most {stands.available} minor units of this gift card can be transferred now.",
            source=attribute("amount"),
        )
    return await _carry_out(work, command.asked, stands, wallet, amount)


async def _wallet(work: Work, command: TransferGiftCard, card: GiftCard) -> Wallet | Refusal:
    place, wallet_id = attribute("walletId"), command.wallet_id
    wallet = None if wallet_id is None else await wallets.visible(work, command.asked, wallet_id)
    if wallet is None:
        return InvalidRequest("No wallet has this id. Verify the id.", source=place)
    if (wallet.merchant_id, wallet.currency) != (card.merchant_id, card.currency):
        return InvalidRequest("The wallet is of another merchant than the gift card.", source=place)
    if wallet.status != "active":
        detail = f"The wallet is {wallet.status}; value can be transferred to one that is active."
        return InvalidState(detail, source=place)
    return wallet


async def _carry_out(work: Work, asked: Asked, stands: Standing, wallet: Wallet, amount: int) -> Answer:
    moved = _moved(stands.card, wallet, ledger.lots.take(stands.usable, amount), await _debt(work, wallet))
    journal_id = await lives.post(work, stands.card, "card.transfer", moved.transfers, moved.opening)
    change = Change(
        activities.moved_on(stands.card, "transfer", work.now),
        "gift_card.transferred",
        "transfer",
        -amount,
        stands.balance - amount,
        held=stands.held,
        journal_id=journal_id,
        cause_id=wallet.id,
        asked=asked,
    )
    return await lives.answered(work, asked, activities.deplete([change], "transferred", work.now))


async def _debt(work: Work, wallet: Wallet) -> int:
    """What the wallet's holder owes, in minor units."""
    if wallet.owed_account_id is None:
        return 0
    return -(await ledger.lock(work, [wallet.owed_account_id]))[wallet.owed_account_id].balance


def _moved(card: GiftCard, wallet: Wallet, taken: Sequence[tuple[Lot, int]], debt: int) -> _Moved:
    moved = _Moved([], [])
    for lot, part in taken:
        new = ledger.NewAccount(
            id=ids.new(),
            merchant_id=card.merchant_id,
            currency=card.currency,
            code="wallet.lot",
            owner_id=card.id,
            parent_id=wallet.id,
            lot_class=lot.lot_class,
            funder_id=lot.funder_id,
            expires_at=lot.expires_at,
            floor=0,
        )
        moved.opening.append(new)
        moved.transfers.append(ledger.Transfer(lot.id, new.id, part))
        netted = min(part, debt) if lot.lot_class in NETTED else 0
        if netted:
            assert wallet.owed_account_id is not None, "who owes has an account that says so"
            moved.transfers.append(ledger.Transfer(new.id, wallet.owed_account_id, netted))
            debt -= netted
    return moved


async def transfer_gift_card(call: Call) -> Reply:
    """Move value from a gift card to a wallet."""
    wanted: TransferGiftCardAttributes = call.attributes
    command = TransferGiftCard(call.asked, path_id(call, missing()), ids.parse(wanted.wallet_id), wanted.amount)
    return replied(await call.house.batcher.submit(transfer, call.caller.tenant, command))


EXAMPLE: Final = {"walletId": "0199d3c0-6e0d-7f43-a2b7-1c9e8d5f6b20", "amount": 1500}


def routes() -> tuple[Route, ...]:
    """What this verb offers over HTTP."""
    return (
        Route(
            "POST", f"{resource.GIFT_CARD.path}/{{id}}/transfer", transfer_gift_card, "gift-cards:write",
            "Move value from a gift card to a wallet", Takes(TransferGiftCardAttributes, ("TransferGiftCard",), EXAMPLE),
            resource.GIFT_CARD, keyed=True, errors=(NotFound, InvalidState, IdempotencyConflict),
        ),
    )  # fmt: skip
