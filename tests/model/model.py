"""What wallets, gift cards and payments should do, told without the product: amounts by lot, states, refusals, and time.

Written from the documents. It imports nothing of the product. Time is whole days; what fell due is done before anything else is
asked. Lots of one holder with the same expiry and class are as one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

BURNT = ("promotional", "compensation", "refund", "paid")
TENDER = {"refund", "paid"}
FOREVER = 10**9
GRACE_DAYS = 30
AUTHORIZED_DAYS = 7
LIVING = {"pending", "active", "frozen", "depleted"}

Answer = tuple[int, str | None]
"""The status, and the code of a refusal."""
Lot = tuple[int, str]
"""The day on which it expires, and its class."""
Amounts = dict[Lot, int]

OK: Answer = (200, None)
MADE: Answer = (201, None)
BAD_STATE: Answer = (409, "InvalidState")
BAD_REQUEST: Answer = (400, "InvalidRequest")


@dataclass
class Holder:
    """A wallet or a card: its state, and what is there of each lot, free and held by payments."""

    kind: str
    status: str
    value_class: str = "compensation"
    expires: int = FOREVER
    was_active: bool = True
    was_frozen: bool = False
    """Whether it was frozen when it expired."""
    charged_back: bool = False
    """Whether its buyer's bank took the price back: what comes to it goes there."""
    successor: "Holder | None" = None
    """The card that replaced it, or the wallet of the same person that it was merged into."""
    free: Amounts = field(default_factory=dict)
    held: Amounts = field(default_factory=dict)

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

    def add(self, lot: Lot, amount: int) -> None:
        self.free[lot] = self.free.get(lot, 0) + amount

    def hold(self, lot: Lot, amount: int) -> None:
        self.held[lot] = self.held.get(lot, 0) + amount

    def take(self, amount: int) -> list[tuple[Lot, int]]:
        """Up to so much of what is free, soonest expiry first, then by class; not taken away yet."""
        taken = []
        for lot in sorted(self.free, key=lambda each: (each[0], BURNT.index(each[1]))):
            part = min(amount, self.free[lot])
            if part:
                taken.append((lot, part))
                amount -= part
        return taken

    def shown(self, now: int) -> str:
        """The state that a reader sees."""
        return "expired" if self.kind == "card" and self.status in LIVING and self.expires <= now else self.status

    def can_pay(self, now: int) -> bool:
        return self.shown(now) in ({"active", "closing"} if self.kind == "wallet" else {"active", "depleted"})

    def settle(self) -> None:
        """A card with nothing left is depleted; one that holds something again is active."""
        if self.kind == "card" and self.status in ("active", "depleted"):
            self.status = "active" if self.available + self.reserved else "depleted"


@dataclass
class Part:
    """What a payment has of one lot of one holder."""

    holder: Holder
    lot: Lot
    amount: int
    captured: int = 0
    refunded: int = 0


@dataclass
class Intent:
    """A payment."""

    status: str
    asked: int
    partial: bool
    sources: list[Holder]
    parts: list[Part]
    expires: int

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
            if part.lot[1] in TENDER
        )

    def free(self, *, captured: bool = False) -> None:
        """Nothing is held any more; what was not captured is where it was."""
        for part in self.parts:
            part.holder.hold(part.lot, -part.amount)
            part.holder.add(part.lot, part.amount - (part.captured if captured else 0))


def pass_time(now: int, holders: Iterable[Holder], intents: Iterable[Intent]) -> None:
    """What fell due by `now`: payments nobody captured, lots past their expiry, cards past theirs that no payment holds."""
    for intent in intents:
        if intent.status == "authorized" and intent.expires <= now:
            intent.status = "expired"
            intent.free()
    for holder in holders:
        if holder.charged_back:
            holder.free = {}
        holder.free = {lot: amount for lot, amount in holder.free.items() if lot[0] > now}
        holder.settle()
        if holder.shown(now) == "expired" and holder.status in LIVING and not holder.reserved:
            holder.was_frozen, holder.status, holder.free = holder.status == "frozen", "expired", {}


