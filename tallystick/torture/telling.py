"""Tellers: tills that tell of what the same few customers do, of anybody's purchases, in any order, and of some more than once."""

import asyncio
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from tallystick.torture.facts import Fact, File, Heard, Regular, Verdict, What
from tallystick.torture.history import Command, Done, Outcome, Refused
from tallystick.torture.partner import Partner
from tallystick.torture.shop import Shop
from tallystick.torture.tally import Tally

AMOUNT_MAX = 1_500
EARLY_MAX = 2
"""How many purchases there are before anybody knows whose they are: too few for a reward, which would wait for a wallet."""
REGULARS_MAX = 30
NEWCOMER = 0.02
LIST_MAX, FILE_MAX = 12, 40
ALONE, LISTED = 0.5, 0.46
"""How many of the requests are of one fact, and of a list of them; the others are files."""
IMPATIENT, HALF = 0.04, 0.01
"""How many of the requests are hung up on."""
AFTER_UNKNOWN_SECONDS = 0.2
SETTLED_AT_ONCE = 50
RECENT = 200
"""How far back among what was acknowledged most of what is told again or taken back lies."""
CHOICES: Mapping[str, int] = {
    "buy": 50, "return": 14, "undo": 8, "return first": 6, "again": 14, "twice": 4, "change": 4,
}  # fmt: skip
"""What happens, and how often. `undo` voids a purchase or a refund; `return first` tells of a refund before its
purchase; `change` gives a known name to something else, which is to be refused.
"""


