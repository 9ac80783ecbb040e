"""Names of activity: what claims them, and the fingerprint by which a resend is known from a changed one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from tallystick.activity.model import RecordActivity
from tallystick.base import ids
from tallystick.base.columns import shortened
from tallystick.base.work import Work

_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Names:
    """Every name that the commands have or refer to, once each, column by column; a name is spoken of by its number.

    `ids` and `fingerprints` are those of the first command that has the name, None where it is only referred to.
    """

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    partners: list[UUID] = field(default_factory=list)
    ids: list[UUID | None] = field(default_factory=list)
    fingerprints: list[bytes | None] = field(default_factory=list)
    referred: list[bool] = field(default_factory=list)
    of_commands: list[int] = field(default_factory=list)
    prints: list[bytes] = field(default_factory=list)
    """The fingerprint of each command."""

    @classmethod
    def of(cls, work: Work, commands: Sequence[RecordActivity]) -> "Names":
        """The names of these commands, with a fresh id for each that one of them has."""
        names = cls()
        for command in commands:
            print_ = fingerprint(work, command)
            names.prints.append(print_)
            name = (command.source, command.source_id)
            number = names.numbers.get(name)
            if number is None:
                number = names.numbers[name] = len(names.ids)
                names.partners.append(command.asked.caller.partner_id)
                names.ids.append(ids.new())
                names.fingerprints.append(print_)
                names.referred.append(False)
            elif names.ids[number] is None:
                names.partners[number] = command.asked.caller.partner_id
                names.ids[number], names.fingerprints[number] = ids.new(), print_
            names.of_commands.append(number)
            if command.linked_source_id is not None:
                names._refer(command, command.linked_source_id)
        return names

    def _refer(self, command: RecordActivity, source_id: str) -> None:
        name = (command.source, source_id)
        number = self.numbers.get(name)
        if number is not None:
            self.referred[number] = True
            return
        self.numbers[name] = len(self.ids)
        self.partners.append(command.asked.caller.partner_id)
        self.ids.append(None)
        self.fingerprints.append(None)
        self.referred.append(True)

    def columns(self) -> tuple[Sequence[object], ...]:
        """Sources, source ids, partners, ids, fingerprints, and whether they are referred to; what all have alike once."""
        return (
            shortened([source for source, _ in self.numbers]),
            [source_id for _, source_id in self.numbers],
            shortened(self.partners),
            self.ids,
            self.fingerprints,
            shortened(self.referred),
        )

    def text(self, number: int) -> tuple[str, str]:
        """The name itself, for the few that need it."""
        return next(name for name, known in self.numbers.items() if known == number)


def fingerprint(work: Work, command: RecordActivity) -> bytes:
    """What was told, kept keyed. The sender's own document, how it counts and the file it came in may differ."""
    who = command.identity
    said = (
        command.kind,
        command.type,
        command.merchant_id.bytes,
        command.occurred_at,
        None if who is None else (who.kind, who.value),
        command.channel,
        None if command.location_id is None else command.location_id.bytes,
        command.currency,
        command.amount,
        command.tax,
        [(item.amount, item.tax, item.quantity, item.category) for item in command.items],
        [(payment.amount, payment.method) for payment in command.payments],
        command.linked_source_id,
    )
    return work.keys.fingerprint(work.tenant.id, _encode(said))
