"""Everything that is kept about a person and that the asking partner may see, in one document.

A person with a long history gets the newest of each kind; which kinds were cut is said. Older ones are in the lists of each kind.
"""

from typing import Final
from uuid import UUID

from tallystick import customers
from tallystick.activity import exporting as activity
from tallystick.base import clock
from tallystick.base.errors import InvalidState, NotFound
from tallystick.base.work import Asked, Work
from tallystick.customers import Customer, sharing
from tallystick.customers import erasing as of_customers
from tallystick.privacy import resource
from tallystick.rewards import erasing as of_rewards
from tallystick.rewards import exporting as rewards
from tallystick.thresholds import exporting as progress
from tallystick.wallets import exporting as wallets
from tallystick.wallets import resource as wallet_resource

MOST: Final = 5_000
"""How many of a kind one document holds: some megabytes of it."""


async def export(work: Work, asked: Asked, user_id: UUID) -> bytes:
    """The document. Raises NotFound for whoever is not the asking partner's, InvalidState for who was merged or erased."""
    person = await customers.own(work, asked, user_id)
    if isinstance(person, NotFound):
        raise person
    if person.status == "merged":
        raise InvalidState(f"The user was merged into {person.merged_into}. Export that one: both are one person.")
    if person.status == "erased":
        raise InvalidState("The user was erased: nothing is kept about them.")
    everybody = await of_customers.family(work, person.id)
    people = list((await customers.by_ids(work, everybody)).values())
    kinds, truncated = await _kinds(work, asked, people)
    counts = {name: len(found) for name, found in kinds.items()}
    shown = resource.exported(person, counts, truncated, clock.render(work.now))
    included = b",".join(one for found in kinds.values() for one in found)
    return b'{"data":%s,"included":[%s]}' % (shown, included)


async def _kinds(work: Work, asked: Asked, people: list[Customer]) -> tuple[dict[str, list[bytes]], list[str]]:
    ids = [person.id for person in people]
    held = await wallets.of_customers(work, asked.caller, ids, MOST)
    theirs = await of_customers.theirs_alone(work, people)
    given = await of_rewards.came_into(work, [wallet.id for wallet in held])
    known_by = {*(person.recipient_id for person in people), *given.values()}
    shared = [each for each in known_by if each is not None and each not in theirs]
    own, more_own = await rewards.of_person(work, asked.caller, theirs, None, MOST)
    ours, more_ours = await rewards.of_person(work, asked.caller, shared, {wallet.id for wallet in held}, MOST)
    lines, more_lines = await wallets.statements(work, held, MOST)
    done, more_done = await activity.of_customers(work, asked.caller, ids, MOST)
    reached, more_reached = await progress.of_customers(work, asked.caller, ids, MOST)
    permissions = [await sharing.resource(work, asked, each) for each in ids]
    kinds = {
        "Wallet": await wallet_resource.resources(work, held),
        "WalletTransaction": lines,
        "Reward": [*own, *ours],
        "Activity": done,
        "ThresholdProgress": reached,
        "UserSharing": permissions,
    }
    cut = {
        "WalletTransaction": more_lines,
        "Reward": more_own or more_ours,
        "Activity": more_done,
        "ThresholdProgress": more_reached,
    }
    return kinds, [name for name, is_cut in cut.items() if is_cut]
