"""What activity says of a person who is erased: that somebody without a name did it."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from tallystick.base.work import Work
from tallystick.customers import Customer, lookup

ERASE: Final = """
update activities set payload_sealed = null, identity_kind = null, identity_index = null
where tenant_id = $1 and customer_id = any($2::uuid[]) and (payload_sealed is not null or identity_kind is not null)
"""

# What was told of them before anybody knew whose it is, and was never counted.
ERASE_UNKNOWN: Final = """
update activities set payload_sealed = null, identity_kind = null, identity_index = null
where tenant_id = $1 and identity_index = any($2::bytea[]) and customer_id is null and identity_index is not null
"""


async def erase(work: Work, people: Sequence[Customer], recipients: Collection[UUID], tokens: Sequence[bytes]) -> None:
    """Forget the senders' documents and by what name these customers were told of.

    `recipients` are those that are theirs alone: what was told of a phone of two may be of the other. `tokens` are
    the indexes of their cards.
    """
    await work.db.run(ERASE, work.tenant.id, [person.id for person in people])
    indexes = [
        lookup.identity_index(work, name)
        for person in people
        for name in lookup.names_of(person)
        if name.kind != "phone" or person.recipient_id in recipients
    ]
    await work.db.run(ERASE_UNKNOWN, work.tenant.id, [*indexes, *tokens])
