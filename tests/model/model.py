"""What wallets, gift cards and payments should do, told without the product: amounts by class, states, and refusals.

Written from the documents. It imports nothing of the product. Within a class it does not matter which lot an amount is of, as long
as nothing expires; so a holder is four pairs of numbers.
"""

from dataclasses import dataclass, field

BURNT = ("promotional", "compensation", "refund", "paid")
TENDER = {"refund", "paid"}

Answer = tuple[int, str | None]
"""The status, and the code of a refusal."""

OK: Answer = (200, None)
MADE: Answer = (201, None)
BAD_STATE: Answer = (409, "InvalidState")
BAD_REQUEST: Answer = (400, "InvalidRequest")


@dataclass
class Holder:
    """A wallet or a card: its state, and what is there of each class, free and held by payments."""

    kind: str
    status: str
    value_class: str = "compensation"
    was_active: bool = True
    successor: "Holder | None" = None
    """The card that replaced it."""
    free: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BURNT, 0))
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BURNT, 0))

    @property
    def home(self) -> "Holder":
        """Where its value lives now."""
        return self if self.successor is None else self.successor.home

    @property
    def available(self) -> int:
        return sum(self.free.values())

    @property
    def reserved(self) -> int:
        return sum(self.held.values())

    @property
    def can_pay(self) -> bool:
        return self.status in ({"active", "closing"} if self.kind == "wallet" else {"active", "depleted"})

    def settle(self) -> None:
        """A card with nothing left is depleted; one that holds something again is active."""
        if self.kind == "card" and self.status in ("active", "depleted"):
            self.status = "active" if self.available + self.reserved else "depleted"


@dataclass
class Part:
    """What a payment has of one class of one holder."""

    holder: Holder
    value_class: str
    amount: int
    captured: int = 0
    refunded: int = 0


@dataclass
class Intent:
    """A payment."""

    status: str
    parts: list[Part]

    @property
    def authorized(self) -> int:
        return sum(part.amount for part in self.parts)

    @property
    def captured(self) -> int:
        return sum(part.captured for part in self.parts)

    @property
    def refunded(self) -> int:
        return sum(part.refunded for part in self.parts)

    @property
    def tender(self) -> int:
        """Paid value in what is captured, or held while that is still to come."""
        return sum(
            part.amount if self.status == "authorized" else part.captured
            for part in self.parts
            if part.value_class in TENDER
        )


def give(wallet: Holder, amount: int) -> Answer:
    """A reward to a wallet."""
    if wallet.status != "active":
        return 409, "WalletNotIssuable"
    wallet.free["compensation"] += amount
    return OK


def suspend(wallet: Holder) -> Answer:
    if wallet.status != "active":
        return BAD_STATE
    wallet.status = "suspended"
    return OK


def resume(wallet: Holder) -> Answer:
    if wallet.status != "suspended":
        return BAD_STATE
    wallet.status = "active"
    return OK


def activate(card: Holder) -> Answer:
    if card.status != "pending":
        return BAD_STATE
    card.status, card.was_active = "active", True
    return OK


def load(card: Holder, amount: int) -> Answer:
    if card.status not in ("active", "depleted"):
        return BAD_STATE
    card.free[card.value_class] += amount
    card.settle()
    return OK


def freeze(card: Holder) -> Answer:
    if card.status not in ("pending", "active", "depleted"):
        return BAD_STATE
    card.status = "frozen"
    return OK


def unfreeze(card: Holder) -> Answer:
    if card.status != "frozen":
        return BAD_STATE
    card.status = "active" if card.was_active else "pending"
    card.settle()
    return OK


def cancel_card(card: Holder) -> Answer:
    """With refund: what is there goes back to who paid for it."""
    if card.status not in ("pending", "active", "frozen", "depleted"):
        return BAD_STATE
    if card.reserved:
        return 409, "ValueHeld"
    card.free = dict.fromkeys(BURNT, 0)
    card.status = "cancelled"
    return OK


