"""What messages say: plain and short, each kind in one place. The facts come from the room that sends."""

from collections.abc import Callable, Mapping
from typing import Final

from tallystick.base.money import Money
from tallystick.messages.model import Kind

Facts = Mapping[str, str]


def write(kind: Kind, facts: Facts) -> tuple[str, str]:
    """The subject and the text. A fact that the kind needs and does not get is a mistake of ours: KeyError."""
    return TEXTS[kind](facts)


def _code(facts: Facts) -> tuple[str, str]:
    """Facts: `code`; and `minutes`, how long it is valid, where that is to be told."""
    valid = f" It is valid for {facts['minutes']} minutes." if "minutes" in facts else ""
    return "Your code", f"{facts['code']} is your code.{valid} Do not give it to anyone."


def _claim_notice(facts: Facts) -> tuple[str, str]:
    """Facts: `reward_id`, `amount` in minor units, `currency`."""
    return "A reward was claimed", f"The reward {facts['reward_id']} of {_sum(facts)} was claimed by its recipient."


def _expiry_notice(facts: Facts) -> tuple[str, str]:
    """Facts: `reward_id`, `amount` in minor units, `currency`."""
    return (
        "A reward expired",
        f"The reward {facts['reward_id']} of {_sum(facts)} was not claimed in time and has expired. Its funding was returned.",
    )


def _gift_card(facts: Facts) -> tuple[str, str]:
    """Facts: `code`, `amount` in minor units, `currency`, `merchant`; where there are any `pin`, `expires` (a day), `sender`,
    `recipient` and `message`.
    """
    giver = f"{facts['sender']} sends you" if "sender" in facts else "Here is"
    lines = [f"Dear {facts['recipient']},"] if "recipient" in facts else []
    lines.append(f"{giver} a gift card of {_sum(facts)} for {facts['merchant']}.")
    if "message" in facts:
        lines.append(f'"{facts["message"]}"')
    lines.append(f"Its number is {facts['code']}" + (f" and its PIN {facts['pin']}." if "pin" in facts else "."))
    if "expires" in facts:
        lines.append(f"It can be used until {facts['expires']}.")
    return "A gift card for you", "\n".join(lines)


def _value_notice(facts: Facts) -> tuple[str, str]:
    """Facts: `amount` in minor units, `currency`, `merchant`, `expires` (a day)."""
    return (
        "Some of your balance expires soon",
        f"{_sum(facts)} of what you have at {facts['merchant']} can be used until {facts['expires']}.",
    )


def _sum(facts: Facts) -> str:
    return str(Money(int(facts["amount"]), facts["currency"]))


TEXTS: Final[Mapping[Kind, Callable[[Facts], tuple[str, str]]]] = {
    "code": _code,
    "claim_notice": _claim_notice,
    "expiry_notice": _expiry_notice,
    "gift_card": _gift_card,
    "value_notice": _value_notice,
}