class Teller:
    """Tells until told to stop. What all tellers were told goes to one tally; what stayed unknown is in `unsettled` and `files`."""

    def __init__(
        self, number: int, seed: int, shop: Shop, partner: Partner, tally: Tally, *, strangers: bool = True
    ) -> None:
        self._number, self._shop, self._partner, self._tally = number, shop, partner, tally
        self._early_max = EARLY_MAX if strangers else 0
        self._chance = random.Random(f"{seed}-teller-{number}")  # noqa: S311 -- repeatable on purpose
        self._count = itertools.count(1)
        self._phones = (f"+1{3_000_000_000 + number * 10_000 + each}" for each in range(REGULARS_MAX))
        self._held: list[Fact] = []
        """Purchases of which a refund was told already."""
        self.unsettled: list[Fact] = []
        self.files: list[File] = []

    async def write(self, stopping: asyncio.Event, patience: float) -> None:
        """One request after another; now and then a new customer."""
        while not stopping.is_set():
            if not self._tally.regulars or self._chance.random() < NEWCOMER:
                await self._introduce(patience)
            luck = self._chance.random()
            if luck < ALONE:
                facts = self._happenings(1)
            elif luck < ALONE + LISTED:
                facts = self._happenings(self._chance.randint(2, LIST_MAX))
            else:
                await self._send_file(File(self._name(), tuple(self._happenings(FILE_MAX, without="change"))))
                continue
            if not self._note(facts, await self._tell(facts)):
                await asyncio.sleep(AFTER_UNKNOWN_SECONDS)

    async def settle(self, seconds: float) -> None:
        """Find out what came of everything unknown: files are read to their end, and all is told again under its name."""
        for file in self.files:
            await self._read_whole(file, seconds)
            self.unsettled += file.facts
        self.unsettled += self._held
        self.files, self._held = [], []
        await self._settle(seconds)

    async def _settle(self, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while self.unsettled and asyncio.get_running_loop().time() < deadline:
            facts, self.unsettled = self.unsettled[:SETTLED_AT_ONCE], self.unsettled[SETTLED_AT_ONCE:]
            if not self._note(facts, await self._shop.tell(facts)):
                await asyncio.sleep(AFTER_UNKNOWN_SECONDS)
        self._tally.differences += [f"{fact.what} {fact.name} was never settled" for fact in self.unsettled]
        self.unsettled = []

    async def _read_whole(self, file: File, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            import_id = await self._shop.send_file(file)
            shown = None if import_id is None else await self._shop.file(import_id)
            if shown is not None and shown["status"] in ("completed", "failed"):
                taken = shown["accepted"] + shown["duplicates"]
                if (shown["status"], taken, shown["rejected"]) != ("completed", len(file.facts), 0):
                    self._tally.differences.append(
                        f"of the {len(file.facts)} lines of file {file.key} {taken} were taken"
                    )
                return
            await asyncio.sleep(AFTER_UNKNOWN_SECONDS)
        self._tally.differences.append(f"file {file.key} was never read to its end")

    async def _send_file(self, file: File) -> None:
        """What a file brings is known at the end, when it was read."""
        self.files.append(file)
        if await self._shop.send_file(file) is None:
            await asyncio.sleep(AFTER_UNKNOWN_SECONDS)

    async def _introduce(self, patience: float) -> None:
        """A new customer: buys something while nobody knows who that is, then becomes a user, and has a wallet."""
        phone = next(self._phones, None)
        if phone is None:
            return
        early = [self._purchase(phone) for _ in range(self._chance.randint(0, self._early_max))]
        self._tally.early.update(fact.phone for fact in early)
        self.unsettled += early
        await self._settle(patience)
        user = Command(self._name(), "add user", phone)
        made = await self._partner.settle(user, patience)
        opened: Outcome = made
        if isinstance(made, Done):
            opened = await self._partner.settle(Command(self._name(), "open wallet", phone, of=user.key), patience)
        if isinstance(made, Done) and isinstance(opened, Done):
            self._tally.regulars[phone] = Regular(phone, str(made.id), str(opened.id))
        else:
            self._tally.differences.append(f"{phone} could not become a customer: {made} {opened}")

    async def _tell(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        luck = self._chance.random()
        if luck < HALF:
            return await self._shop.tell_half(facts)
        if luck < HALF + IMPATIENT:
            return await self._shop.tell(facts, hang_up_after=self._chance.uniform(0.0005, 0.02))
        return await self._shop.tell(facts)

    def _note(self, facts: Sequence[Fact], verdicts: Sequence[Verdict]) -> bool:
        """Whether all of it is known now. What was a changed repetition does nothing whatever came of it."""
        known = True
        for fact, verdict in zip(facts, verdicts, strict=True):
            if self._tally.facts.get(fact.name, fact) != fact:
                self._tally.hear_changed(fact, verdict)
            elif isinstance(verdict, Heard):
                self._tally.hear(fact, verdict)
            elif isinstance(verdict, Refused):
                self._tally.differences.append(f"{fact.what} {fact.name} was refused as {verdict.code}, for no reason")
            else:
                known = False
                self.unsettled.append(fact)
        return known

    def _happenings(self, count: int, without: str | None = None) -> list[Fact]:
        """So many facts, or one more."""
        kinds = [kind for kind in CHOICES if kind != without]
        facts: list[Fact] = []
        while len(facts) < count:
            facts += self._happening(self._chance.choices(kinds, [CHOICES[kind] for kind in kinds])[0])
        return facts

    def _happening(self, kind: str) -> list[Fact]:
        if kind == "return first":
            bought = self._purchase(self._somebody())
            self._held.append(bought)
            return [self._back("Refund", bought)]
        known = None if kind == "buy" else self._known("Purchase", *(("Refund",) if kind != "return" else ()))
        if known is None:
            return [self._held.pop() if self._held else self._purchase(self._somebody())]
        if kind in ("return", "undo"):
            return [self._back("Refund" if kind == "return" else "Void", known)]
        if kind == "change":
            return [replace(known, amount=known.amount + AMOUNT_MAX)]
        return [known, known] if kind == "twice" else [known]

    def _known(self, *wanted: What) -> Fact | None:
        """Something that was acknowledged, mostly of late, of a customer who is known."""
        told = self._tally.told
        for _ in range(8):
            first = max(0, len(told) - RECENT) if self._chance.random() < 0.8 else 0
            fact = told[self._chance.randrange(first, len(told))] if told else None
            if fact is not None and fact.what in wanted and fact.phone in self._tally.regulars:
                return fact
        return None

    def _somebody(self) -> str:
        return self._chance.choice(list(self._tally.regulars))

    def _purchase(self, phone: str) -> Fact:
        return Fact(self._name(), "Purchase", phone, _now(), self._chance.randint(1, AMOUNT_MAX))

    def _back(self, what: What, of: Fact) -> Fact:
        """A part of a purchase comes back, perhaps all of it or too much; or something is as if it had not been."""
        amount = 0 if what == "Void" else self._chance.choice((of.amount, self._chance.randint(1, AMOUNT_MAX)))
        return Fact(self._name(), what, of.phone, _now(), amount, of.name)

    def _name(self) -> str:
        return f"a{self._number}-{next(self._count)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
