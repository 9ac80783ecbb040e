"""A merge of two users on the wire: what moved, and what came back when it was undone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.customers import Merge
from tallystick.wallets import Wallet
from tallystick.wallets.merging import WalletMerge

EXAMPLE: Final[dict[str, Any]] = {
    "userId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "intoUserId": "0199d3c0-60b3-7e88-a1f4-7c2d9b5e3f02",
    "mergedAt": "2026-03-02T09:00:00.000Z",
    "undoneAt": None,
    "wallets": [
        {
            "walletId": "0199d3c0-6e0e-7a11-b3c8-2d0f9e6a7c31",
            "intoWalletId": "0199d3c0-7a20-7d3b-8e45-91c06f2b4d17",
            "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
            "currency": "USD",
            "movedAmount": 1250,
            "movedOwed": 0,
            "returnedAmount": None,
            "returnedOwed": None,
            "keptAmount": None,
        }
    ],
}


class MergedWalletAttributes(msgspec.Struct, rename="camel", gc=False):
    """One wallet's part, in minor units. Once it is undone: what came back, and what was spent meanwhile, or expired."""

    wallet_id: str
    into_wallet_id: str
    merchant_id: str
    currency: str
    moved_amount: int
    moved_owed: int
    returned_amount: int | None
    returned_owed: int | None
    kept_amount: int | None


class UserMergeAttributes(msgspec.Struct, rename="camel", gc=False):
    """Two users that turned out to be one; `undoneAt` says when they turned out to be two after all."""

    user_id: str
    into_user_id: str
    merged_at: str
    undone_at: str | None
    wallets: list[MergedWalletAttributes]


USER_MERGE: Final = Resource("UserMerge", "/api/v1/users/{id}/merge", UserMergeAttributes, EXAMPLE)


def document(made: Merge, parts: Sequence[WalletMerge], wallets: Mapping[UUID, Wallet]) -> bytes:
    """The document of a merge. `wallets` has those of the merged user."""
    shown = UserMergeAttributes(
        user_id=str(made.customer_id),
        into_user_id=str(made.into_customer_id),
        merged_at=clock.render(made.merged_at),
        undone_at=None if made.undone_at is None else clock.render(made.undone_at),
        wallets=[_part(part, wallets[part.wallet_id]) for part in parts],
    )
    return jsonapi.document(jsonapi.resource(USER_MERGE, made.id, shown))


def _part(part: WalletMerge, wallet: Wallet) -> MergedWalletAttributes:
    return MergedWalletAttributes(
        wallet_id=str(part.wallet_id),
        into_wallet_id=str(part.into_wallet_id),
        merchant_id=str(wallet.merchant_id),
        currency=wallet.currency,
        moved_amount=part.moved,
        moved_owed=part.owed,
        returned_amount=part.returned,
        returned_owed=part.owed_returned,
        kept_amount=None if part.returned is None else part.moved - part.returned,
    )
