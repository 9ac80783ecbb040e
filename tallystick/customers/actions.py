"""Make a customer, change one, and hold one still while something is decided about them.

Locks go in the one order: the recipients, then the customers' rows.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import tallystick.customers.store as store
from tallystick import audit
from tallystick.base import idempotency, ids
from tallystick.base.errors import NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, Erased
from tallystick.base.keys import SubjectKey
from tallystick.base.work import Asked, Work
from tallystick.customers import member_code, recipients, resource
from tallystick.customers.model import CreateUser, Customer, ExternalIdTaken, Personal, canonical, refuse_new

CODE_DRAWS: Final = 8
"""Member codes drawn before we believe that something else is wrong: each has 50 random bits."""

_CREATED: Final = ("phone", "phone_verified", "email", "first_name", "last_name", "external_id")


async def create(work: Work, commands: Sequence[CreateUser]) -> list[Answer | Refusal]:
    """A new customer for each command. They have no wallet yet, so nothing is claimed."""
    return await idempotency.keyed(
        work,
        "users.create",
        commands,
        _create,
        fingerprint=lambda command: canonical(command, _CREATED),
        seal=UserSeal(),
        prepare=_hold_phones,
    )


async def hold(work: Work, customer_ids: Sequence[UUID], phones: Sequence[str] = ()) -> dict[UUID, Customer]:
    """The customers as they are, locked until the work ends, with their recipients and those of `phones`; unknown ids are absent.

    It makes nothing: a phone nobody was ever known by has nothing to lock.
    """
    known = await store.recipients_of(work, customer_ids) if customer_ids else set()
    wanted = set(known)
    for phone in set(phones):
        person = await recipients.find(work, phone)
        if person is not None:
            wanted.add(person.id)
    if wanted:
        await recipients.lock_by_ids(work, list(wanted))
    if not customer_ids:
        return {}
    held = await store.lock(work, customer_ids)
    # Whoever moved to another phone while we waited is locked there too. Out of order, hence perhaps a deadlock, which is retried.
    moved = {customer.recipient_id for customer in held.values() if customer.recipient_id is not None} - wanted
    if moved:
        await recipients.lock_by_ids(work, list(moved))
    return held


async def visible(work: Work, asked: Asked, user_id: UUID) -> Customer | None:
    """The customer, where the caller may see them."""
    customer = (await store.by_ids(work, [user_id])).get(user_id)
    return customer if customer is not None and customer.visible_to(asked.caller) else None


async def own(work: Work, asked: Asked, user_id: UUID) -> Customer | NotFound:
    """The customer, where the caller's partner made them; only then it may change them, whatever else it may see."""
    customer = (await store.by_ids(work, [user_id])).get(user_id)
    if customer is None or customer.partner_id != asked.caller.partner_id:
        return missing()
    return customer


def missing() -> NotFound:
    """The refusal for a user that is not there, or not the caller's."""
    return NotFound("No user has this id. Verify the id.")


async def write(work: Work, old: Customer, new: Customer) -> Customer | Refusal:
    """Write what became of a customer who is held; the customer as they are now, or the refusal, which leaves no trace."""
    if new == old:
        return old
    if new.external_id is not None and new.external_id != old.external_id:
        refusal = await _refuse_external_id(work, new)
        if refusal is not None:
            return refusal
    written = replace(new, version=old.version + 1, updated_at=work.now)
    await work.db.script("savepoint whole_customer")
    if new.personal.phone != old.personal.phone:
        written = replace(written, recipient_id=await _recipient(work, new.personal.phone))
    if await store.update(work, written) is not None:
        await work.db.script("rollback to savepoint whole_customer")
        return _external_id_taken()
    await work.db.script("release savepoint whole_customer")
    return written


class UserSeal:
    """Seals answers about a user under the user's own key."""

    async def seal(self, work: Work, resource_id: UUID, plain: bytes) -> bytes:
        return (await self._customer(work, resource_id)).key.seal(plain, resource_id.bytes)

    async def open(self, work: Work, resource_id: UUID, sealed: bytes) -> bytes:
        customer = await self._customer(work, resource_id)
        if customer.status == "erased":
            raise Erased("The user was erased. Nothing was done, and nothing is known of them any more.")
        return customer.key.open(sealed, resource_id.bytes)

    async def _customer(self, work: Work, user_id: UUID) -> Customer:
        return (await store.by_ids(work, [user_id]))[user_id]


async def _hold_phones(work: Work, commands: Sequence[CreateUser]) -> None:
    await hold(work, [], [command.phone for command in commands if command.phone is not None])


async def _create(work: Work, command: CreateUser) -> Answer | Refusal:
    refusal = refuse_new(command)
    if refusal is not None:
        return refusal
    customer_id = ids.new()
    plain, wrapped = work.keys.new_subject_key(store.key_place(customer_id))
    customer = _new(work, command, customer_id, SubjectKey(plain))
    if command.external_id is not None:
        refusal = await _refuse_external_id(work, customer)
        if refusal is not None:
            return refusal
    await work.db.script("savepoint whole_customer")
    customer = replace(customer, recipient_id=await _recipient(work, command.phone))
    if not await _insert(work, customer, wrapped):
        await work.db.script("rollback to savepoint whole_customer")
        return _external_id_taken()
    await work.db.script("release savepoint whole_customer")
    # Read back, since the member code may be a later draw.
    customer = (await store.by_ids(work, [customer.id]))[customer.id]
    audit.note(work, command.asked, status=201, resource_id=customer.id)
    return Answer(201, resource.document(customer), customer.id, f"{resource.USER.path}/{customer.id}")


def _new(work: Work, command: CreateUser, customer_id: UUID, key: SubjectKey) -> Customer:
    return Customer(
        id=customer_id,
        partner_id=command.asked.caller.partner_id,
        recipient_id=None,
        phone_verified_at=work.now if command.phone_verified else None,
        key=key,
        personal=Personal(command.phone, command.email, command.first_name, command.last_name),
        external_id=command.external_id,
        member_code=member_code.new(),
        status="active",
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )


async def _insert(work: Work, customer: Customer, wrapped: bytes) -> bool:
    """Whether the customer could be inserted; False when a rival was faster with the external id."""
    for _ in range(CODE_DRAWS):
        taken = await store.insert(work, customer, wrapped)
        if taken != "customers_by_member_code":
            return taken is None
        customer = replace(customer, member_code=member_code.new())
    raise AssertionError("every member code that was drawn is taken: the source of randomness is broken")


async def _recipient(work: Work, phone: str | None) -> UUID | None:
    return None if phone is None else (await recipients.lock(work, [phone]))[0].id


async def _refuse_external_id(work: Work, customer: Customer) -> Refusal | None:
    assert customer.external_id is not None, "only an external id can be taken"
    taken = await store.has_external_id(work, customer.partner_id, customer.external_id, customer.id)
    return _external_id_taken() if taken else None


def _external_id_taken() -> ExternalIdTaken:
    return ExternalIdTaken(
        "Another user of yours has this external id. Find them by filter[externalId], or use another id.",
        source=attribute("externalId"),
    )