def adjust(card: Holder, amount: int) -> Answer:
    """A correction: more is promotional, less is burnt in order."""
    if card.status not in ("active", "depleted"):
        return BAD_STATE
    if -amount > card.available:
        return BAD_REQUEST
    if amount > 0:
        card.free["promotional"] += amount
    for value_class, taken in _take(card, max(0, -amount)):
        card.free[value_class] -= taken
    card.settle()
    return 202, None


def replace(card: Holder) -> Answer | Holder:
    """Another card in its place, with its value, in the state that it had before it was lost."""
    if card.status not in ("pending", "active", "frozen", "depleted"):
        return BAD_STATE
    if card.reserved:
        return 409, "ValueHeld"
    status = card.status if card.status != "frozen" else ("active" if card.was_active else "pending")
    new = Holder("card", status, card.value_class, was_active=card.was_active, free=card.free)
    new.settle()
    card.free = dict.fromkeys(BURNT, 0)
    card.status, card.successor = "replaced", new
    return new


def transfer(card: Holder, wallet: Holder, amount: int | None) -> Answer:
    """Value of a card goes to a wallet, class by class in the order in which it is burnt. States are looked at before amounts."""
    if card.status != "active" or card.available == 0:
        return BAD_STATE
    if wallet.status != "active":
        return BAD_STATE
    if amount is not None and amount > card.available:
        return BAD_REQUEST
    for value_class, taken in _take(card, card.available if amount is None else amount):
        card.free[value_class] -= taken
        wallet.free[value_class] += taken
    card.settle()
    return OK


def pay(sources: list[Holder], amount: int, *, manual: bool, partial: bool) -> Answer | Intent:
    """A payment out of holders in their order."""
    for place, source in enumerate(sources):
        if not source.can_pay:
            return 409, "SourceNotUsable"
        if any(source is other for other in sources[:place]):
            return BAD_REQUEST
    due, parts = amount, []
    for source in sources:
        for value_class, taken in _take(source, min(due, source.available)):
            parts.append(Part(source, value_class, taken))
            due -= taken
    if due and not (partial and due < amount):
        return 409, "InsufficientValue"
    for part in parts:
        part.holder.free[part.value_class] -= part.amount
        if manual:
            part.holder.held[part.value_class] += part.amount
        else:
            part.captured = part.amount
    for source in sources:
        source.settle()
    return Intent("authorized" if manual else "captured", parts)


def capture(intent: Intent, amount: int | None) -> Answer:
    """All or part, once; the rest is free again."""
    if intent.status != "authorized":
        return BAD_STATE
    wanted = intent.authorized if amount is None else amount
    if wanted > intent.authorized:
        return BAD_REQUEST
    for part in intent.parts:
        part.captured = min(part.amount, wanted)
        wanted -= part.captured
        part.holder.held[part.value_class] -= part.amount
        part.holder.free[part.value_class] += part.amount - part.captured
        part.holder.settle()
    intent.status = "captured"
    return OK


def cancel(intent: Intent) -> Answer:
    if intent.status != "authorized":
        return BAD_STATE
    for part in intent.parts:
        part.holder.held[part.value_class] -= part.amount
        part.holder.free[part.value_class] += part.amount
        part.holder.settle()
    intent.status = "cancelled"
    return OK


def refund(intent: Intent, amount: int | None) -> Answer:
    """To where it came from, the last that gave first; a cancelled card takes nothing back."""
    left = intent.captured - intent.refunded
    if intent.status != "captured" or left == 0:
        return BAD_STATE
    wanted = left if amount is None else amount
    if wanted > left:
        return BAD_REQUEST
    open_parts = [part for part in reversed(intent.parts) if part.holder.home.status != "cancelled"]
    if sum(part.captured - part.refunded for part in open_parts) < wanted:
        return 409, "SourceClosed"
    for part in open_parts:
        back = min(wanted, part.captured - part.refunded)
        wanted -= back
        part.refunded += back
        part.holder.home.free[part.value_class] += back
        part.holder.home.settle()
    if intent.refunded == intent.captured:
        intent.status = "refunded"
    return OK


def _take(holder: Holder, amount: int) -> list[tuple[str, int]]:
    taken = []
    for value_class in BURNT:
        part = min(amount, holder.free[value_class])
        if part:
            taken.append((value_class, part))
            amount -= part
    return taken
