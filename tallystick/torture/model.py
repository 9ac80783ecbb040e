"""An independent model of what partners were promised: plain Python, one phone at a time, no code of the house in it.

The commands about one phone are sent one after another, so each has exactly one right outcome.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.torture.history import Command, Done, Outcome, Refused, Unknown

ABOUT_A_REWARD = ("replay", "change key", "update", "cancel")


@dataclass(slots=True)
class Promise:
    """A reward that was acknowledged, as it must stand now."""

    id: str
    amount: int
    status: str
    answered: Mapping[str, Any]
    """The attributes of the first answer; a replay repeats them."""


@dataclass(slots=True)
class Person:
    """Everything promised to one phone."""

    rewards: dict[str, Promise] = field(default_factory=dict)
    wallet_id: str | None = None

    @property
    def balance(self) -> int:
        """What the wallet must hold."""
        return sum(reward.amount for reward in self.rewards.values() if reward.status in ("Credited", "Claimed"))


class Model:
    """What must be true after a settled history."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.differences: list[str] = []

    @property
    def outstanding(self) -> int:
        """The funding that is used or reserved: everything given but what was cancelled."""
        rewards = (reward for person in self.people.values() for reward in person.rewards.values())
        return sum(reward.amount for reward in rewards if reward.status != "Cancelled")

    def learn(self, history: Iterable[tuple[Command, Outcome]]) -> None:
        """Take the history in, in the order of each phone; note what should have come out otherwise."""
        for command, outcome in history:
            person = self.people.setdefault(command.phone, Person())
            if isinstance(outcome, Unknown):
                self.differences.append(f"{command.kind} {command.key} was never settled: {outcome.why}")
            elif command.kind in ABOUT_A_REWARD and command.of not in person.rewards:
                self.differences.append(f"{command.kind} {command.key} is about {command.of}, which should not exist")
            elif (expected := _refusal(person, command)) is not None:
                self._expect_refusal(command, outcome, expected)
            elif isinstance(outcome, Refused):
                self.differences.append(f"{command.kind} {command.key} was refused as {outcome.code}, for no reason")
            else:
                self.differences += _accept(person, command, outcome)

    def _expect_refusal(self, command: Command, outcome: Outcome, code: str) -> None:
        if outcome != Refused(code):
            self.differences.append(f"{command.kind} {command.key} should have been refused as {code}, and was not")

    def compare_rewards(self, phone: str, found: Sequence[Mapping[str, Any]]) -> None:
        """Hold the rewards that the house lists for a phone against what was promised. The reason code tells the key."""
        promised = self.people[phone].rewards
        by_key: dict[str, list[Mapping[str, Any]]] = {}
        for reward in found:
            by_key.setdefault(str(reward["attributes"]["reasonCode"]), []).append(reward)
        for key in by_key.keys() - promised.keys():
            self.differences.append(f"{key} was never acknowledged, and exists")
        for key, promise in promised.items():
            there = by_key.get(key, [])
            if len(there) != 1:
                self.differences.append(f"{key} was acknowledged, and exists {len(there)} times")
                continue
            attributes = there[0]["attributes"]
            stands = (there[0]["id"], attributes["amount"], attributes["status"])
            if stands != (promise.id, promise.amount, promise.status):
                self.differences.append(
                    f"{key} should be {promise.id} {promise.amount} {promise.status}, and is {' '.join(map(str, stands))}"
                )

    def compare_balance(self, phone: str, available: int) -> None:
        """Hold what a wallet holds against what was promised."""
        if available != self.people[phone].balance:
            self.differences.append(f"the wallet of {phone} holds {available} instead of {self.people[phone].balance}")

    def compare_funding(self, limit: int, available: int) -> None:
        """Hold what the merchant has left against its limit: any reward anywhere that nobody was promised shows here."""
        if available != limit - self.outstanding:
            self.differences.append(f"the funding left is {available} instead of {limit - self.outstanding}")


def _refusal(person: Person, command: Command) -> str | None:
    """The code this command must be refused with, or None."""
    if command.kind == "change key":
        return "IdempotencyConflict"
    if command.kind == "issue" and person.wallet_id is None and _waiting(person):
        return "PreIssuedConflict"
    if command.kind in ("update", "cancel") and person.rewards[str(command.of)].status != "Created":
        return "InvalidState"
    return None


def _waiting(person: Person) -> list[Promise]:
    return [reward for reward in person.rewards.values() if reward.status == "Created"]


def _accept(person: Person, command: Command, done: Done) -> list[str]:
    """Change what is promised; the differences between the answer and what it should have been."""
    if command.kind == "issue":
        return _issued(person, command, done)
    if command.kind == "open wallet":
        person.wallet_id = done.id
        for reward in _waiting(person):
            reward.status = "Claimed"
        return []
    if command.kind == "add user":
        return []
    reward = person.rewards[str(command.of)]
    if command.kind == "cancel":
        reward.status = "Cancelled"
        return []
    if command.kind == "update":
        reward.amount = command.amount
        return (
            [] if done.attributes.get("amount") == command.amount else [f"update {command.key} answered another amount"]
        )
    same = (done.id, dict(done.attributes)) == (reward.id, dict(reward.answered))
    return [] if same else [f"replay {command.key} of {command.of} was answered otherwise than at first"]


def _issued(person: Person, command: Command, done: Done) -> list[str]:
    status = "Credited" if person.wallet_id is not None else "Created"
    person.rewards[command.key] = Promise(str(done.id), command.amount, status, done.attributes)
    said = (done.attributes.get("amount"), done.attributes.get("status"), done.attributes.get("walletId"))
    wanted = (command.amount, status, person.wallet_id)
    return [] if said == wanted else [f"issue {command.key} answered {said} instead of {wanted}"]
