"""The books once more, as plainly as they can be said: one thing at a time, in dictionaries. What the real ones must equal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tallystick.ledger import Hold, Journal, NewAccount, Resolution

MOST = 2**62 - 1


@dataclass
class Standing:
    """An account with all that ever moved in it."""

    new: NewAccount
    held: int = 0
    entries: list[tuple[UUID, int, UUID, int, int]] = field(default_factory=list)

    @property
    def balance(self) -> int:
        return sum(amount for _, _, _, amount, _ in self.entries)


@dataclass
class Twin:
    """Accounts, journals and holds of one tenant."""

    accounts: dict[UUID, Standing] = field(default_factory=dict)
    journals: set[UUID] = field(default_factory=set)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    resolved: set[UUID] = field(default_factory=set)

    def open(self, accounts: Sequence[NewAccount]) -> None:
        self.accounts |= {each.id: Standing(each) for each in accounts}

    def post(self, journal: Journal, opening: Sequence[NewAccount]) -> str:
        self.open(opening)
        before = {account_id: len(standing.entries) for account_id, standing in self.accounts.items()}
        for leg, transfer in enumerate(journal.transfers, 1):
            reason = self._refusal(journal, transfer.debit, transfer.credit, transfer.amount)
            if reason is not None:
                for account_id, standing in self.accounts.items():
                    del standing.entries[before[account_id] :]
                for each in opening:
                    del self.accounts[each.id]
                return reason
            for account_id, other, amount in (
                (transfer.debit, transfer.credit, -transfer.amount),
                (transfer.credit, transfer.debit, transfer.amount),
            ):
                standing = self.accounts[account_id]
                standing.entries.append((journal.id, leg, other, amount, standing.balance + amount))
        self.journals.add(journal.id)
        return "posted"

    def hold(self, hold: Hold) -> str:
        standing = self.accounts.get(hold.account_id)
        if standing is None:
            return "unknown_account"
        if standing.held + hold.amount > MOST:
            return "too_large"
        floor = -MOST if standing.new.floor is None else standing.new.floor
        if standing.balance - standing.held - hold.amount < floor:
            return "below_floor"
        standing.held += hold.amount
        self.holds[hold.id] = hold
        return "held"

    def resolve(self, resolution: Resolution) -> str:
        hold = self.holds.get(resolution.hold_id)
        if hold is None:
            return "unknown_hold"
        if hold.id in self.resolved:
            return "already_resolved"
        if resolution.journal is not None:
            if sum(each.amount for each in resolution.journal.transfers if each.debit == hold.account_id) > hold.amount:
                return "above_hold"
            self.accounts[hold.account_id].held -= hold.amount
            verdict = self.post(resolution.journal, [])
            if verdict != "posted":
                self.accounts[hold.account_id].held += hold.amount
                return verdict
        else:
            self.accounts[hold.account_id].held -= hold.amount
        self.resolved.add(hold.id)
        return "resolved"

    def _refusal(self, journal: Journal, debit: UUID, credit: UUID, amount: int) -> str | None:
        for account_id in (debit, credit):
            if account_id not in self.accounts:
                return "unknown_account"
            new = self.accounts[account_id].new
            if new.merchant_id != journal.merchant_id:
                return "other_book"
            if new.currency != journal.currency:
                return "other_currency"
        if amount > MOST:
            return "too_large"
        payer, payee = self.accounts[debit], self.accounts[credit]
        floor = -MOST if payer.new.floor is None else payer.new.floor + payer.held
        if payer.balance - amount < floor:
            return "too_large" if payer.new.floor is None else "below_floor"
        if payee.balance + amount > (MOST if payee.new.ceiling is None else payee.new.ceiling):
            return "too_large" if payee.new.ceiling is None else "above_ceiling"
        return None
