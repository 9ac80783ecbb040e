"""Open a wallet, change its state, and let its holder owe.

Every change of state holds the wallet's recipient first, as issuing and claiming do; then the holder, the wallet, and accounts.
What makes a wallet active also claims what waits: those verbs begin in a room above, and call the parts here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import tallystick.wallets.store as store
from tallystick import audit, customers, events, ledger
from tallystick.base import idempotency, ids
from tallystick.base.errors import NotFound, Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.customers import Customer
from tallystick.ledger import Journal, Transfer, house_account
from tallystick.merchants import Merchant
from tallystick.wallets import resource
from tallystick.wallets.model import EMPTY, Status, Verb, Wallet, WalletExists, after

# A wallet that is active no longer is told of as suspended, and one that becomes active as resumed, for whatever reason: the
# document has the exact status. That it is closing is told when it has closed.
TOPICS: Final[dict[Status, str]] = {
    "pending": "wallet.suspended",
    "active": "wallet.resumed",
    "suspended": "wallet.suspended",
    "closed": "wallet.closed",
}


@dataclass(frozen=True, slots=True)
class ChangeWallet:
    """A partner's wish to suspend or close a wallet."""

    asked: Asked
    wallet_id: UUID


async def suspend(work: Work, commands: Sequence[ChangeWallet]) -> list[Answer | Refusal]:
    """The suspended wallet for each command: nothing comes in and nothing goes out until it is resumed."""
    return await _change(work, "wallets.suspend", commands, "suspend")


async def close(work: Work, commands: Sequence[ChangeWallet]) -> list[Answer | Refusal]:
    """The closed wallet for each command; while it still holds value it is closing, and closes when that is gone."""
    return await _change(work, "wallets.close", commands, "close")


async def hold(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, Wallet]:
    """The wallets as they are, locked until the work ends, behind their recipients and holders; unknown ids are absent."""
    known = await store.by_ids(work, wallet_ids)
    if not known:
        return {}
    await customers.hold(work, list({wallet.customer_id for wallet in known.values()}))
    return await store.lock(work, list(known))


