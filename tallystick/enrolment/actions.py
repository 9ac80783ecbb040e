"""What may make a wallet active, each with what it claims in one transaction.

A wallet becomes active when it is opened or resumed for a holder whose phone is verified, or when the phone of its holder becomes
so; then it claims what waits for that phone at its merchant. A change of phone makes the holder unverified and the wallets
pending, so the new phone claims at its verification: by a one-time code at once, by a partner's word after the cooling-off.

Locks go in the one order: keys, recipients, customers, wallets, accounts, the tenant's head.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from tallystick import audit, customers, merchants, rewards, wallets
from tallystick.base import idempotency
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.customers import ChangeUser, Customer, UserSeal, VerifyPhone
from tallystick.customers import resource as users
from tallystick.enrolment.model import OpenWallet, ResumeWallet
from tallystick.merchants import Merchant
from tallystick.wallets import Wallet
from tallystick.wallets import resource as shown

_CHANGED: Final = ("user_id", "phone", "phone_verified", "email", "first_name", "last_name", "external_id")


async def open_wallet(work: Work, commands: Sequence[OpenWallet]) -> list[Answer | Refusal]:
    """A new wallet for each command; an active one has claimed what waited."""

    async def prepare(work: Work, commands: Sequence[OpenWallet]) -> None:
        await customers.hold(work, [command.user_id for command in commands])

    return await idempotency.keyed(
        work, "wallets.open", commands, _open, fingerprint=_wanted, seal=HouseSeal(), prepare=prepare
    )


async def resume_wallet(work: Work, commands: Sequence[ResumeWallet]) -> list[Answer | Refusal]:
    """The resumed wallet for each command; what came to wait meanwhile is claimed."""

    async def prepare(work: Work, commands: Sequence[ResumeWallet]) -> None:
        await wallets.hold(work, [command.wallet_id for command in commands])

    return await idempotency.keyed(
        work,
        "wallets.resume",
        commands,
        _resume,
        fingerprint=lambda command: command.wallet_id.bytes,
        seal=HouseSeal(),
        prepare=prepare,
    )


async def verify_phone(work: Work, commands: Sequence[VerifyPhone]) -> list[Answer | Refusal]:
    """The verified user for each right code. A wrong one is refused, and stays counted."""

    async def prepare(work: Work, commands: Sequence[VerifyPhone]) -> None:
        held = await customers.hold(work, [command.user_id for command in commands])
        await wallets.lock_of_customers(work, list(held))

    return await idempotency.keyed(
        work,
        "users.verify",
        commands,
        _verify,
        fingerprint=lambda command: customers.canonical(command, ("user_id", "code")),
        seal=UserSeal(),
        prepare=prepare,
    )


async def change_user(work: Work, commands: Sequence[ChangeUser]) -> list[Answer | Refusal]:
    """The changed user for each command."""

    async def prepare(work: Work, commands: Sequence[ChangeUser]) -> None:
        phones = [command.phone for command in commands if isinstance(command.phone, str)]
        held = await customers.hold(work, [command.user_id for command in commands], phones)
        await wallets.lock_of_customers(work, list(held))

    return await idempotency.keyed(
        work,
        "users.change",
        commands,
        _change,
        fingerprint=lambda command: customers.canonical(command, _CHANGED),
        seal=UserSeal(),
        prepare=prepare,
    )


async def _open(work: Work, command: OpenWallet) -> Answer | Refusal:
    holder = await customers.visible(work, command.asked, command.user_id)
    if holder is None or holder.status != "active":
        return InvalidRequest("There is no active user with this id.", source=attribute("userId"))
    merchant = await _merchant(work, command)
    if isinstance(merchant, Refusal):
        return merchant
    wallet = await wallets.open_for(work, command.asked, holder, merchant)
    if isinstance(wallet, Refusal):
        return wallet
    await claim_waiting(work, command.asked, holder, [wallet])
    audit.note(work, command.asked, status=201, resource_id=wallet.id)
    location = f"{shown.WALLET.path}/{wallet.id}"
    return Answer(201, await shown.document(work, wallet), wallet.id, location)


async def _merchant(work: Work, command: OpenWallet) -> Merchant | InvalidRequest:
    """The merchant as it stands now: what the request was let in by may be seconds old."""
    allowed = command.asked.caller.merchant_ids
    merchant = (await merchants.by_ids(work, [command.merchant_id])).get(command.merchant_id)
    if merchant is None or (allowed is not None and merchant.id not in allowed):
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    if merchant.status != "active":
        return InvalidRequest("This merchant is closed; it opens no wallets.", source=attribute("merchantId"))
    return merchant


async def _resume(work: Work, command: ResumeWallet) -> Answer | Refusal:
    wallet = await wallets.own(work, command.asked, command.wallet_id)
    if isinstance(wallet, Refusal):
        return wallet
    holder = (await customers.by_ids(work, [wallet.customer_id]))[wallet.customer_id]
    resumed = await wallets.resume(work, command.asked, wallet, holder)
    if isinstance(resumed, Refusal):
        return resumed
    await claim_waiting(work, command.asked, holder, [resumed])
    audit.note(work, command.asked, status=200, resource_id=resumed.id)
    return Answer(200, await shown.document(work, resumed), resumed.id)


async def _verify(work: Work, command: VerifyPhone) -> Answer | Refusal:
    holder = await customers.own(work, command.asked, command.user_id)
    if isinstance(holder, Refusal):
        return holder
    if holder.status != "active":
        return customers.not_active(holder)
    if not await customers.right(work, holder, command.code):
        return customers.wrong()
    return await _settle(work, command.asked, holder, replace(holder, phone_verified_at=work.now))


async def _change(work: Work, command: ChangeUser) -> Answer | Refusal:
    holder = await customers.own(work, command.asked, command.user_id)
    if isinstance(holder, Refusal):
        return holder
    changed = customers.changed(holder, command, work.now)
    if isinstance(changed, Refusal):
        return changed
    return await _settle(work, command.asked, holder, changed)


async def _settle(work: Work, asked: Asked, old: Customer, new: Customer) -> Answer | Refusal:
    """Write what became of a user, and of their wallets where the phone became verified or ceased to be."""
    holder = await customers.write(work, old, new)
    if isinstance(holder, Refusal):
        return holder
    if holder.is_verified and not old.is_verified:
        await claim_waiting(work, asked, holder, await wallets.verified(work, asked, holder))
    elif old.is_verified and not holder.is_verified:
        await wallets.unverified(work, asked, holder)
    audit.note(work, asked, status=200, resource_id=holder.id)
    return Answer(200, users.document(holder), holder.id)


async def claim_waiting(work: Work, asked: Asked, holder: Customer, opened: Sequence[Wallet]) -> None:
    """Let the active ones of these wallets claim what waits for their holder's phone."""
    claims = [
        rewards.Claim(
            recipient_id=holder.recipient_id,
            merchant_id=wallet.merchant_id,
            wallet_id=wallet.id,
            currency=wallet.currency,
            asked=asked,
        )
        for wallet in opened
        if wallet.status == "active" and holder.recipient_id is not None
    ]
    if claims:
        await rewards.claim(work, claims)


def _wanted(command: OpenWallet) -> bytes:
    merchant = str(command.merchant_id) if command.merchant_named else None
    return msgspec.json.encode([str(command.user_id), merchant])
