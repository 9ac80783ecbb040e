"""The batcher on a real database: one transaction for many calls, and to each call its own outcome."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest

from tallystick.base.batcher import Batcher
from tallystick.base.errors import InvalidState, Refusal, Unavailable
from tallystick.base.work import Runtime, Tenant, Work

SCRATCH = """
create table notches (tenant_id uuid not null, name text not null, depth int not null, primary key (tenant_id, name));
alter table notches enable row level security;
create policy own_tenant on notches to tallystick_app
    using (tenant_id = (select nullif(current_setting('tallystick.tenant', true), '')::uuid));
grant select, insert, update on notches to tallystick_app
"""

CUT = "insert into notches (tenant_id, name, depth) select $1, * from unnest($2::text[], $3::int[])"

Owner = asyncpg.Connection


@dataclass(frozen=True)
class Notch:
    name: str
    depth: object = 1
    refused: bool = False


@dataclass
class Carving:
    """A verb that cuts notches, with a door in it at which batches can be stopped."""

    batches: list[list[str]] = field(default_factory=list)
    door: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    meanwhile: Callable[[Work], object] | None = None

    def __hash__(self) -> int:
        return id(self)

    async def __call__(self, work: Work, commands: Sequence[Notch]) -> list[str | Refusal]:
        self.batches.append([command.name for command in commands])
        accepted = [command for command in commands if not command.refused]
        await work.db.run(CUT, work.tenant.id, [one.name for one in accepted], [one.depth for one in accepted])
        self.arrived.set()
        await self.door.wait()
        return [InvalidState(f"{one.name} is refused") if one.refused else one.name for one in commands]


@pytest.fixture(scope="module", autouse=True)
async def _scratch(owner: Owner) -> AsyncIterator[None]:
    await owner.execute(SCRATCH)
    yield
    await owner.execute("drop table notches")


@pytest.fixture
def carving() -> Carving:
    carving = Carving()
    carving.door.set()
    return carving


@pytest.fixture
async def batcher(runtime: Runtime) -> AsyncIterator[Batcher]:
    """One batch at a time, so that what waits is known."""
    batcher = Batcher(runtime, batch_limit=100, queue_limit=20, in_flight=1)
    yield batcher
    await batcher.close()


async def notches(owner: Owner, tenant: Tenant) -> set[str]:
    return {row[0] for row in await owner.fetch("select name from notches where tenant_id = $1", tenant.id)}


async def all_of(*calls: "asyncio.Future[str]") -> list[str | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_calls_that_arrive_during_a_batch_share_the_next_one(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    carving.door.clear()
    calls = [asyncio.create_task(batcher.submit(carving, tenant, Notch("first")))]
    await carving.arrived.wait()
    calls += [asyncio.create_task(batcher.submit(carving, tenant, Notch(name))) for name in "abcde"]
    await asyncio.sleep(0.01)
    carving.door.set()
    assert await all_of(*calls) == ["first", *"abcde"]
    assert carving.batches == [["first"], list("abcde")]
    assert await notches(owner, tenant) == {"first", *"abcde"}


async def test_a_batch_is_no_larger_than_its_limit(runtime: Runtime, tenant: Tenant, carving: Carving) -> None:
    batcher = Batcher(runtime, batch_limit=2, queue_limit=20, in_flight=1)
    assert await all_of(*[asyncio.create_task(batcher.submit(carving, tenant, Notch(name))) for name in "abcde"]) == [
        *"abcde"
    ]
    assert [len(batch) for batch in carving.batches] == [2, 2, 1]


async def test_tenants_never_share_a_batch(
    batcher: Batcher, tenant: Tenant, production: Tenant, carving: Carving, owner: Owner
) -> None:
    await all_of(
        *[
            asyncio.create_task(batcher.submit(carving, one, Notch(name)))
            for name in "ab"
            for one in (tenant, production)
        ]
    )
    assert sorted(map(tuple, carving.batches)) == [("a", "b"), ("a", "b")]
    assert await notches(owner, tenant) == await notches(owner, production) == {"a", "b"}


async def test_a_refusal_harms_no_neighbour_and_leaves_no_row(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    wanted = [Notch("a"), Notch("b", refused=True), Notch("c")]
    outcomes = await all_of(*[asyncio.create_task(batcher.submit(carving, tenant, one)) for one in wanted])
    assert (outcomes[0], outcomes[2]) == ("a", "c")
    assert isinstance(outcomes[1], InvalidState)
    assert outcomes[1].detail == "b is refused"
    assert carving.batches == [["a", "b", "c"]]
    assert await notches(owner, tenant) == {"a", "c"}


@pytest.mark.parametrize(
    ("poison", "fault"),
    [
        (Notch("x", depth=None), asyncpg.NotNullViolationError),
        (Notch("x", depth=2**31), asyncpg.DataError),
        (Notch("x\x00"), asyncpg.CharacterNotInRepertoireError),
        (Notch("x", depth="deep"), asyncpg.DataError),
    ],
)
async def test_a_poison_item_is_isolated_and_its_neighbours_happen(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner, poison: Notch, fault: type[Exception]
) -> None:
    wanted = [Notch("a"), Notch("b"), poison, Notch("c"), Notch("d")]
    outcomes = await all_of(*[asyncio.create_task(batcher.submit(carving, tenant, one)) for one in wanted])
    assert isinstance(outcomes.pop(2), fault)
    assert outcomes == [*"abcd"]
    assert await notches(owner, tenant) == {*"abcd"}


async def test_what_a_cancelled_caller_asked_for_still_happens(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    carving.door.clear()
    calls = [asyncio.create_task(batcher.submit(carving, tenant, Notch("running")))]
    await carving.arrived.wait()
    calls += [asyncio.create_task(batcher.submit(carving, tenant, Notch(name))) for name in ("waiting", "patient")]
    await asyncio.sleep(0.01)
    for call in calls[:2]:
        call.cancel()
    await asyncio.sleep(0.01)
    carving.door.set()
    async with asyncio.timeout(10):
        assert await calls[2] == "patient"
    assert await notches(owner, tenant) == {"running", "waiting", "patient"}


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(
    runtime: Runtime, tenant: Tenant, carving: Carving
) -> None:
    batcher = Batcher(runtime, batch_limit=100, queue_limit=3, in_flight=1)
    carving.door.clear()
    calls = [asyncio.create_task(batcher.submit(carving, tenant, Notch("first")))]
    await carving.arrived.wait()
    calls += [asyncio.create_task(batcher.submit(carving, tenant, Notch(name))) for name in "abc"]
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable) as refused:
        await batcher.submit(carving, tenant, Notch("d"))
    assert ("retry-after", "1") in refused.value.headers
    carving.door.set()
    assert await all_of(*calls) == ["first", *"abc"]
    assert await batcher.submit(carving, tenant, Notch("e")) == "e"


async def test_a_deadlock_is_tried_again(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner, dsn: str
) -> None:
    await batcher.submit(carving, tenant, Notch("a"))
    await batcher.submit(carving, tenant, Notch("b"))
    rival = await asyncpg.connect(dsn)
    await rival.execute("set deadlock_timeout = '1min'")  # so that the batch is the one that notices, and gives way
    lock = "update notches set depth = depth + 1 where tenant_id = $1 and name = $2"
    tries = 0
    held, asked = asyncio.Event(), asyncio.Event()

    async def deepen(work: Work, commands: Sequence[str]) -> list[int]:
        nonlocal tries
        tries += 1
        await work.db.run(lock, work.tenant.id, "a")
        held.set()
        await asked.wait()
        await work.db.run(lock, work.tenant.id, "b")
        return [len(command) for command in commands]

    async with rival.transaction():
        await rival.execute(lock, tenant.id, "b")
        call = asyncio.create_task(batcher.submit(deepen, tenant, "both"))
        await held.wait()
        crossing = asyncio.create_task(rival.execute(lock, tenant.id, "a"))
        await asyncio.sleep(0.05)
        asked.set()
        await crossing
    assert await call == 4
    assert tries >= 2
    depths = await owner.fetch("select depth from notches where tenant_id = $1", tenant.id)
    assert [row[0] for row in depths] == [3, 3]  # each side once
    await rival.close()


async def test_a_lock_held_too_long_is_unavailable_for_all_and_is_waited_for_once(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    await batcher.submit(carving, tenant, Notch("a"))
    tries = 0

    async def deepen(work: Work, commands: Sequence[str]) -> list[str]:
        nonlocal tries
        tries += 1
        await work.db.script("set local lock_timeout = '50ms'")
        await work.db.run("update notches set depth = 2 where tenant_id = $1", work.tenant.id)
        return list(commands)

    async with owner.transaction():
        await owner.execute("select from notches where tenant_id = $1 for update", tenant.id)
        outcomes = await all_of(*[asyncio.create_task(batcher.submit(deepen, tenant, name)) for name in "abcdefgh"])
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert tries == 1
    assert await batcher.submit(deepen, tenant, "later") == "later"


async def test_a_connection_lost_in_a_batch_is_unavailable_and_the_next_batch_has_a_new_one(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    async def cut_off(work: Work, commands: Sequence[str]) -> list[str]:
        await owner.fetchval("select pg_terminate_backend($1, 5000)", work.db.connection.get_server_pid())
        await work.db.run(CUT, work.tenant.id, list(commands), [1 for _ in commands])
        return list(commands)

    outcomes = await all_of(*[asyncio.create_task(batcher.submit(cut_off, tenant, name)) for name in "ab"])
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    assert ("retry-after", "1") in outcomes[0].headers  # type: ignore[union-attr]
    assert await batcher.submit(carving, tenant, Notch("after")) == "after"
    assert await notches(owner, tenant) == {"after"}


async def test_a_connection_lost_between_batches_is_not_noticed(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    await batcher.submit(carving, tenant, Notch("a"))
    await owner.fetch(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'tallystick'"
        " and datname = current_database() and pid <> pg_backend_pid()"
    )
    await asyncio.sleep(0.05)
    assert await batcher.submit(carving, tenant, Notch("b")) == "b"


async def test_a_statement_prepared_before_a_migration_is_prepared_again(
    runtime: Runtime, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    batcher = Batcher(runtime, batch_limit=1, queue_limit=100, in_flight=8)
    everyone = asyncio.Barrier(8)

    async def read(work: Work, commands: Sequence[str]) -> list[str]:
        if commands[0] == "before":
            await everyone.wait()  # so that each connection of the pool has prepared it
        row = await work.db.row("select depth from notches where tenant_id = $1", work.tenant.id)
        assert row is not None
        return [commands[0]]

    await batcher.submit(carving, tenant, Notch("a"))
    await all_of(*[asyncio.create_task(batcher.submit(read, tenant, "before")) for _ in range(8)])
    await owner.execute("alter table notches alter column depth type bigint")
    try:
        outcomes = await all_of(*[asyncio.create_task(batcher.submit(read, tenant, "after")) for _ in range(16)])
    finally:
        await owner.execute("alter table notches alter column depth type int")
    assert outcomes == ["after"] * 16


async def test_a_verb_that_answers_too_few_writes_nothing(batcher: Batcher, tenant: Tenant, owner: Owner) -> None:
    async def forgetful(work: Work, commands: Sequence[str]) -> list[str]:
        await work.db.run(CUT, work.tenant.id, list(commands), [1 for _ in commands])
        return list(commands)[:0]

    outcomes = await all_of(*[asyncio.create_task(batcher.submit(forgetful, tenant, name)) for name in "ab"])
    assert [str(outcome).partition("\n")[0] for outcome in outcomes] == ["a verb answers every command"] * 2
    assert await notches(owner, tenant) == set()


async def test_closing_refuses_what_comes_and_finishes_what_came(
    batcher: Batcher, tenant: Tenant, carving: Carving, owner: Owner
) -> None:
    carving.door.clear()
    calls = [asyncio.create_task(batcher.submit(carving, tenant, Notch("running")))]
    await carving.arrived.wait()
    calls.append(asyncio.create_task(batcher.submit(carving, tenant, Notch("waiting"))))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await batcher.submit(carving, tenant, Notch("late"))
    assert not closing.done()
    carving.door.set()
    await closing
    assert [call.result() for call in calls] == ["running", "waiting"]
    assert await notches(owner, tenant) == {"running", "waiting"}
