"""Whose activity it is, and whether it may be sent: looked up for all of a landing at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tallystick.activity.looking import Facts
from tallystick.activity.model import IdentityKind, Kind, PermissionMissing, RecordActivity
from tallystick.base.work import Caller, Policy, Work
from tallystick.customers import lookup
from tallystick.customers.lookup import DataKind, KnownBy

DATA: Final[dict[Kind, DataKind]] = {"transaction": "transactions", "visit": "visits", "order": "orders"}


Name = tuple[UUID, IdentityKind, str]
"""The partner, and the kind and value of the identity: a plain tuple, since there is one for every line of a file."""


@dataclass(slots=True)
class People:
    """Who is known by what, what stands for those who are not, and who has given permission to whom."""

    known: dict[Name, UUID] = field(default_factory=dict)
    strangers: dict[Name, bytes] = field(default_factory=dict)
    permitted: dict[tuple[UUID, DataKind], set[UUID]] = field(default_factory=dict)

    def whose(self, command: RecordActivity) -> tuple[UUID | None, bytes | None]:
        """The customer, or what stands for them until they are known; neither where nobody is named."""
        if command.identity is None:
            return None, None
        name = (command.asked.caller.partner_id, command.identity.kind, command.identity.value)
        customer_id = self.known.get(name)
        return customer_id, None if customer_id is not None else self.strangers.get(name)

    def refuse(self, command: RecordActivity, subject: Callable[[], UUID | None]) -> PermissionMissing | None:
        """Why this customer's data may not be sent. `subject` finds whose it is, where the agreement asks; None: nobody known."""
        kind = DATA[command.kind]
        caller = command.asked.caller
        policy = policy_of(caller, kind)
        if policy == "all":
            return None
        if policy == "none":
            return PermissionMissing(f"Your agreement does not let you send {kind}.")
        customer_id = subject()
        if customer_id is None:
            return PermissionMissing(
                f"Your agreement lets you send {kind} of customers who permitted it; this one is not known."
            )
        if customer_id not in self.permitted[caller.partner_id, kind]:
            return PermissionMissing(
                f"The customer has not permitted you to send their {kind}. Record the permission with the user, then send it again."
            )
        return None


async def look_up(work: Work, commands: Sequence[RecordActivity], facts: Facts) -> People:
    """The customers of these commands, and their permissions where an agreement asks for them."""
    people = People()
    names = list(
        dict.fromkeys(
            (command.asked.caller.partner_id, command.identity.kind, command.identity.value)
            for command in commands
            if command.identity is not None
        )
    )
    if names:
        found = await lookup.known_by(work, [KnownBy(*name) for name in names])
        for name, customer_id in zip(names, found, strict=True):
            if customer_id is None:
                people.strangers[name] = lookup.identity_index(work, KnownBy(*name))
            else:
                people.known[name] = customer_id
    consented = {
        (command.asked.caller.partner_id, DATA[command.kind])
        for command in commands
        if policy_of(command.asked.caller, DATA[command.kind]) == "consented"
    }
    concerned = {*people.known.values(), *(each.customer_id for each in facts.purchases.values() if each.customer_id)}
    for partner_id, kind in consented:
        people.permitted[partner_id, kind] = await lookup.permitted(work, partner_id, kind, list(concerned))
    return people


def policy_of(caller: Caller, kind: DataKind) -> Policy:
    """Whose data of a kind the caller may send."""
    policy: Policy = getattr(caller.data_policy, kind)
    return policy
