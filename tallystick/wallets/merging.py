"""What becomes of wallets when their holders turn out to be one, and when they turn out to be two after all.

Value moves by journals: each lot to a new one that inherits class, funder and expiry; debts move too. Going back, a journal that
names the first one returns what is left of each lot to where it came from; what was spent meanwhile stays spent. The caller holds
the recipients, the holders and the wallets, and lets rewards follow their lots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast
from uuid import UUID

import tallystick.wallets.store as store
from tallystick import events, ledger
from tallystick.base import ids
from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.work import Asked, Work
from tallystick.customers import Customer
from tallystick.ledger import Account, Journal, NewAccount, Transfer, ValueHeld
from tallystick.wallets import merge_store, resource
from tallystick.wallets.actions import close_drained, event, owe
from tallystick.wallets.merge_store import Before, WalletMerge, of_merges, owners
from tallystick.wallets.model import Status, Wallet

__all__ = [
    "Moved",
    "ValueHeld",
    "WalletMerge",
    "lock_value",
    "move",
    "move_back",
    "of_merges",
    "owners",
    "refuse",
    "refuse_back",
]


@dataclass(frozen=True, slots=True)
class Moved:
    """A lot's value that is in another lot now, of that wallet. `owner_id`: what gave it, a reward for one."""

    owner_id: UUID
    from_lot: UUID
    into_lot: UUID
    into_wallet_id: UUID


async def lock_value(work: Work, wallets: Sequence[Wallet]) -> dict[UUID, Account]:
    """Every lot of these held wallets and what their holders owe, locked at once."""
    lots = await store.lots(work, [wallet.id for wallet in wallets])
    owed = [wallet.owed_account_id for wallet in wallets if wallet.owed_account_id is not None]
    return await ledger.lock(work, [*lots, *owed])


def refuse(giving: Sequence[Wallet], taking: Sequence[Wallet], accounts: Mapping[UUID, Account]) -> Refusal | None:
    """Why value cannot move from some wallets to others. The value of a closing wallet may leave, but nothing comes in."""
    for wallet in taking:
        if wallet.status not in ("active", "pending"):
            return _wrong_state(wallet, "Resume it, or wait until it has closed.")
    gives = {wallet.id for wallet in giving}
    return _refuse_giving(giving, [account for account in accounts.values() if account.parent_id in gives])


def refuse_back(
    made: Sequence[WalletMerge], giving: Sequence[Wallet], accounts: Mapping[UUID, Account]
) -> Refusal | None:
    """Why what is left of moved value cannot go back."""
    return _refuse_giving(giving, [accounts[lot] for done in made for lot in done.into_lots])


async def move(
    work: Work, asked: Asked, merge_id: UUID, pairs: Sequence[tuple[Wallet, Wallet]]
) -> tuple[list[WalletMerge], list[Moved]]:
    """Close the first wallet of each pair, its value and its debt having moved to the second, at the same merchant."""
    accounts = await lock_value(work, [wallet for wallet, _ in pairs])
    made, moved, journals, opening = [], [], [], []
    for wallet, into in pairs:
        lots = [
            a for a in accounts.values() if a.parent_id == wallet.id and a.available > 0 and not _ended(a, work.now)
        ]
        fresh = [_twin(lot, into) for lot in lots]
        transfers = [Transfer(lot.id, twin.id, lot.available) for lot, twin in zip(lots, fresh, strict=True)]
        owed = _owed(accounts, wallet)
        if owed and wallet.owed_account_id is not None:
            transfers.append(Transfer(await owe(work, into.id), wallet.owed_account_id, owed))
        done = WalletMerge(
            id=ids.new(),
            merge_id=merge_id,
            wallet_id=wallet.id,
            into_wallet_id=into.id,
            status_before=cast("Before", wallet.status),
            journal_id=ids.new() if transfers else None,
            from_lots=[lot.id for lot in lots],
            into_lots=[twin.id for twin in fresh],
            amounts=[lot.available for lot in lots],
            owed=owed,
        )
        if done.journal_id is not None:
            journals.append(_journal(done.journal_id, "wallet.merge", done, wallet, transfers))
        opening += fresh
        moved += [Moved(lot.owner_id, lot.id, twin.id, into.id) for lot, twin in zip(lots, fresh, strict=True)]
        made.append(done)
        await merge_store.insert(work, done)
    await _post(work, journals, opening)
    await _close(work, asked, pairs)
    return made, moved


