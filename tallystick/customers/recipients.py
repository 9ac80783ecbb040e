"""Recipients: people known by a phone number, before and after they are customers.

A recipient's row is the lock that issuing, opening, closing and claiming share, so that two of them can never decide on the
same person at once. Its key seals everything personal about them: destroying the key erases the person, and the books stay whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tallystick.base import ids
from tallystick.base.keys import SubjectKey
from tallystick.base.work import Work

LOCK = """
select phone_index, id, key_wrapped
from recipients_lock($1, $2, $3, $4, $5, $6)
"""

FORGET = "delete from recipients where tenant_id = $1 and id = any($2::uuid[])"

LOCK_BY_ID = """
select id, phone_index, key_wrapped, phone_sealed
from recipients
where tenant_id = $1 and id = any($2::uuid[])
order by phone_index
for update
"""

BY_PHONE = "select id, key_wrapped from recipients where tenant_id = $1 and phone_index = $2"

BY_IDS = "select id, key_wrapped, phone_sealed from recipients where tenant_id = $1 and id = any($2::uuid[])"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person by phone: the phone in E.164 and the key that seals what is personal."""

    id: UUID
    phone: str
    key: SubjectKey


@dataclass(frozen=True, slots=True)
class Candidates:
    """What each phone's recipient would be, should nobody know it yet: made before the database is asked, to ask it once."""

    phones: list[str]
    indexes: list[bytes]
    ids: list[UUID]
    keys: list[bytes]
    wrapped: list[bytes]
    sealed: list[bytes]

    @classmethod
    def of(cls, work: Work, phones: Sequence[str]) -> "Candidates":
        made = cls(list(dict.fromkeys(phones)), [], [], [], [], [])
        for phone in made.phones:
            recipient_id = ids.new()
            plain, wrapping = work.keys.new_subject_key(recipient_id.bytes)
            made.indexes.append(work.keys.blind_index(work.tenant.id, phone))
            made.ids.append(recipient_id)
            made.keys.append(plain)
            made.wrapped.append(wrapping)
            made.sealed.append(SubjectKey(plain).seal(phone.encode(), recipient_id.bytes))
        return made

    def columns(self) -> tuple[list[bytes], list[UUID], list[bytes], list[bytes]]:
        """What `recipients_lock` takes: index, id, wrapped key and sealed phone of each."""
        return self.indexes, self.ids, self.wrapped, self.sealed

    def known(
        self, work: Work, indexes: Sequence[bytes], recipient_ids: Sequence[UUID], wrapped: Sequence[bytes]
    ) -> dict[str, Recipient]:
        """The recipients by phone, now that the database has said who they are."""
        place = {index: n for n, index in enumerate(self.indexes)}
        found: dict[str, Recipient] = {}
        for index, recipient_id, wrapping in zip(indexes, recipient_ids, wrapped, strict=True):
            n = place[index]
            key = (
                SubjectKey(self.keys[n])
                if recipient_id == self.ids[n]
                else work.keys.unwrap(wrapping, recipient_id.bytes)
            )
            found[self.phones[n]] = Recipient(recipient_id, self.phones[n], key)
        return found


async def forget(work: Work, recipient_ids: Sequence[UUID]) -> None:
    """Take back recipients that this same work made and nothing has named."""
    await work.db.run(FORGET, work.tenant.id, recipient_ids)


async def lock(work: Work, phones: Sequence[str]) -> list[Recipient]:
    """The recipients of these E.164 phones, in the order asked, made where missing, locked until the work ends."""
    wanted = Candidates.of(work, phones)
    rows = await work.db.rows(LOCK, work.tenant.id, work.now, *wanted.columns())
    known = wanted.known(work, *([row[n] for row in rows] for n in range(3)))
    return [known[phone] for phone in phones]


async def lock_by_ids(work: Work, recipient_ids: Sequence[UUID]) -> dict[UUID, Recipient]:
    """The recipients with these ids, locked until the work ends; unknown ids are absent."""
    rows = await work.db.rows(LOCK_BY_ID, work.tenant.id, list(set(recipient_ids)))
    return {row[0]: _opened(work, row[0], row[2], row[3]) for row in rows}


async def find(work: Work, phone: str) -> Recipient | None:
    """The recipient of an E.164 phone, for reading; None when nobody was ever known by it."""
    row = await work.db.row(BY_PHONE, work.tenant.id, work.keys.blind_index(work.tenant.id, phone))
    return None if row is None else Recipient(row[0], phone, work.keys.unwrap(row[1], row[0].bytes))


async def by_ids(work: Work, recipient_ids: Sequence[UUID]) -> dict[UUID, Recipient]:
    """The recipients with these ids, for reading; unknown ids are absent."""
    rows = await work.db.rows(BY_IDS, work.tenant.id, list(set(recipient_ids)))
    return {row[0]: _opened(work, row[0], row[1], row[2]) for row in rows}


def _opened(work: Work, recipient_id: UUID, wrapped: bytes, sealed: bytes) -> Recipient:
    key = work.keys.unwrap(wrapped, recipient_id.bytes)
    return Recipient(recipient_id, key.open(sealed, recipient_id.bytes).decode(), key)


async def keys_of(work: Work, recipient_ids: Sequence[UUID]) -> dict[UUID, SubjectKey]:
    """The keys of recipients by id; whoever was erased is absent."""
    return {name: person.key for name, person in (await by_ids(work, recipient_ids)).items()}
