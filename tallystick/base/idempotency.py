"""Idempotency: the same key and the same request again is the first answer again, and nothing more.

A key is claimed before any other lock. A twin that raced waits for the claim, then reads the winner in a new statement. Keys,
effects and answers commit together; a refused request leaves no key. A key belongs to a partner, a tenant and an operation, so it
survives a change of credential, and is kept for ever; but an answer is repeated only to who may do at least what its asker could.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from tallystick.base.errors import IdempotencyConflict, Refusal, Source
from tallystick.base.work import Asked, Caller, Work

CLAIM = """
select partner_id, key, fingerprint, resource_id, status, answer_sealed
from keys_claim($1, $2, $3, $4, $5, $6, $7, $8)
"""

DELETE = """
delete from idempotency_keys as taken
using unnest($3::uuid[], $4::text[]) as refused (partner_id, key)
where taken.tenant_id = $1 and taken.operation = $2 and taken.partner_id = refused.partner_id and taken.key = refused.key
    and taken.partner_id = any($3) and taken.key = any($4)
"""

RENAME = """
update idempotency_keys as taken
set fingerprint = won.fingerprint, resource_id = won.resource_id
from unnest($3::uuid[], $4::text[], $5::bytea[], $6::uuid[]) as won (partner_id, key, fingerprint, resource_id)
where taken.tenant_id = $1 and taken.operation = $2 and taken.partner_id = won.partner_id and taken.key = won.key
    and taken.partner_id = any($3) and taken.key = any($4)
"""

ANSWER = """
update idempotency_keys set status = $5, answer_sealed = $6, resource_id = $7
where tenant_id = $1 and operation = $2 and partner_id = $3 and key = $4
"""


class Claim(msgspec.Struct, frozen=True):
    """A key that a command wants, with what it would stand for."""

    partner_id: UUID
    key: str
    fingerprint: bytes
    resource_id: UUID


@dataclass(frozen=True, slots=True)
class Taken:
    """A key that an earlier request holds."""

    fingerprint: bytes
    resource_id: UUID
    status: int
    answer_sealed: bytes | None


async def claim(
    work: Work, operation: str, claims: Sequence[Claim], *, status: int = 200
) -> dict[tuple[UUID, str], Taken]:
    """Claim the keys, the first of equal ones; the keys that earlier requests hold, by (partner, key)."""
    wanted = first_of_each(claims)
    rows = await work.db.rows(
        CLAIM,
        work.tenant.id,
        work.real_now,
        operation,
        status,
        [claim.partner_id for claim in wanted],
        [claim.key for claim in wanted],
        [claim.fingerprint for claim in wanted],
        [claim.resource_id for claim in wanted],
    )
    return {(row[0], row[1]): Taken(row[2], row[3], row[4], row[5]) for row in rows}


def first_of_each(claims: Sequence[Claim]) -> list[Claim]:
    """Each key once, as the first command wants it."""
    first: dict[tuple[UUID, str], Claim] = {}
    for claim in claims:
        first.setdefault((claim.partner_id, claim.key), claim)
    return list(first.values())


async def forget(work: Work, operation: str, names: Sequence[tuple[UUID, str]]) -> None:
    """Give back keys whose requests were refused."""
    if names:
        await work.db.run(
            DELETE, work.tenant.id, operation, [partner_id for partner_id, _ in names], [key for _, key in names]
        )


async def give_to(work: Work, operation: str, winners: Sequence[Claim]) -> None:
    """Let keys stand for a later command of the batch, since the first that wanted them was refused."""
    if winners:
        await work.db.run(
            RENAME,
            work.tenant.id,
            operation,
            [won.partner_id for won in winners],
            [won.key for won in winners],
            [won.fingerprint for won in winners],
            [won.resource_id for won in winners],
        )


async def settle(
    work: Work,
    operation: str,
    claims: Sequence[Claim],
    taken: Collection[tuple[UUID, str]],
    given: Collection[UUID],
) -> None:
    """Give back the keys of refused requests; one whose first request was refused may belong to a later twin that was not.

    `taken` are the keys that earlier requests hold, `given` the resources that this work made.
    """
    first: dict[tuple[UUID, str], Claim] = {}
    winner: dict[tuple[UUID, str], Claim] = {}
    for claim in claims:
        name = (claim.partner_id, claim.key)
        if name in taken:
            continue
        first.setdefault(name, claim)
        if claim.resource_id in given:
            winner[name] = claim
    await forget(work, operation, [name for name in first if name not in winner])
    await give_to(work, operation, [won for name, won in winner.items() if won is not first[name]])


class Keyed(Protocol):
    """A command of a write whose key is the `Idempotency-Key` header."""

    @property
    def asked(self) -> Asked: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a keyed write answers: remembered whole, sealed, and repeated byte for byte."""

    status: int
    body: bytes | None
    resource_id: UUID
    location: str | None = None
    replayed: bool = False


class Erased(Refusal):
    code, status, title = "Erased", 410, "The person was erased, and what was answered about them with them."


class Seal(Protocol):
    """Seals an answer under the key of the person it is about, and opens it again. Opening raises Erased where that key is gone."""

    async def seal(self, work: Work, resource_id: UUID, plain: bytes) -> bytes: ...
    async def open(self, work: Work, resource_id: UUID, sealed: bytes) -> bytes: ...


class HouseSeal:
    """Seals under the house's own key: for answers that are about no person."""

    async def seal(self, work: Work, resource_id: UUID, plain: bytes) -> bytes:
        return work.keys.seal(plain, resource_id.bytes)

    async def open(self, work: Work, resource_id: UUID, sealed: bytes) -> bytes:
        return work.keys.open_sealed(sealed, resource_id.bytes)


