"""The books: accounts, journals of transfers, entries, holds, and the proof that they are whole.

Owns `accounts`, `journals`, `entries`, `holds` and `hold_resolutions`; only `ledger_post` and `ledger_hold` move a balance.
"""

from tallystick.ledger.actions import (
    balance,
    hold,
    limit,
    lock,
    open_accounts,
    post,
    post_foreseen,
    resolve,
    statement,
)
from tallystick.ledger.model import (
    Account,
    Ending,
    Entry,
    Hold,
    HoldVerdict,
    Journal,
    LimitVerdict,
    LotClass,
    NewAccount,
    Resolution,
    ResolutionVerdict,
    Transfer,
    Verdict,
)
from tallystick.ledger.proof import Fault, check_books

__all__ = [
    "Account",
    "Ending",
    "Entry",
    "Fault",
    "Hold",
    "HoldVerdict",
    "Journal",
    "LimitVerdict",
    "LotClass",
    "NewAccount",
    "Resolution",
    "ResolutionVerdict",
    "Transfer",
    "Verdict",
    "balance",
    "check_books",
    "hold",
    "limit",
    "lock",
    "open_accounts",
    "post",
    "post_foreseen",
    "resolve",
    "statement",
]