async def move_back(
    work: Work, asked: Asked, made: Sequence[WalletMerge], wallets: Mapping[UUID, Wallet], holder: Customer
) -> tuple[list[WalletMerge], list[Moved]]:
    """Open the merged wallets of a holder again, with what is left of what they gave; active where the phone is verified."""
    accounts = await lock_value(work, [wallets[done.into_wallet_id] for done in made])
    owing = await lock_value(work, [wallets[done.wallet_id] for done in made])
    undone, moved, journals = [], [], []
    for done in made:
        wallet, into = wallets[done.wallet_id], wallets[done.into_wallet_id]
        left = [
            (accounts[lot].available, lot, origin)
            for lot, origin in zip(done.into_lots, done.from_lots, strict=True)
            if accounts[lot].available > 0 and not _ended(accounts[lot], work.now)
        ]
        transfers = [Transfer(lot, origin, amount) for amount, lot, origin in left]
        owed = min(done.owed, _owed(accounts, into))
        if owed:
            assert wallet.owed_account_id is not None and into.owed_account_id is not None, "a debt moved between them"
            transfers.append(Transfer(wallet.owed_account_id, into.owed_account_id, owed))
        back = replace(
            done,
            undo_journal_id=ids.new() if transfers else None,
            returned=sum(amount for amount, _, _ in left),
            owed_returned=owed,
        )
        if back.undo_journal_id is not None:
            journals.append(_journal(back.undo_journal_id, "wallet.unmerge", back, wallet, transfers, done.journal_id))
        moved += [Moved(owing[origin].owner_id, lot, origin, wallet.id) for _, lot, origin in left]
        undone.append(back)
        await merge_store.undo(work, back)
    await _post(work, journals, [])
    await _reopen(work, asked, [(wallets[done.wallet_id], done) for done in undone], holder)
    await close_drained(work, [done.into_wallet_id for done in undone], asked)
    return undone, moved


def _refuse_giving(giving: Sequence[Wallet], lots: Sequence[Account]) -> Refusal | None:
    for wallet in giving:
        if wallet.status == "suspended":
            return _wrong_state(wallet, "Resume it first.")
    if any(lot.held for lot in lots):
        return ValueHeld("An authorised payment holds value that would move. Capture or cancel it first.")
    return None


def _wrong_state(wallet: Wallet, advice: str) -> InvalidState:
    return InvalidState(f"The wallet {wallet.id} is {wallet.status}; its value cannot be moved now. {advice}")


def _ended(lot: Account, now: datetime) -> bool:
    """Whether a lot is past its expiry: what is left of it is no value of the wallet any more, and expires where it is."""
    return lot.expires_at is not None and lot.expires_at <= now


def _owed(accounts: Mapping[UUID, Account], wallet: Wallet) -> int:
    return 0 if wallet.owed_account_id is None else -accounts[wallet.owed_account_id].balance


def _twin(lot: Account, into: Wallet) -> NewAccount:
    """An empty lot of another wallet that is in everything else the same."""
    return NewAccount(
        id=ids.new(),
        merchant_id=lot.merchant_id,
        currency=lot.currency,
        code=lot.code,
        owner_id=lot.owner_id,
        parent_id=into.id,
        lot_class=lot.lot_class,
        funder_id=lot.funder_id,
        expires_at=lot.expires_at,
        floor=lot.floor,
    )


def _journal(
    journal_id: UUID,
    kind: str,
    done: WalletMerge,
    wallet: Wallet,
    transfers: Sequence[Transfer],
    reverses_id: UUID | None = None,
) -> Journal:
    return Journal(
        id=journal_id,
        kind=kind,
        cause_id=done.id,
        merchant_id=wallet.merchant_id,
        currency=wallet.currency,
        transfers=tuple(transfers),
        reverses_id=reverses_id,
    )


async def _post(work: Work, journals: Sequence[Journal], opening: Sequence[NewAccount]) -> None:
    verdicts = await ledger.post(work, journals, opening)
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused what is locked: {verdicts}"


async def _close(work: Work, asked: Asked, pairs: Sequence[tuple[Wallet, Wallet]]) -> None:
    """Merged, and so closed: an event and a version for each, since some follow the one and some the other."""
    balances = await store.balances(work, [wallet.id for wallet, _ in pairs])
    for wallet, into in pairs:
        changed = replace(wallet, status="closed", merged_into=into.id, updated_at=work.now)
        for topic in ("wallet.merged", "wallet.closed"):
            changed = replace(changed, version=changed.version + 1)
            shown = resource.resource(changed, balances[wallet.id])
            events.record(work, event(topic, changed, shown, asked))
        await store.set_status(work, changed)


async def _reopen(work: Work, asked: Asked, pairs: Sequence[tuple[Wallet, WalletMerge]], holder: Customer) -> None:
    balances = await store.balances(work, [wallet.id for wallet, _ in pairs])
    for wallet, done in pairs:
        status: Status = "active" if holder.is_verified else "pending"
        if done.status_before == "closing":
            status = "closed" if balances[wallet.id].is_empty else "closing"
        changed = replace(wallet, status=status, merged_into=None, version=wallet.version + 1, updated_at=work.now)
        shown = resource.resource(changed, balances[wallet.id])
        events.record(work, event("wallet.unmerged", changed, shown, asked))
        await store.set_status(work, changed)