def give(wallet: Holder, amount: int) -> Answer:
    """A reward to a wallet."""
    if wallet.status != "active":
        return 409, "WalletNotIssuable"
    wallet.add((FOREVER, "compensation"), amount)
    return OK


def merge(wallet: Holder, into: Holder) -> Answer:
    """Two users are one person: what the first wallet holds is in the second, and the first is closed."""
    if wallet is into:
        return BAD_REQUEST
    if "closed" in (wallet.status, into.status) or into.status != "active" or wallet.status == "suspended":
        return BAD_STATE
    if wallet.reserved:
        return 409, "ValueHeld"
    for lot, amount in wallet.free.items():
        into.add(lot, amount)
    wallet.free, wallet.status, wallet.successor = {}, "closed", into
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


def activate(now: int, card: Holder) -> Answer:
    if card.shown(now) != "pending":
        return BAD_STATE
    card.status, card.was_active = "active", True
    return OK


def load(now: int, card: Holder, amount: int) -> Answer:
    if card.shown(now) not in ("active", "depleted"):
        return BAD_STATE
    card.add((card.expires, card.value_class), amount)
    card.settle()
    return OK


def freeze(now: int, card: Holder) -> Answer:
    if card.shown(now) not in ("pending", "active", "depleted"):
        return BAD_STATE
    card.status = "frozen"
    return OK


def unfreeze(now: int, card: Holder) -> Answer:
    if card.shown(now) != "frozen" or card.charged_back:
        return BAD_STATE
    card.status = "active" if card.was_active else "pending"
    card.settle()
    return OK


def cancel_card(now: int, card: Holder) -> Answer:
    """With refund: what is there goes back to who paid for it."""
    if card.shown(now) not in LIVING:
        return BAD_STATE
    if card.reserved:
        return 409, "ValueHeld"
    card.free, card.status = {}, "cancelled"
    return OK


def cash_out(now: int, card: Holder) -> Answer:
    """What was paid for is paid out; these amounts are below what the law asks for."""
    if card.shown(now) != "active":
        return BAD_STATE
    if card.reserved:
        return 409, "ValueHeld"
    paid = [lot for lot, amount in card.free.items() if amount and lot[1] in TENDER]
    if not paid:
        return BAD_STATE
    card.free = {lot: amount for lot, amount in card.free.items() if lot not in paid}
    card.settle()
    return OK


def charge_back(now: int, card: Holder) -> Answer:
    """What is there goes back to the buyer's bank, and so will what payments give back; the card is frozen for good."""
    if card.shown(now) not in LIVING or card.charged_back or card.value_class != "paid":
        return BAD_STATE
    card.free, card.status, card.charged_back, card.expires = {}, "frozen", True, FOREVER
    return OK


def adjust(now: int, card: Holder, amount: int) -> Answer:
    """A correction: more is promotional, less is burnt in order."""
    if card.shown(now) not in ("active", "depleted"):
        return BAD_STATE
    if -amount > card.available:
        return BAD_REQUEST
    if amount > 0:
        card.add((card.expires, "promotional"), amount)
    for lot, taken in card.take(max(0, -amount)):
        card.add(lot, -taken)
    card.settle()
    return 202, None


def replace(now: int, card: Holder) -> Answer | Holder:
    """Another card in its place, with its value, in the state that it had before it was lost."""
    if card.shown(now) not in LIVING:
        return BAD_STATE
    if card.charged_back:
        return BAD_STATE
    if card.reserved:
        return 409, "ValueHeld"
    status = card.status if card.status != "frozen" else ("active" if card.was_active else "pending")
    new = Holder("card", status, card.value_class, card.expires, was_active=card.was_active, free=card.free)
    new.settle()
    card.free, card.status, card.successor = {}, "replaced", new
    return new