class _Kept(msgspec.Struct, array_like=True):
    """An answer as it is kept, and who was given it."""

    status: int
    body: bytes | None
    location: str | None
    scopes: frozenset[str]
    merchant_ids: frozenset[UUID] | None

    @classmethod
    def of(cls, answer: Answer, caller: Caller) -> "_Kept":
        merchants = None if caller.merchant_ids is None else frozenset(caller.merchant_ids)
        return cls(answer.status, answer.body, answer.location, caller.scopes, merchants)

    def is_for(self, caller: Caller) -> bool:
        """Whether the caller may do at least what the first asker could: then nothing is shown that it could not have had.

        The scope of the route was asked for at the door; what else an answer shows may hang on others. A token may have fewer
        than the credential that it was minted with.
        """
        if caller.merchant_ids is not None and (
            self.merchant_ids is None or not self.merchant_ids <= {*caller.merchant_ids}
        ):
            return False
        return self.scopes <= caller.scopes


K = TypeVar("K", bound=Keyed)


async def keyed(
    work: Work,
    operation: str,
    commands: Sequence[K],
    act: Callable[[Work, K], Awaitable[Answer | Refusal]],
    *,
    fingerprint: Callable[[K], bytes],
    seal: Seal,
    prepare: Callable[[Work, Sequence[K]], Awaitable[None]] | None = None,
) -> list[Answer | Refusal]:
    """Carry out rare writes one after another, each once for its key; commands without a key are just carried out.

    `fingerprint` is the canonical request; `act` decides before it writes, so that a refusal leaves no row; `prepare` takes the
    locks of all of them in the one order, before the first is carried out.
    """
    named = [_claim_of(work, command, fingerprint) for command in commands]
    wanted_keys = [wanted for wanted in named if wanted is not None]
    taken = await claim(work, operation, wanted_keys) if wanted_keys else {}
    if prepare is not None:
        await prepare(work, commands)
    outcomes: list[Answer | Refusal] = []
    remembered: dict[tuple[UUID, str], tuple[bytes, UUID, _Kept]] = {}
    for command, wanted in zip(commands, named, strict=True):
        if wanted is None:
            outcomes.append(await act(work, command))
            continue
        name = (wanted.partner_id, wanted.key)
        if name in taken:
            outcomes.append(await _replay(work, taken[name], wanted, command.asked.caller, seal))
        elif name in remembered:
            print_, resource_id, kept = remembered[name]
            twin = print_ == wanted.fingerprint
            outcomes.append(_repeated(kept, resource_id, command.asked.caller) if twin else conflict(KEY_HEADER))
        else:
            outcome = await act(work, command)
            outcomes.append(outcome)
            if isinstance(outcome, Answer):
                kept = _Kept.of(outcome, command.asked.caller)
                remembered[name] = (wanted.fingerprint, outcome.resource_id, kept)
                await _remember(work, operation, wanted, outcome.resource_id, kept, seal)
    wanted_names = {(wanted.partner_id, wanted.key) for wanted in named if wanted is not None}
    await forget(work, operation, [name for name in wanted_names if name not in taken and name not in remembered])
    return outcomes


def conflict(source: Source) -> IdempotencyConflict:
    """The refusal for a key that stands for another request."""
    return IdempotencyConflict(
        "This idempotency key was used with a different request. Use a new key, or resend exactly the first request.",
        source=source,
    )


KEY_HEADER = Source("header", "Idempotency-Key")


def _claim_of(work: Work, command: K, fingerprint: Callable[[K], bytes]) -> Claim | None:
    asked = command.asked
    if asked.key is None:
        return None
    # The resource is named when the write is done; until then the key stands for the request itself.
    print_ = work.keys.fingerprint(work.tenant.id, fingerprint(command))
    return Claim(asked.caller.partner_id, asked.key, print_, asked.request_id)


async def _replay(work: Work, taken: Taken, wanted: Claim, caller: Caller, seal: Seal) -> Answer | Refusal:
    if taken.fingerprint != wanted.fingerprint:
        return conflict(KEY_HEADER)
    assert taken.answer_sealed is not None, "a committed key of a keyed write has its answer"
    try:
        opened = await seal.open(work, taken.resource_id, taken.answer_sealed)
    except Erased as erased:
        return erased
    return _repeated(msgspec.msgpack.decode(opened, type=_Kept), taken.resource_id, caller)


def _repeated(kept: _Kept, resource_id: UUID, caller: Caller) -> Answer | Refusal:
    if not kept.is_for(caller):
        return IdempotencyConflict(
            "This idempotency key was used with a credential that may do more than yours. Repeat the request with that one, or "
            "with one that has its scopes and merchants.",
            source=KEY_HEADER,
        )
    return Answer(kept.status, kept.body, resource_id, kept.location, replayed=True)


async def _remember(work: Work, operation: str, wanted: Claim, resource_id: UUID, kept: _Kept, seal: Seal) -> None:
    # The fingerprint may be a later twin's, when the first that wanted the key was refused.
    await give_to(work, operation, [Claim(wanted.partner_id, wanted.key, wanted.fingerprint, resource_id)])
    sealed = await seal.seal(work, resource_id, msgspec.msgpack.encode(kept))
    await work.db.run(
        ANSWER, work.tenant.id, operation, wanted.partner_id, wanted.key, kept.status, sealed, resource_id
    )
