"""Every statement on `customers` and `phone_codes`. What is personal is sealed on the way in and opened on the way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from tallystick.base.db import Row
from tallystick.base.keys import SubjectKey
from tallystick.base.work import Work
from tallystick.customers.model import Customer, Merge, Personal

COLUMNS = """id, partner_id, recipient_id, phone_verified_at, key_wrapped, personal_sealed, external_id, member_code, status,
    version, created_at, updated_at, merged_into"""

INSERT = """
insert into customers (
    tenant_id, id, partner_id, recipient_id, phone_verified_at, key_wrapped, personal_sealed, external_id, member_code,
    created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
"""

UPDATE = """
update customers
set recipient_id = $3, phone_verified_at = $4, personal_sealed = $5, external_id = $6, version = $7, updated_at = $8
where tenant_id = $1 and id = $2
"""

WITH_IDS = "from customers where tenant_id = $1 and id = any($2::uuid[])"

BY_IDS = f"select {COLUMNS} {WITH_IDS}"

LOCK = f"{BY_IDS} order by id for update"

RECIPIENTS_OF = """
select recipient_id from customers where tenant_id = $1 and id = any($2::uuid[]) and recipient_id is not null
"""

IDS_OF_RECIPIENT = "select id from customers where tenant_id = $1 and recipient_id = $2"

HAS_EXTERNAL_ID = """
select exists (select 1 from customers where tenant_id = $1 and partner_id = $2 and external_id = $3 and id <> $4)
"""

# Two statements, each with an index of its own, instead of one whose plan would have to guess which filter was given.
OF_RECIPIENT = """
from customers
where tenant_id = $1 and recipient_id = $2 and ($3::uuid is null or partner_id = $3) and ($4::text is null or external_id = $4)
"""
COUNT_OF_RECIPIENT = f"select count(*) {OF_RECIPIENT}"
LIST_OF_RECIPIENT = f"select {COLUMNS} {OF_RECIPIENT} order by created_at desc, id desc offset $5 limit $6"

# The unique index leads with the partner, so a caller that sees the programme names every partner in it.
OF_EXTERNAL_ID = """
from customers
where tenant_id = $1 and external_id = $2
    and partner_id = any(case when $3::uuid is not null then array[$3] else array(
        select a.partner_id from agreements as a where a.programme_id = $4
    ) end)
"""
COUNT_OF_EXTERNAL_ID = f"select count(*) {OF_EXTERNAL_ID}"
LIST_OF_EXTERNAL_ID = f"select {COLUMNS} {OF_EXTERNAL_ID} order by created_at desc, id desc offset $5 limit $6"

OF_MEMBER_CODE = """
from customers
where tenant_id = $1 and member_code = $2 and ($3::uuid is null or partner_id = $3)
    and ($4::uuid is null or recipient_id = $4) and ($5::text is null or external_id = $5)
"""
COUNT_OF_MEMBER_CODE = f"select count(*) {OF_MEMBER_CODE}"
LIST_OF_MEMBER_CODE = f"select {COLUMNS} {OF_MEMBER_CODE} offset $6 limit $7"

BY_MEMBER_CODES = """
select member_code, id, status, merged_into from customers where tenant_id = $1 and member_code = any($2::text[])
"""

SUCCESSION = f"select id, status, merged_into {WITH_IDS}"

SET_STATUS = """
update customers set status = $3, merged_into = $4, version = $5, updated_at = $6 where tenant_id = $1 and id = $2
"""

INSERT_MERGE = """
insert into customer_merges (tenant_id, id, customer_id, into_customer_id, merged_at) values ($1, $2, $3, $4, $5)
"""

OPEN_MERGES = """
select id, customer_id, into_customer_id, merged_at, undone_at
from customer_merges
where tenant_id = $1 and customer_id = any($2::uuid[]) and undone_at is null
"""

UNDO_MERGE = "update customer_merges set undone_at = $3 where tenant_id = $1 and id = $2"

# An earlier code ends when the next one is sent, so that there is never more than one to guess at.
END_CODES = """
update phone_codes set expires_at = $3
where tenant_id = $1 and customer_id = $2 and used_at is null and expires_at > $3
"""

INSERT_CODE = """
insert into phone_codes (tenant_id, id, customer_id, recipient_id, digest, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""

OPEN_CODE = """
select id, recipient_id, digest, tries
from phone_codes
where tenant_id = $1 and customer_id = $2 and used_at is null and expires_at > $3
"""

TRY_CODE = "update phone_codes set tries = tries + 1, used_at = $3 where tenant_id = $1 and id = $2"

SENT_SINCE = """
select created_at from phone_codes where tenant_id = $1 and recipient_id = $2 and created_at > $3 order by created_at
"""


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code that is neither used nor expired."""

    id: UUID
    recipient_id: UUID
    digest: bytes
    tries: int


async def insert(work: Work, customer: Customer, key_wrapped: bytes) -> str | None:
    """Insert a new customer; the name of the unique index that forbids it, or None."""
    return await _unless_taken(
        work,
        INSERT,
        work.tenant.id,
        customer.id,
        customer.partner_id,
        customer.recipient_id,
        customer.phone_verified_at,
        key_wrapped,
        _sealed(customer),
        customer.external_id,
        customer.member_code,
        work.now,
    )


async def update(work: Work, customer: Customer) -> str | None:
    """Write a customer as they are now; the name of the unique index that forbids it, or None."""
    return await _unless_taken(
        work,
        UPDATE,
        work.tenant.id,
        customer.id,
        customer.recipient_id,
        customer.phone_verified_at,
        _sealed(customer),
        customer.external_id,
        customer.version,
        customer.updated_at,
    )


async def by_ids(work: Work, customer_ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Customers by id, for reading; unknown ids are absent."""
    return {row[0]: _opened(work, row) for row in await work.db.rows(BY_IDS, work.tenant.id, customer_ids)}


async def lock(work: Work, customer_ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Customers by id, locked until the work ends; after their recipients."""
    return {row[0]: _opened(work, row) for row in await work.db.rows(LOCK, work.tenant.id, customer_ids)}


async def recipients_of(work: Work, customer_ids: Sequence[UUID]) -> set[UUID]:
    """The recipients that these customers are known by."""
    return {row[0] for row in await work.db.rows(RECIPIENTS_OF, work.tenant.id, customer_ids)}


async def ids_of_recipient(work: Work, recipient_id: UUID) -> list[UUID]:
    """The customers that one recipient is known as."""
    return [row[0] for row in await work.db.rows(IDS_OF_RECIPIENT, work.tenant.id, recipient_id)]


async def has_external_id(work: Work, partner_id: UUID, external_id: str, but: UUID) -> bool:
    """Whether another customer of the partner has this external id."""
    return bool(await work.db.value(HAS_EXTERNAL_ID, work.tenant.id, partner_id, external_id, but))


async def listed_by_recipient(
    work: Work, recipient_id: UUID, external_id: str | None, partner_id: UUID | None, offset: int, limit: int
) -> tuple[list[Customer], int]:
    """One page of the customers of a recipient, newest first, and how many there are; of one partner unless None."""
    wanted = (work.tenant.id, recipient_id, partner_id, external_id)
    total: int = await work.db.value(COUNT_OF_RECIPIENT, *wanted)
    rows = await work.db.rows(LIST_OF_RECIPIENT, *wanted, offset, limit) if offset < total else []
    return [_opened(work, row) for row in rows], total


async def listed_by_external_id(
    work: Work, external_id: str, partner_id: UUID | None, offset: int, limit: int
) -> tuple[list[Customer], int]:
    """One page of the customers with an external id, newest first, and how many there are; of one partner unless None."""
    wanted = (work.tenant.id, external_id, partner_id, work.tenant.programme_id)
    total: int = await work.db.value(COUNT_OF_EXTERNAL_ID, *wanted)
    rows = await work.db.rows(LIST_OF_EXTERNAL_ID, *wanted, offset, limit) if offset < total else []
    return [_opened(work, row) for row in rows], total


async def listed_by_member_code(
    work: Work,
    member_code: str,
    partner_id: UUID | None,
    recipient_id: UUID | None,
    external_id: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Customer], int]:
    """The customer with a member code, as a page, where they have the recipient and the external id too, unless None."""
    wanted = (work.tenant.id, member_code, partner_id, recipient_id, external_id)
    total: int = await work.db.value(COUNT_OF_MEMBER_CODE, *wanted)
    rows = await work.db.rows(LIST_OF_MEMBER_CODE, *wanted, offset, limit) if offset < total else []
    return [_opened(work, row) for row in rows], total


async def by_member_codes(work: Work, codes: Sequence[str]) -> dict[str, tuple[UUID, str, UUID | None]]:
    """The id, the status and the successor of whoever has each member code; unknown ones are absent."""
    rows = await work.db.rows(BY_MEMBER_CODES, work.tenant.id, codes)
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def succession(work: Work, customer_ids: Sequence[UUID]) -> dict[UUID, tuple[str, UUID | None]]:
    """The status and the successor of these customers."""
    return {row[0]: (row[1], row[2]) for row in await work.db.rows(SUCCESSION, work.tenant.id, customer_ids)}


async def set_status(work: Work, customer: Customer) -> None:
    """Write the status, the successor and the version that a locked customer has now."""
    await work.db.run(
        SET_STATUS,
        work.tenant.id,
        customer.id,
        customer.status,
        customer.merged_into,
        customer.version,
        customer.updated_at,
    )


async def insert_merge(work: Work, merge: Merge) -> None:
    """Keep that two customers turned out to be one."""
    await work.db.run(
        INSERT_MERGE, work.tenant.id, merge.id, merge.customer_id, merge.into_customer_id, merge.merged_at
    )


async def open_merges(work: Work, customer_ids: Sequence[UUID]) -> dict[UUID, Merge]:
    """The merge that each of these customers is in, by customer; those that are in none are absent."""
    return {row[1]: Merge(*row) for row in await work.db.rows(OPEN_MERGES, work.tenant.id, customer_ids)}


async def undo_merge(work: Work, merge_id: UUID) -> None:
    """Keep that a merge is undone."""
    await work.db.run(UNDO_MERGE, work.tenant.id, merge_id, work.now)


async def end_codes(work: Work, customer_id: UUID) -> None:
    """End the codes that a customer was sent and has not used."""
    await work.db.run(END_CODES, work.tenant.id, customer_id, work.real_now)


async def insert_code(
    work: Work, code_id: UUID, customer_id: UUID, recipient_id: UUID, digest: bytes, expires_at: datetime
) -> None:
    """Keep the digest of a code that is on its way."""
    await work.db.run(
        INSERT_CODE, work.tenant.id, code_id, customer_id, recipient_id, digest, work.real_now, expires_at
    )


async def open_code(work: Work, customer_id: UUID) -> Code | None:
    """The code that the customer may still use."""
    row = await work.db.row(OPEN_CODE, work.tenant.id, customer_id, work.real_now)
    return None if row is None else Code(*row)


async def try_code(work: Work, code_id: UUID, *, used: bool) -> None:
    """Count one try, and mark the code used where it was right."""
    await work.db.run(TRY_CODE, work.tenant.id, code_id, work.real_now if used else None)


async def sent_since(work: Work, recipient_id: UUID, since: datetime) -> list[datetime]:
    """When codes were sent to a phone after an instant, earliest first."""
    return [row[0] for row in await work.db.rows(SENT_SINCE, work.tenant.id, recipient_id, since)]


async def _unless_taken(work: Work, sql: str, *args: object) -> str | None:
    await work.db.script("savepoint unless_taken")
    try:
        await work.db.run(sql, *args)
    except asyncpg.UniqueViolationError as error:
        await work.db.script("rollback to savepoint unless_taken")
        name: str | None = error.constraint_name
        assert name is not None, "a unique index has a name"
        return name
    await work.db.script("release savepoint unless_taken")
    return None


def key_place(customer_id: UUID) -> bytes:
    """What a customer's wrapped key is bound to."""
    return customer_id.bytes


def _sealed(customer: Customer) -> bytes:
    return customer.key.seal(msgspec.json.encode(customer.personal), customer.id.bytes)


def _opened(work: Work, row: Row) -> Customer:
    key: SubjectKey = work.keys.unwrap(row[4], key_place(row[0]))
    personal = Personal() if row[5] is None else msgspec.json.decode(key.open(row[5], row[0].bytes), type=Personal)
    return Customer(row[0], row[1], row[2], row[3], key, personal, *list(row)[6:])
