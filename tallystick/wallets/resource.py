"""The wallet on the wire, its balance at an instant, and the lines of its statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

import msgspec

import tallystick.wallets.store as store
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Work
from tallystick.wallets.model import Balance, HeldLot, Line, Wallet

BALANCE_EXAMPLE: Final[dict[str, Any]] = {"available": 1250, "pending": 0, "held": 400, "owed": 0}

EXAMPLE: Final[dict[str, Any]] = {
    "userId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
    "status": "active",
    "mergedInto": None,
    "balance": BALANCE_EXAMPLE,
    "currency": "USD",
    "createdAt": "2026-03-02T09:00:00.000Z",
}

LOT_EXAMPLE: Final[dict[str, Any]] = {
    "valueClass": "compensation",
    "available": 850,
    "held": 400,
    "currency": "USD",
    "expiresAt": "2026-09-02T09:00:00.000Z",
    "createdAt": "2026-03-02T09:00:00.000Z",
}

LINE_EXAMPLE: Final[dict[str, Any]] = {
    "amount": 500,
    "balanceAfter": 1250,
    "currency": "USD",
    "kind": "reward.issue",
    "causeId": "0199d3c0-6e0d-7f43-a2b7-1c9e8d5f6b20",
    "lotId": "0199d3c0-6e0e-7a11-b3c8-2d0f9e6a7c31",
    "valueClass": "compensation",
    "expiresAt": None,
    "at": "2026-03-02T09:00:00.000Z",
}


class BalanceAttributes(msgspec.Struct, rename="camel", gc=False):
    """Minor units, never negative: spendable, on its way in, reserved by authorised payments, owed by the holder."""

    available: int
    pending: int
    held: int
    owed: int


class WalletAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a wallet; nothing in it is personal, so its events tell the same."""

    user_id: str
    merchant_id: str
    status: str
    merged_into: str | None
    balance: BalanceAttributes
    currency: str
    created_at: str


class WalletEventAttributes(msgspec.Struct, rename="camel", gc=False):
    """A wallet as events tell of it: where value expires, also how much of it and when, in minor units."""

    user_id: str
    merchant_id: str
    status: str
    merged_into: str | None
    balance: BalanceAttributes
    currency: str
    created_at: str
    amount: int | msgspec.UnsetType = msgspec.UNSET
    expires_at: str | msgspec.UnsetType = msgspec.UNSET


class LotAttributes(msgspec.Struct, rename="camel", gc=False):
    """A lot: value of one class and expiry. Minor units: what can be spent of it, and what authorised payments reserve."""

    value_class: str
    available: int
    held: int
    currency: str
    expires_at: str | None
    created_at: str


class WalletBalanceAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a wallet held at an instant."""

    balance: BalanceAttributes
    currency: str
    as_of: str


class LineAttributes(msgspec.Struct, rename="camel", gc=False):
    """One movement in one lot: the signed amount, and what the whole wallet held after it, in minor units."""

    amount: int
    balance_after: int
    currency: str
    kind: str
    cause_id: str
    lot_id: str
    value_class: str | None
    expires_at: str | None
    at: str


WALLET: Final = Resource("Wallet", "/api/v1/wallets", WalletAttributes, EXAMPLE)
WALLET_BALANCE: Final = Resource(
    "WalletBalance",
    "/api/v1/wallets/{id}/balance",
    WalletBalanceAttributes,
    {"balance": BALANCE_EXAMPLE, "currency": "USD", "asOf": "2026-03-02T09:00:00.000Z"},
)
WALLET_EVENT: Final = Resource("Wallet", "/api/v1/wallets", WalletEventAttributes)
WALLET_LOT: Final = Resource("WalletLot", "/api/v1/wallets/{id}/lots", LotAttributes, LOT_EXAMPLE)
WALLET_LINE: Final = Resource("WalletTransaction", "/api/v1/wallets/{id}/transactions", LineAttributes, LINE_EXAMPLE)


def resource(wallet: Wallet, balance: Balance) -> bytes:
    """The resource object of a wallet."""
    return jsonapi.resource(WALLET, wallet.id, attributes(wallet, balance))


def attributes(wallet: Wallet, balance: Balance) -> WalletAttributes:
    """What a partner reads of a wallet."""
    return WalletAttributes(
        user_id=str(wallet.customer_id),
        merchant_id=str(wallet.merchant_id),
        status=wallet.status,
        merged_into=None if wallet.merged_into is None else str(wallet.merged_into),
        balance=_balance(balance),
        currency=wallet.currency,
        created_at=clock.render(wallet.created_at),
    )


def told(wallet: Wallet, balance: Balance, amount: int, expires_at: datetime) -> bytes:
    """The resource object of an event about so much value of a wallet that expires, or has."""
    shown = attributes(wallet, balance)
    return jsonapi.resource(
        WALLET_EVENT,
        wallet.id,
        WalletEventAttributes(
            shown.user_id,
            shown.merchant_id,
            shown.status,
            shown.merged_into,
            shown.balance,
            shown.currency,
            shown.created_at,
            amount,
            clock.render(expires_at),
        ),
    )


async def resources(work: Work, wallets: Sequence[Wallet]) -> list[bytes]:
    """The resource objects of wallets with what they hold now."""
    held = await store.balances(work, [wallet.id for wallet in wallets]) if wallets else {}
    return [resource(wallet, held[wallet.id]) for wallet in wallets]


async def document(work: Work, wallet: Wallet) -> bytes:
    """The document whose one resource is a wallet with what it holds now."""
    return jsonapi.document((await resources(work, [wallet]))[0])


def balance_document(wallet: Wallet, balance: Balance, at: datetime) -> bytes:
    """The document of what a wallet held at an instant; its id is the wallet's."""
    shown = WalletBalanceAttributes(_balance(balance), wallet.currency, clock.render(at))
    return jsonapi.document(jsonapi.resource(WALLET_BALANCE, wallet.id, shown))


def lot(wallet: Wallet, each: HeldLot) -> bytes:
    """One lot of a wallet."""
    shown = LotAttributes(
        value_class=each.lot_class,
        available=each.available,
        held=each.held,
        currency=wallet.currency,
        expires_at=None if each.expires_at is None else clock.render(each.expires_at),
        created_at=clock.render(each.created_at),
    )
    return jsonapi.resource(WALLET_LOT, each.id, shown)


def line(wallet: Wallet, each: Line) -> bytes:
    """One line of a statement. An entry is known by its account and version; its id on the wire is made of those."""
    shown = LineAttributes(
        amount=each.amount,
        balance_after=each.balance_after,
        currency=wallet.currency,
        kind=each.kind,
        cause_id=str(each.cause_id),
        lot_id=str(each.account_id),
        value_class=each.lot_class,
        expires_at=None if each.lot_expires_at is None else clock.render(each.lot_expires_at),
        at=clock.render(each.at),
    )
    return jsonapi.resource(WALLET_LINE, uuid5(each.account_id, str(each.version)), shown)


def _balance(balance: Balance) -> BalanceAttributes:
    return BalanceAttributes(balance.available, balance.pending, balance.held, balance.owed)
