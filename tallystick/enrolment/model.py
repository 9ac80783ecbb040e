"""What a person who joins may ask."""

from dataclasses import dataclass
from uuid import UUID

from tallystick.base.work import Asked


@dataclass(frozen=True, slots=True)
class OpenWallet:
    """A partner's wish for a wallet of a user at a merchant."""

    asked: Asked
    user_id: UUID
    merchant_id: UUID
    merchant_named: bool
    """Whether the request named the merchant; only then it counts in the fingerprint."""


@dataclass(frozen=True, slots=True)
class ResumeWallet:
    """A partner's wish to let a suspended wallet take and give again."""

    asked: Asked
    wallet_id: UUID
