"""The states of gift cards: which verb may meet a card in which state, and in which states it may leave it.

Every verb asks here before it acts, and every change of a card goes through here: whatever is not in the table does not happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tallystick.giftcards.model import LIVING, ActivityKind, Status

Verb = ActivityKind | Literal["take_back"]
Leads = Mapping[Status, tuple[Status, ...]]


@dataclass(frozen=True, slots=True)
class Step:
    """What one verb may do: from each state it may meet, the states it may leave the card in."""

    done: str
    """What the card is once it is done, or what was done to it: as a refusal says it."""
    leads: Leads


def _stays(*states: Status) -> Leads:
    return {state: (state,) for state in states}


def _all_to(state: Status, *before: Status) -> Leads:
    return dict.fromkeys(before, (state,))


STEPS: Final[Mapping[Verb, Step]] = {
    "activate": Step("activated", {"pending": ("active",)}),
    "load": Step("loaded", _all_to("active", "active", "depleted")),
    "adjust": Step("adjusted", _all_to("active", "active", "depleted")),
    "transfer": Step("transferred from", _stays("active")),
    "cash_out": Step("cashed out", _stays("active")),
    "freeze": Step("frozen", _all_to("frozen", "pending", "active", "depleted")),
    "unfreeze": Step("unfrozen", {"frozen": ("pending", "active", "depleted")}),
    "replace": Step("replaced", _all_to("replaced", *LIVING)),
    "refund_purchase": Step("refunded", _stays("pending", "active", "frozen")),
    "cancel": Step("cancelled", _all_to("cancelled", *LIVING)),
    "charge_back": Step("charged back", _all_to("frozen", *LIVING)),
    # In the loop behind a charge-back. A cancelled card may have kept what had expired by then.
    "take_back": Step("taken back from", _stays("frozen", "cancelled")),
    "deliver": Step("sent", _stays("active", "depleted")),
    # What a payment held before the card was frozen, or before it expired, is still its to take.
    "redeem": Step("redeemed", _stays("active", "frozen", "depleted")),
    "deplete": Step("depleted", {"active": ("depleted",)}),
    # Value that comes back too late to be spent wakes nothing up.
    "refund": Step(
        "refunded to",
        {
            "active": ("active",),
            "frozen": ("frozen",),
            "depleted": ("active", "depleted"),
            "expired": ("active", "expired"),
        },
    ),
    # Lots may expire before their card does, and those that an ended card was left with do so behind it.
    "expire": Step(
        "expired",
        {**{state: (state, "expired") for state in LIVING}, **_stays("expired", "cancelled", "replaced")},
    ),
}
"""What may happen to a card once it is issued."""


def meets(verb: Verb, status: Status) -> bool:
    """Whether the verb may meet a card in this state."""
    return status in STEPS[verb].leads


def allowed(verb: Verb) -> tuple[Status, ...]:
    """The states in which the verb may meet a card."""
    return tuple(STEPS[verb].leads)


def left_in(verb: Verb, before: Status, after: Status) -> Status:
    """The state that the verb leaves a card in: `after`, which is checked."""
    assert after in STEPS[verb].leads.get(before, ()), f"{verb} leaves no card {after} that was {before}"
    return after
