"""The books: accounts, journals of transfers, entries, holds, and the proof that they are whole.

Owns `accounts`, `journals`, `entries`, `holds`, `hold_resolutions`, `lot_deadlines`, `periods` and `book_closings`; only
`ledger_post` and `ledger_hold` move a balance.
"""

from tallystick.ledger import lots
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
from tallystick.ledger.chart import CODES, Code, house_account, house_accounts
from tallystick.ledger.model import (
    Account,
    Deadline,
    Ending,
    Entry,
    Hold,
    HoldVerdict,
    Journal,
    LimitVerdict,
    Lot,
    LotClass,
    NewAccount,
    Resolution,
    ResolutionVerdict,
    Transfer,
    ValueHeld,
    Verdict,
)
from tallystick.ledger.proof import Fault, check_books

__all__ = [
    "CODES",
    "Account",
    "Code",
    "Deadline",
    "Ending",
    "Entry",
    "Fault",
    "Hold",
    "HoldVerdict",
    "Journal",
    "LimitVerdict",
    "Lot",
    "LotClass",
    "NewAccount",
    "Resolution",
    "ResolutionVerdict",
    "Transfer",
    "ValueHeld",
    "Verdict",
    "balance",
    "check_books",
    "hold",
    "house_account",
    "house_accounts",
    "limit",
    "lock",
    "lots",
    "open_accounts",
    "post",
    "post_foreseen",
    "resolve",
    "statement",
]
