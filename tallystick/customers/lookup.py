"""Customers by whatever a partner names them by: all of a batch at once, one statement for each kind of name."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

import tallystick.customers.store as store
from tallystick.base import ids
from tallystick.base.work import NOBODY, Work
from tallystick.customers import merging, recipients
from tallystick.customers.model import Customer

NameKind = Literal["userId", "phone", "externalId", "memberCode", "cardToken"]
DataKind = Literal["transactions", "visits", "orders"]

# The verified of one phone come first, the oldest of them before the others.
OF_PHONES: Final = """
select r.phone_index, c.id, c.phone_verified_at is not null
from recipients as r
join customers as c on c.tenant_id = $1 and c.recipient_id = r.id and c.status = 'active'
where r.tenant_id = $1 and r.phone_index = any($2::bytea[])
order by r.phone_index, c.phone_verified_at is null, c.created_at, c.id
"""

# Fenced, so that each name is one probe of the unique index, however young the table is.
OF_EXTERNAL_IDS: Final = """
select c.partner_id, c.external_id, c.id, c.status = 'active'
from unnest($2::uuid[], $3::text[]) as named (partner_id, external_id)
cross join lateral (
    select held.partner_id, held.external_id, held.id, held.status from customers as held
    where held.tenant_id = $1 and held.partner_id = named.partner_id and held.external_id = named.external_id
    offset 0
) as c
"""

OF_TOKENS: Final = """
select t.token_index, t.customer_id from card_tokens as t where t.tenant_id = $1 and t.partner_id = any($2::uuid[])
    and t.token_index = any($3::bytea[])
"""

PERMITTED: Final = """
select customer_id from data_permissions
where tenant_id = $1 and customer_id = any($2::uuid[]) and partner_id = $3 and kind = $4 and withdrawn_at is null
"""

PHONES: Final = """
select c.id, c.recipient_id from customers as c
where c.tenant_id = $1 and c.id = any($2::uuid[]) and c.recipient_id is not null and c.status = 'active'
"""


class KnownBy(msgspec.Struct, frozen=True):
    """What a partner names a customer by. A phone is in E.164; external ids and card tokens are the partner's own."""

    partner_id: UUID
    kind: NameKind
    value: str


Found = tuple[UUID, bool]
"""Whom a name leads to, and whether they were seen to be active; who was not may have been merged into another."""


def names_of(person: Customer) -> list[KnownBy]:
    """Every name by which a partner may have told of a customer, but for cards, which are kept as their index alone."""
    names = [KnownBy(NOBODY, "memberCode", person.member_code), KnownBy(NOBODY, "userId", str(person.id))]
    if person.personal.phone is not None:
        names.append(KnownBy(NOBODY, "phone", person.personal.phone))
    if person.external_id is not None:
        names.append(KnownBy(person.partner_id, "externalId", person.external_id))
    return names


def identity_index(work: Work, name: KnownBy) -> bytes:
    """What stands for a name while nobody is known by it: keyed, so that it tells nothing, and the same for the same name."""
    return work.keys.blind_index(work.tenant.id, f"{name.kind}:{_scope(name)}:{name.value}")


def token_index(work: Work, partner_id: UUID, token: str) -> bytes:
    """The keyed index of a payment card's token."""
    return identity_index(work, KnownBy(partner_id, "cardToken", token))


async def known_by(work: Work, names: Sequence[KnownBy]) -> list[UUID | None]:
    """The active customer of each name, in their order: who has it, or whom they were merged into; None: nobody, or several.

    Of several customers of one phone it is the verified one that is oldest, or the only one.
    """
    found: dict[KnownBy, Found] = {}
    of_kind: dict[NameKind, list[KnownBy]] = {}
    for name in dict.fromkeys(names):
        of_kind.setdefault(name.kind, []).append(name)
    for name in of_kind.get("userId", ()):
        user_id = ids.parse(name.value)
        if user_id is not None:
            found[name] = (user_id, False)
    found |= await _of_phones(work, of_kind.get("phone", ()))
    found |= await _of_external_ids(work, of_kind.get("externalId", ()))
    found |= await _of_member_codes(work, of_kind.get("memberCode", ()))
    found |= await _of_tokens(work, of_kind.get("cardToken", ()))
    living = {customer_id: customer_id for customer_id, is_active in found.values() if is_active}
    living |= await survivors(work, [customer_id for customer_id, _ in found.values() if customer_id not in living])
    return [None if name not in found else living.get(found[name][0]) for name in names]


async def survivors(work: Work, customer_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Who each customer is now: themselves while active, or whom they were merged into; unknown and erased ones are absent."""
    living: dict[UUID, UUID] = {}
    origins = {customer_id: [customer_id] for customer_id in customer_ids}
    while origins:
        known = await store.succession(work, list(origins))
        following: dict[UUID, list[UUID]] = {}
        for customer_id, (status, into) in known.items():
            if status == "active":
                living |= dict.fromkeys(origins[customer_id], customer_id)
            elif into is not None:
                following.setdefault(into, []).extend(origins[customer_id])
        origins = following
    return living


async def permitted(work: Work, partner_id: UUID, kind: DataKind, customer_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the customers who let this partner send such data of them."""
    if not customer_ids:
        return set()
    return {row[0] for row in await work.db.rows(PERMITTED, work.tenant.id, customer_ids, partner_id, kind)}


async def phones_of(work: Work, customer_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The phones, in E.164, of active customers; who has none is absent."""
    rows = await work.db.rows(PHONES, work.tenant.id, customer_ids) if customer_ids else []
    known = await recipients.by_ids(work, [row[1] for row in rows]) if rows else {}
    return {row[0]: known[row[1]].phone for row in rows if row[1] in known}


def _scope(name: KnownBy) -> str:
    """Whose names these are: a phone and a member code mean the same to everyone."""
    return str(name.partner_id) if name.kind in ("externalId", "cardToken") else ""


async def _of_phones(work: Work, names: Sequence[KnownBy]) -> dict[KnownBy, Found]:
    if not names:
        return {}
    indexes = {name: work.keys.blind_index(work.tenant.id, name.value) for name in names}
    people: dict[bytes, list[tuple[UUID, bool]]] = {}
    for row in await work.db.rows(OF_PHONES, work.tenant.id, list(set(indexes.values()))):
        people.setdefault(row[0], []).append((row[1], row[2]))
    chosen = {index: of[0][0] for index, of in people.items() if of[0][1] or len(of) == 1}
    return {name: (chosen[index], True) for name, index in indexes.items() if index in chosen}


async def _of_external_ids(work: Work, names: Sequence[KnownBy]) -> dict[KnownBy, Found]:
    if not names:
        return {}
    columns = [name.partner_id for name in names], [name.value for name in names]
    rows = await work.db.rows(OF_EXTERNAL_IDS, work.tenant.id, *columns)
    return {KnownBy(row[0], "externalId", row[1]): (row[2], row[3]) for row in rows}


async def _of_member_codes(work: Work, names: Sequence[KnownBy]) -> dict[KnownBy, Found]:
    known = await merging.of_member_codes(work, list({name.value for name in names})) if names else {}
    return {name: (known[name.value], False) for name in names if name.value in known}


async def _of_tokens(work: Work, names: Sequence[KnownBy]) -> dict[KnownBy, Found]:
    if not names:
        return {}
    indexes = {identity_index(work, name): name for name in names}
    partners = list({name.partner_id for name in names})
    rows = await work.db.rows(OF_TOKENS, work.tenant.id, partners, list(indexes))
    return {indexes[row[0]]: (row[1], False) for row in rows}