def transfer(now: int, card: Holder, wallet: Holder, amount: int | None) -> Answer:
    """Value of a card goes to a wallet, lot by lot in the order in which it is burnt. States are looked at before amounts."""
    if card.shown(now) != "active" or card.available == 0 or wallet.status != "active":
        return BAD_STATE
    if amount is not None and amount > card.available:
        return BAD_REQUEST
    for lot, taken in card.take(card.available if amount is None else amount):
        card.add(lot, -taken)
        wallet.add(lot, taken)
    card.settle()
    return OK


def pay(now: int, sources: list[Holder], amount: int, *, manual: bool, partial: bool) -> Answer | Intent:
    """A payment out of holders in their order."""
    for place, source in enumerate(sources):
        if not source.can_pay(now):
            return 409, "SourceNotUsable"
        if any(source is other for other in sources[:place]):
            return BAD_REQUEST
    parts = _taken(sources, amount)
    found = sum(part.amount for part in parts)
    if found < amount and not (partial and found):
        return 409, "InsufficientValue"
    _move(parts, hold=manual)
    if not manual:
        for part in parts:
            part.captured = part.amount
    for source in sources:
        source.settle()
    return Intent("authorized" if manual else "captured", amount, partial, sources, parts, now + AUTHORIZED_DAYS)


def increase(now: int, intent: Intent, amount: int) -> Answer:
    """More of the same sources is held."""
    if intent.status != "authorized":
        return late(intent)
    if not all(source.can_pay(now) for source in intent.sources):
        return 409, "SourceNotUsable"
    parts = _taken(intent.sources, amount)
    found = sum(part.amount for part in parts)
    if found < amount and not (intent.partial and found):
        return 409, "InsufficientValue"
    _move(parts, hold=True)
    intent.parts += parts
    intent.asked += amount
    return OK


def capture(intent: Intent, amount: int | None) -> Answer:
    """All or part, once; the rest is free again."""
    if intent.status != "authorized":
        return late(intent)
    wanted = intent.authorized if amount is None else amount
    if wanted > intent.authorized:
        return BAD_REQUEST
    for part in intent.parts:
        part.captured = min(part.amount, wanted)
        wanted -= part.captured
    intent.free(captured=True)
    for part in intent.parts:
        part.holder.settle()
    intent.status = "captured"
    return OK


def cancel(intent: Intent) -> Answer:
    if intent.status != "authorized":
        return BAD_STATE
    intent.status = "cancelled"
    intent.free()
    for part in intent.parts:
        part.holder.settle()
    return OK


def late(intent: Intent) -> Answer:
    """What a payment that holds nothing any more answers to a capture or an increase."""
    return (409, "HoldExpired") if intent.status == "expired" else BAD_STATE


def refund(now: int, intent: Intent, amount: int | None) -> Answer:
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
        if back:
            wanted -= back
            part.refunded += back
            _come_back(now, part.holder.home, part.lot, back)
    if intent.refunded == intent.captured:
        intent.status = "refunded"
    return OK


def reverse(now: int, intent: Intent) -> Answer:
    """The till gives up: what is held is free, what was taken comes back; what ended by itself stays."""
    if intent.status == "authorized":
        return cancel(intent)
    if intent.captured == intent.refunded:
        return OK
    return refund(now, intent, None)


def _come_back(now: int, home: Holder, lot: Lot, amount: int) -> None:
    """To its lot, or with days of grace where that has expired. A card that has expired can be spent again for as long."""
    expired = home.shown(now) == "expired"
    home.add(lot if lot[0] > now else (now + GRACE_DAYS, lot[1]), amount)
    if expired and home.kind == "card":
        home.expires = max(each[0] for each, there in home.free.items() if there and each[0] > now)
        home.status = "frozen" if home.status == "frozen" or home.was_frozen else "active"
    home.settle()


def _taken(sources: list[Holder], amount: int) -> list[Part]:
    parts = []
    for source in sources:
        for lot, taken in source.take(amount):
            parts.append(Part(source, lot, taken))
            amount -= taken
    return parts


def _move(parts: list[Part], *, hold: bool) -> None:
    for part in parts:
        part.holder.add(part.lot, -part.amount)
        if hold:
            part.holder.hold(part.lot, part.amount)
