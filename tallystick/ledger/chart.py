"""The chart of accounts: what every merchant has beside its funding, named by what it is.

An account's id is made of its merchant and its code, so that nobody looks it up. A balance is credits less debits.
"""

from collections.abc import Iterable
from hashlib import md5
from typing import Final, Literal, get_args
from uuid import UUID

from tallystick.ledger.model import NewAccount

Code = Literal[
    "merchant.payable",
    "merchant.sales",
    "merchant.breakage",
    "merchant.breakage_income",
    "merchant.losses",
    "merchant.cash_out",
    "merchant.adjustments",
]
"""In their order: what the merchant is owed for value it accepted (credit); what was paid for cards and loads, and is with whoever
sold them (debit); breakage recognised ahead, a contra account of the lots (debit); income from breakage (credit); what was lost to
fraud and charge-backs (debit); what was paid out in cash (credit); goodwill and corrections, the other side of adjustments."""

CODES: Final[tuple[Code, ...]] = get_args(Code)


def house_account(merchant_id: UUID, code: Code) -> UUID:
    """The merchant's account of this code."""
    return UUID(md5(f"{merchant_id}:{code}".encode(), usedforsecurity=False).hexdigest())


def house_accounts(merchant_id: UUID, currency: str, codes: Iterable[Code] = CODES) -> list[NewAccount]:
    """The accounts to open for a new merchant; none has a limit."""
    return [
        NewAccount(
            id=house_account(merchant_id, code),
            merchant_id=merchant_id,
            currency=currency,
            code=code,
            owner_id=merchant_id,
        )
        for code in codes
    ]