async def successors(work: Work, wallet_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Where the value of each wallet lives now: in itself, or where merges brought it; unknown ids are absent.

    Final only for whoever holds the wallets: a merge may move value on until then.
    """
    living: dict[UUID, UUID] = {}
    origins = {wallet_id: [wallet_id] for wallet_id in wallet_ids}
    while origins:
        found = await store.merged_into(work, list(origins))
        following: dict[UUID, list[UUID]] = {}
        for wallet_id, merged_into in found.items():
            if merged_into is None:
                living |= dict.fromkeys(origins[wallet_id], wallet_id)
            else:
                following.setdefault(merged_into, []).extend(origins[wallet_id])
        origins = following
    return living


async def visible(work: Work, asked: Asked, wallet_id: UUID) -> Wallet | None:
    """The wallet, where the caller may see it."""
    wallet = (await store.by_ids(work, [wallet_id])).get(wallet_id)
    return wallet if wallet is not None and wallet.visible_to(asked.caller) else None


async def own(work: Work, asked: Asked, wallet_id: UUID) -> Wallet | NotFound:
    """The wallet, where the caller's partner made it; only then it may change it, whatever else it may see."""
    wallet = await visible(work, asked, wallet_id)
    if wallet is None or wallet.partner_id != asked.caller.partner_id:
        return missing()
    return wallet


def missing() -> NotFound:
    """The refusal for a wallet that is not there, or not the caller's."""
    return NotFound("No wallet has this id. Verify the id.")


async def open_for(work: Work, asked: Asked, holder: Customer, merchant: Merchant) -> Wallet | Refusal:
    """A new wallet of a held customer: active where their phone is verified, else pending. What they owed with one that was closed
    they owe with this one.
    """
    open_ = [wallet for wallet in await store.of_customers(work, [holder.id]) if wallet.merchant_id == merchant.id]
    if open_:
        return WalletExists("The user already has an open wallet at this merchant. Use that one, or close it first.")
    wallet = Wallet(
        id=ids.new(),
        customer_id=holder.id,
        merchant_id=merchant.id,
        partner_id=asked.caller.partner_id,
        currency=merchant.currency,
        status="active" if holder.is_verified else "pending",
        owed_account_id=None,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, wallet)
    owed = await _carry_over(work, wallet)
    if owed:
        wallet = (await store.by_ids(work, [wallet.id]))[wallet.id]
    events.record(work, event("wallet.created", wallet, resource.resource(wallet, replace(EMPTY, owed=owed)), asked))
    return wallet


async def _carry_over(work: Work, wallet: Wallet) -> int:
    """Let a new wallet owe what its holder still owes with closed ones at its merchant; how much that is."""
    left = await store.left_owing(work, wallet.customer_id, wallet.merchant_id)
    accounts = (await ledger.lock(work, left)).values() if left else ()
    owing = [account for account in accounts if account.balance]
    if not owing:
        return 0
    debt_id = await owe(work, wallet.id)
    transfers = tuple(Transfer(debt_id, account.id, -account.balance) for account in owing)
    journal = Journal(ids.new(), "wallet.carry_over", wallet.id, wallet.merchant_id, wallet.currency, transfers)
    assert await ledger.post(work, [journal]) == ["posted"], "a debt has no limit but zero"
    return sum(transfer.amount for transfer in transfers)


async def resume(work: Work, asked: Asked, wallet: Wallet, holder: Customer) -> Wallet | Refusal:
    """A held wallet is active again, or pending where its holder's phone is no longer verified."""
    return await _move(work, asked, wallet, "resume", verified=holder.is_verified)


async def verified(work: Work, asked: Asked, holder: Customer) -> list[Wallet]:
    """The holder's phone is known to be theirs: their pending wallets are active now, and these are they."""
    return await _move_all(work, asked, holder, "pending", "verify")


async def unverified(work: Work, asked: Asked, holder: Customer) -> list[Wallet]:
    """The holder's phone is not known to be theirs any more: their active wallets are pending now, and these are they."""
    return await _move_all(work, asked, holder, "active", "unverify")


async def owe(work: Work, wallet_id: UUID) -> UUID:
    """The account that says what the holder of a wallet owes, opened when first wanted: a debit balance, never above zero.

    Whoever's wallet was merged owes with the wallet that has its value now; whoever closed theirs, with the one that they opened
    since.
    """
    wallet = (await store.lock(work, [wallet_id]))[wallet_id]
    if wallet.merged_into is not None:
        return await owe(work, wallet.merged_into)
    if wallet.status == "closed":
        for other in await store.of_customers(work, [wallet.customer_id]):
            if other.merchant_id == wallet.merchant_id:
                return await owe(work, other.id)
    if wallet.owed_account_id is not None:
        return wallet.owed_account_id
    account = ledger.NewAccount(
        id=ids.new(),
        merchant_id=wallet.merchant_id,
        currency=wallet.currency,
        code="wallet.owed",
        owner_id=wallet.id,
        ceiling=0,
    )
    await ledger.open_accounts(work, [account])
    await store.set_owed_account(work, wallet.id, account.id)
    return account.id


async def write_off(work: Work, wallets: Sequence[Wallet]) -> None:
    """What the holders of these wallets owe is lost to the merchants that gave it: nobody is left to owe it."""
    owing = {wallet.owed_account_id: wallet for wallet in wallets if wallet.owed_account_id is not None}
    if not owing:
        return
    accounts = await ledger.lock(work, list(owing))
    journals = [
        Journal(
            id=ids.new(),
            kind="wallet.write_off",
            cause_id=wallet.id,
            merchant_id=wallet.merchant_id,
            currency=wallet.currency,
            transfers=(
                Transfer(
                    house_account(wallet.merchant_id, "merchant.losses"), account_id, -accounts[account_id].balance
                ),
            ),
        )
        for account_id, wallet in owing.items()
        if accounts[account_id].balance
    ]
    verdicts = await ledger.post(work, journals)
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused to write debts off: {verdicts}"


async def end(work: Work, asked: Asked, wallets: Sequence[Wallet]) -> None:
    """Close held wallets that nothing is left in, whatever state they are in."""
    for wallet in wallets:
        await _set(work, asked, wallet, "closed")


async def close_drained(work: Work, wallet_ids: Sequence[UUID], asked: Asked | None = None) -> list[Wallet]:
    """Those of the wallets that were closing and hold nothing any more are closed now; for whoever has just moved value.

    The caller holds their recipients; `asked` is None where time moved the value.
    """
    closing = [wallet for wallet in (await store.lock(work, wallet_ids)).values() if wallet.status == "closing"]
    held = await store.balances(work, [wallet.id for wallet in closing]) if closing else {}
    return [await _set(work, asked, wallet, "closed") for wallet in closing if held[wallet.id].is_empty]


async def _change(work: Work, operation: str, commands: Sequence[ChangeWallet], verb: Verb) -> list[Answer | Refusal]:
    async def act(work: Work, command: ChangeWallet) -> Answer | Refusal:
        wallet = await own(work, command.asked, command.wallet_id)
        if isinstance(wallet, Refusal):
            return wallet
        changed = await _move(work, command.asked, wallet, verb)
        if isinstance(changed, Refusal):
            return changed
        audit.note(work, command.asked, status=200, resource_id=changed.id)
        return Answer(200, await resource.document(work, changed), changed.id)

    async def prepare(work: Work, commands: Sequence[ChangeWallet]) -> None:
        held = await hold(work, [command.wallet_id for command in commands])
        if verb == "close" and held:
            # No payment may move value between our look at it and the end of the work.
            await ledger.lock(work, await store.lots(work, list(held)))

    return await idempotency.keyed(
        work,
        operation,
        commands,
        act,
        fingerprint=lambda command: command.wallet_id.bytes,
        seal=HouseSeal(),
        prepare=prepare,
    )


async def _move(work: Work, asked: Asked, wallet: Wallet, verb: Verb, *, verified: bool = True) -> Wallet | Refusal:
    reached = after(wallet.status, verb)
    if isinstance(reached, Refusal):
        return reached
    if reached == "active" and not verified:
        reached = "pending"
    if reached == "closing" and (await store.balances(work, [wallet.id]))[wallet.id].is_empty:
        reached = "closed"
    return await _set(work, asked, wallet, reached)


async def _move_all(work: Work, asked: Asked, holder: Customer, start: Status, verb: Verb) -> list[Wallet]:
    moved = []
    for wallet in await store.lock_of_customers(work, [holder.id]):
        if wallet.status == start:
            changed = await _move(work, asked, wallet, verb)
            assert isinstance(changed, Wallet), "what starts a verb can carry it out"
            moved.append(changed)
    return moved


async def _set(work: Work, asked: Asked | None, wallet: Wallet, status: Status) -> Wallet:
    # A version is an event's number: a wallet that begins to close has none of its own, so its version stays.
    topic = TOPICS.get(status)
    version = wallet.version if topic is None else wallet.version + 1
    changed = replace(wallet, status=status, version=version, updated_at=work.now)
    await store.set_status(work, changed)
    if topic is not None:
        shown = (await resource.resources(work, [changed]))[0]
        events.record(work, event(topic, changed, shown, asked))
    return changed


def event(topic: str, wallet: Wallet, document: bytes, asked: Asked | None) -> events.Event:
    """What happened to a wallet, at the version that it has since; `asked` is None where time did it."""
    return events.Event(
        topic=topic,
        subject_type="Wallet",
        subject_id=wallet.id,
        sequence=wallet.version,
        document=document,
        partner_id=wallet.partner_id,
        merchant_id=wallet.merchant_id,
        request_id=None if asked is None else asked.request_id,
    )
