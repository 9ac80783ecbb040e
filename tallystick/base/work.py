"""Work: one transaction, for one tenant, at one instant. The first parameter of everything that reads or writes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from tallystick.base.db import Db, Pool, Step
from tallystick.base.keys import MasterKeys

Environment = Literal["sandbox", "production"]

NOBODY: Final = UUID(int=0)
"""The programme, tenant and partner of who belongs to none: an operator of the house."""

OPERATOR: Final = "operator"
"""The scope of every route under /admin. Operators have it, and no client can."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """The owner of one set of books: a programme in one environment."""

    id: UUID
    programme_id: UUID
    environment: Environment


Policy = Literal["all", "consented", "none"]


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """Whose data of each kind a partner may send, by its agreement: everyone's, of those who permitted it, or nobody's."""

    transactions: Policy = "all"
    visits: Policy = "all"
    orders: Policy = "all"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a client of one partner, in one tenant, with what it may do there."""

    tenant: Tenant
    partner_id: UUID
    client_id: UUID
    scopes: frozenset[str]
    merchant_ids: tuple[UUID, ...] | None
    """The merchants it may act for; None: every merchant of the programme."""
    sees_programme: bool
    """Whether its agreement shows it what other partners of the programme made."""
    rate_per_minute: int
    rate_burst: int
    data_policy: DataPolicy = DataPolicy()

    @classmethod
    def behind(cls, tenant: Tenant, partner_id: UUID, client_id: UUID) -> "Caller":
        """Who stands behind what the house does by itself: bound to no merchant, as what is done was allowed when it was asked
        for, and with no scope, as nobody asks for anything more.
        """
        return cls(
            tenant, partner_id, client_id, frozenset(), None, sees_programme=False, rate_per_minute=1, rate_burst=1
        )


class Asked(msgspec.Struct, frozen=True):
    """One request of a caller; travels with each command, since one batch serves many."""

    caller: Caller
    request_id: UUID
    method: str
    route: str
    key: str | None = None
    """The Idempotency-Key header, for writes whose resource has no such attribute."""


class Contended(Exception):
    """What this work had decided by has changed since: it is undone, and to be carried out anew as a whole."""


@dataclass(slots=True)
class Work:
    """One transaction. What its verbs collect in `recorded`, `logged` and `counted` is written by the closing statements."""

    db: Db
    tenant: Tenant
    now: datetime
    """The tenant's instant: real time, or a sandbox's own clock. Business time, everywhere."""
    real_now: datetime
    """Real time: for credentials, tokens and the record of requests."""
    keys: MasterKeys
    recorded: list[object] = field(default_factory=list)
    logged: list[object] = field(default_factory=list)
    counted: list[object] = field(default_factory=list)
    """Quotas that were taken from."""
    later: list["Later"] = field(default_factory=list)

    def defer(self, step: Step, *args: object, check: Callable[[Any], None] | None = None) -> None:
        """Leave a write to the end of the work, where all of them share one round trip.

        Nothing in this work sees its effect. `check` is given the step's answer, and raises to undo the work.
        """
        self.later.append((step, args, check))

    async def finish(self) -> None:
        """Carry out what was deferred until now; whatever is deferred after that waits for the next time."""
        if not self.later:
            return
        later, self.later = self.later, []
        answers = iter(await self.db.together([(step, args) for step, args, _ in later]))
        for step, _, check in later:
            if step.answers is not None:
                answer = next(answers)
                if check is not None:
                    check(answer)


Later = tuple[Step, Sequence[object], Callable[[Any], None] | None]


Closing = Callable[[Work], Awaitable[None]]

ENTER = "select set_config('tallystick.tenant', $1, true), (select clock_offset from tenants where id = $2)"


class Runtime:
    """What a process needs to do work: connections, a clock, the keys of the house, and the closing statements.

    `closings` run in order just before the commit; the last numbers the events under the tenant's head row.
    """

    def __init__(
        self, pool: Pool, clock: Callable[[], datetime], keys: MasterKeys, closings: Sequence[Closing]
    ) -> None:
        self.pool, self.clock, self.keys, self._closings = pool, clock, keys, tuple(closings)

    @asynccontextmanager
    async def work(self, tenant: Tenant, *, at: datetime | None = None) -> AsyncIterator[Work]:
        """A transaction that commits when the block ends and rolls back when it raises. `at` sets its instant."""
        async with self.pool.lend() as db:
            work = await self._begin(db, tenant, "begin", at)
            try:
                yield work
                for closing in self._closings:
                    await closing(work)
                await work.finish()
            except BaseException:
                await _roll_back(db)
                raise
            # Committing a transaction that has failed rolls it back without a word: a verb must not swallow a database error.
            if await db.connection.execute("commit") != "COMMIT":
                raise asyncpg.InFailedSQLTransactionError("the work had failed")

    @asynccontextmanager
    async def reading(self, tenant: Tenant) -> AsyncIterator[Work]:
        """A transaction that sees one snapshot and writes nothing."""
        async with self.pool.lend() as db:
            work = await self._begin(db, tenant, "begin isolation level repeatable read read only", None)
            try:
                yield work
            except BaseException:
                await _roll_back(db)
                raise
            await db.script("commit")

    @asynccontextmanager
    async def discovering(self) -> AsyncIterator[Db]:
        """A read-only transaction across tenants, as the auditor: only to find tenants that have due work."""
        async with self.pool.lend() as db:
            await db.script("begin read only; set local role tallystick_auditor")
            try:
                yield db
            except BaseException:
                await _roll_back(db)
                raise
            await db.script("commit")

    async def _begin(self, db: Db, tenant: Tenant, begin: str, at: datetime | None) -> Work:
        real_now = self.clock()
        if tenant.environment == "production":
            # A production tenant has no offset to read, so that entering costs no round trip of its own.
            await db.script(f"{begin}; select set_config('tallystick.tenant', '{tenant.id}', true)")
            return Work(db, tenant, at or real_now, real_now, self.keys)
        await db.script(begin)
        entered = await db.row(ENTER, str(tenant.id), tenant.id)
        offset = (entered[1] if entered is not None else None) or timedelta(0)
        return Work(db, tenant, at or real_now + offset, real_now, self.keys)


async def _roll_back(db: Db) -> None:
    if not db.connection.is_closed():
        await db.script("rollback")
