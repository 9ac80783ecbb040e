"""Erase a person: their key is destroyed, and with it what was sealed under it; whatever finds them by a name is forgotten.

What stays is a row without a name, so that the books' random ids lead to somebody who was erased and not to nobody.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import tallystick.customers.store as store
from tallystick.base.keys import SubjectKey
from tallystick.base.work import Work
from tallystick.customers import member_code
from tallystick.customers.model import Customer, Personal

INDEX_BYTES: Final = 32

MERGED_INTO: Final = """
select id from customers where tenant_id = $1 and merged_into = any($2::uuid[]) and merged_into is not null
"""

ERASE: Final = """
update customers
set recipient_id = null, phone_verified_at = null, key_wrapped = $3, personal_sealed = null, external_id = null, member_code = $4,
    status = 'erased', erased_because = $6, version = version + 1, updated_at = $5
where tenant_id = $1 and id = $2
"""

BECAUSE: Final = "select erased_because from customers where tenant_id = $1 and id = $2"

END_CODES: Final = """
update phone_codes set expires_at = $3
where tenant_id = $1 and customer_id = any($2::uuid[]) and used_at is null and expires_at > $3
"""

CARDS: Final = "select token_index from card_tokens where tenant_id = $1 and customer_id = any($2::uuid[])"

FORGET_CARDS: Final = "delete from card_tokens where tenant_id = $1 and customer_id = any($2::uuid[])"

WITHDRAW: Final = """
update data_permissions set withdrawn_at = $3
where tenant_id = $1 and customer_id = any($2::uuid[]) and withdrawn_at is null
"""

OF_OTHERS: Final = """
select distinct recipient_id from customers
where tenant_id = $1 and recipient_id = any($2::uuid[]) and id <> all($3::uuid[]) and status <> 'erased'
"""

ERASE_RECIPIENT: Final = """
update recipients set phone_index = $3, key_wrapped = $4, phone_sealed = $5 where tenant_id = $1 and id = $2
"""


async def family(work: Work, customer_id: UUID) -> list[UUID]:
    """The customer, and everybody who turned out to be them, however many merges ago."""
    known = fresh = [customer_id]
    while fresh:
        found = [row[0] for row in await work.db.rows(MERGED_INTO, work.tenant.id, fresh)]
        fresh = [each for each in found if each not in known]
        known = [*known, *fresh]
    return known


async def theirs_alone(work: Work, people: Sequence[Customer], once: Collection[UUID] = ()) -> list[UUID]:
    """The recipients that these held customers are known by, or were `once`, and nobody else who is not erased."""
    wanted = {person.recipient_id for person in people if person.recipient_id is not None}.union(once)
    known = [person.id for person in people]
    shared = {row[0] for row in await work.db.rows(OF_OTHERS, work.tenant.id, list(wanted), known)} if wanted else set()
    return sorted(wanted - shared)


async def erase(
    work: Work, people: Sequence[Customer], recipient_ids: Sequence[UUID], reason: str
) -> dict[UUID, Customer]:
    """Erase held customers, and recipients that are theirs alone; what is left of each customer."""
    after: dict[UUID, Customer] = {}
    for person in people:
        plain, wrapped = work.keys.new_subject_key(store.key_place(person.id))
        code = member_code.new()
        await work.db.run(ERASE, work.tenant.id, person.id, wrapped, code, work.now, reason)
        after[person.id] = replace(
            person,
            recipient_id=None,
            phone_verified_at=None,
            key=SubjectKey(plain),
            personal=Personal(),
            external_id=None,
            member_code=code,
            status="erased",
            version=person.version + 1,
            updated_at=work.now,
        )
    ids = list(after)
    await work.db.run(END_CODES, work.tenant.id, ids, work.real_now)
    await work.db.run(FORGET_CARDS, work.tenant.id, ids)
    await work.db.run(WITHDRAW, work.tenant.id, ids, work.now)
    for recipient_id in recipient_ids:
        # An index that no phone has: whoever has the phone next is somebody new.
        plain, wrapped = work.keys.new_subject_key(recipient_id.bytes)
        sealed = SubjectKey(plain).seal(b"", recipient_id.bytes)
        await work.db.run(ERASE_RECIPIENT, work.tenant.id, recipient_id, os.urandom(INDEX_BYTES), wrapped, sealed)
    return after


async def because(work: Work, customer_id: UUID) -> str | None:
    """Why somebody was erased; None of who is not."""
    reason: str | None = await work.db.value(BECAUSE, work.tenant.id, customer_id)
    return reason


async def tokens(work: Work, people: Sequence[Customer]) -> list[bytes]:
    """What stands for the payment cards of these customers."""
    return [row[0] for row in await work.db.rows(CARDS, work.tenant.id, [person.id for person in people])]
