"""Writers: each has phones of its own and sends one command about a phone at a time, so that the right outcome is one."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tallystick.torture.history import Command, Done, Kind, Outcome, Unknown
from tallystick.torture.partner import Partner

PHONE_COMMANDS_MAX = 24
"""Then the writer turns to the next phone."""
AMOUNT_MAX = 5_000
AFTER_UNKNOWN_SECONDS = 0.2
IMPATIENT, HALF = 0.04, 0.01
"""How many of the requests are hung up on."""
CHOICES: dict[Kind, int] = {
    "issue": 50, "replay": 10, "change key": 4, "update": 10, "cancel": 8, "add user": 12, "open wallet": 20,
}  # fmt: skip


def phones(writer: int) -> Iterator[str]:
    """Numbers that no other writer uses; possible ones, and nobody is ever sent anything."""
    return (f"+1{2_000_000_000 + writer * 10_000_000 + number}" for number in itertools.count())


@dataclass(slots=True)
class _Notes:
    """What a writer knows of the phone it writes to."""

    phone: str
    issued: list[str] = field(default_factory=list)
    user_key: str | None = None
    has_wallet: bool = False
    sent: int = 0


class Writer:
    """Writes until told to stop. What came of each command is in `history`; what stayed unknown, in `unsettled`."""

    def __init__(self, number: int, seed: int, partner: Partner) -> None:
        self._number, self._partner = number, partner
        self._chance = random.Random(f"{seed}-{number}")  # noqa: S311 -- repeatable on purpose
        self._phones = phones(number)
        self._count = 0
        self.history: list[tuple[Command, Outcome]] = []
        self.unsettled: list[Command] = []

    async def write(self, stopping: asyncio.Event) -> None:
        """One command after another; a phone whose last outcome is unknown is left alone until the end."""
        notes = _Notes(next(self._phones))
        while not stopping.is_set():
            command = self._choose(notes)
            outcome = await self._send(command)
            if isinstance(outcome, Unknown):
                self.unsettled.append(command)
                await asyncio.sleep(AFTER_UNKNOWN_SECONDS)
            else:
                self.history.append((command, outcome))
                _note(notes, command, outcome)
            if isinstance(outcome, Unknown) or notes.sent >= PHONE_COMMANDS_MAX:
                notes = _Notes(next(self._phones))

    async def settle(self, seconds: float) -> None:
        """Find out what came of everything unknown: the same command again, with the same key."""
        for command in self.unsettled:
            self.history.append((command, await self._partner.settle(command, seconds)))
        self.unsettled = []

    async def _send(self, command: Command) -> Outcome:
        luck = self._chance.random()
        if luck < HALF and command.kind != "cancel":
            return await self._partner.send_half(command)
        if luck < HALF + IMPATIENT:
            return await self._partner.send(command, hang_up_after=self._chance.uniform(0.0005, 0.02))
        return await self._partner.send(command)

    def _choose(self, notes: _Notes) -> Command:
        notes.sent += 1
        self._count += 1
        key = f"t{self._number}-{self._count}"
        possible = [kind for kind in CHOICES if _possible(notes, kind)]
        kind = self._chance.choices(possible, [CHOICES[kind] for kind in possible])[0]
        amount = self._chance.randint(1, AMOUNT_MAX)
        if kind in ("issue", "add user"):
            return Command(key, kind, notes.phone, amount)
        if kind == "open wallet":
            return Command(key, kind, notes.phone, of=notes.user_key)
        of = self._chance.choice(notes.issued)
        # Another amount than any that is given, so that the body is another one.
        return Command(key, kind, notes.phone, amount + (AMOUNT_MAX if kind == "change key" else 0), of)


def _possible(notes: _Notes, kind: Kind) -> bool:
    if kind == "issue":
        return True
    if kind == "add user":
        return notes.user_key is None
    if kind == "open wallet":
        return notes.user_key is not None and not notes.has_wallet
    return bool(notes.issued)


def _note(notes: _Notes, command: Command, outcome: Outcome) -> None:
    if not isinstance(outcome, Done):
        return
    if command.kind == "issue":
        notes.issued.append(command.key)
    elif command.kind == "add user":
        notes.user_key = command.key
    elif command.kind == "open wallet":
        notes.has_wallet = True
