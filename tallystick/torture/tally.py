"""An independent tally of what customers did: plain Python over the facts that were acknowledged, no code of the house in it.

It knows no order. The rules here begin again behind their only step and know neither windows nor caps nor budgets, nobody spends
what is given, and what a return undoes is taken back in full: so whatever came first, what stands in the end is as many rewards as
the sum of what is left holds whole targets.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.torture.facts import Fact, Heard, Regular, Verdict
from tallystick.torture.history import Refused


@dataclass(frozen=True, slots=True)
class Rule:
    """Every `target` of what it counts gives `reward` minor units. `counts`: what was spent, or how many purchases."""

    counts: str
    target: int
    reward: int


RULES = (Rule("spend", 4_000, 130), Rule("purchases", 5, 70))


@dataclass(frozen=True, slots=True)
class Stand:
    """How one fact must stand: how much of it came back, and whether it was voided."""

    fact: Fact
    returned: int
    voided: bool

    @property
    def left(self) -> int:
        """What of a purchase counts, in minor units."""
        gone = self.voided or self.fact.what != "Purchase"
        return 0 if gone else max(0, self.fact.amount - self.returned)


class Tally:
    """Every fact that was acknowledged, by its name, and every customer to whom something happened."""

    def __init__(self) -> None:
        self.facts: dict[str, Fact] = {}
        self.told: list[Fact] = []
        """The facts, in the order in which they were acknowledged."""
        self.ids: dict[str, str] = {}
        self.regulars: dict[str, Regular] = {}
        self.early: set[str] = set()
        """The phones of those who bought something before anybody knew whose it was."""
        self.differences: list[str] = []
        self.repeated = 0
        self._fresh: Counter[str] = Counter()

    def hear(self, fact: Fact, heard: Heard) -> None:
        """A fact was acknowledged, now or again: always under the same id, and as new at most once."""
        if fact.name not in self.facts:
            self.told.append(fact)
        if self.facts.setdefault(fact.name, fact) != fact:
            self.differences.append(f"{fact.name} was acknowledged with two contents")
        if self.ids.setdefault(fact.name, heard.id) != heard.id:
            self.differences.append(f"{fact.name} was acknowledged as {self.ids[fact.name]} and as {heard.id}")
        self._fresh[fact.name] += heard.fresh
        self.repeated += not heard.fresh
        if heard.fresh and self._fresh[fact.name] > 1:
            self.differences.append(f"{fact.name} was acknowledged as new {self._fresh[fact.name]} times")

    def hear_changed(self, fact: Fact, verdict: Verdict) -> None:
        """What was said to a name that had been given to something else."""
        if isinstance(verdict, Heard) or (isinstance(verdict, Refused) and verdict.code != "ChangedDuplicate"):
            said = verdict.code if isinstance(verdict, Refused) else "taken"
            self.differences.append(
                f"{fact.name} with other content should have been a ChangedDuplicate, and was {said}"
            )

    def stands(self) -> dict[str, list[Stand]]:
        """How every fact must stand, by phone."""
        voided = {fact.of for fact in self.facts.values() if fact.what == "Void"}
        returned: Counter[str | None] = Counter()
        for fact in self.facts.values():
            if fact.what == "Refund" and fact.name not in voided:
                returned[fact.of] += fact.amount
        found: dict[str, list[Stand]] = {phone: [] for phone in self.regulars}
        for fact in self.facts.values():
            found.setdefault(fact.phone, []).append(Stand(fact, returned[fact.name], fact.name in voided))
        return found

    def given(self) -> dict[str, int]:
        """How many rewards of each rule stand, over all customers."""
        totals: Counter[str] = Counter()
        for stands in self.stands().values():
            totals.update({rule.counts: counted(rule, stands) // rule.target for rule in RULES})
        return dict(totals)


def counted(rule: Rule, stands: Sequence[Stand]) -> int:
    """What a rule counts of a customer, in all."""
    return sum(stand.left if rule.counts == "spend" else stand.left > 0 for stand in stands)


def worth(stands: Sequence[Stand]) -> int:
    """What a customer's wallet must hold."""
    return sum(counted(rule, stands) // rule.target * rule.reward for rule in RULES)


def progress_faults(
    name: str, stands: Sequence[Stand], rules: Mapping[str, Rule], found: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Where progress is otherwise than what happened. `rules` are by the house's ids; who did nothing that counts has none."""
    shown = {str(each["thresholdId"]): each for each in found}
    for rule_id, rule in rules.items():
        total = counted(rule, stands)
        laps, rest = divmod(total, rule.target)
        each = shown.get(rule_id, {"current": 0, "total": 0, "cycle": 1})
        says = (each["total"], each["current"], each["cycle"])
        if says != (total, rest, laps + 1):
            yield (
                f"progress of {name} in {rule.counts} is {says[0]} ({says[1]} in cycle {says[2]}) instead of {total}"
                f" ({rest} in cycle {laps + 1})"
            )


def reward_faults(name: str, stands: Sequence[Stand], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where the rewards that stand are not those that are deserved. The reason code tells the rule."""
    kept: Counter[str] = Counter()
    for each in (reward["attributes"] for reward in found):
        rule = next((rule for rule in RULES if rule.counts == each["reasonCode"]), None)
        if rule is None or each["amount"] != rule.reward or each["reversedAmount"] not in (0, rule.reward):
            yield f"{name} has a reward of {each['amount']} for {each['reasonCode']}, {each['reversedAmount']} taken back"
        elif each["status"] != "Cancelled" and not each["reversedAmount"]:
            kept[rule.counts] += 1
    for rule in RULES:
        deserved = counted(rule, stands) // rule.target
        if kept[rule.counts] != deserved:
            yield f"{name} has {kept[rule.counts]} rewards for {rule.counts} instead of {deserved}"


def activity_faults(
    name: str, stands: Sequence[Stand], ids: Mapping[str, str], found: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Where what the house has of a customer is not what was acknowledged, each once and as it must stand."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for each in found:
        by_name.setdefault(str(each["attributes"]["source"]["id"]), []).append(each)
    for unknown in by_name.keys() - {stand.fact.name for stand in stands}:
        yield f"{unknown} of {name} was never acknowledged, and exists"
    for stand in stands:
        fact, there = stand.fact, by_name.get(stand.fact.name, [])
        if len(there) != 1:
            yield f"{fact.name} of {name} was acknowledged, and exists {len(there)} times"
            continue
        told = there[0]["attributes"]
        says = (there[0]["id"], told["type"], told["amount"], told["returnedAmount"], told["voided"], told["linkedId"])
        wanted = (ids[fact.name], fact.what, fact.amount, stand.returned, stand.voided, ids.get(str(fact.of)))
        if says != wanted:
            yield f"{fact.name} of {name} should be {_words(wanted)}, and is {_words(says)}"


def _words(values: tuple[object, ...]) -> str:
    return " ".join(map(str, values))
