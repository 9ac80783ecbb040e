"""What every test may ask for: one server for the whole run, a migrated database for each worker, a clock, a house to work in."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from tallystick.base.db import Db, Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.postgres import Postgres
from tallystick.base.work import Runtime, Tenant
from tallystick.main import CLOSINGS, build
from tests import told, world
from tests.api import SETTINGS, Api, join, served

POOL_SIZE = 8


class Servers:
    """The server of this run: the one that TALLYSTICK_DATABASE_URL names, or an embedded one, started when first wanted."""

    def __init__(self) -> None:
        self._place: Path | None = None
        self._embedded: Postgres | None = None

    def dsn(self) -> str:
        if named := os.environ.get("TALLYSTICK_DATABASE_URL"):
            return named
        if self._embedded is None:
            self._place = Path(tempfile.mkdtemp(prefix="tallystick-tests-"))
            self._embedded = Postgres.start(self._place)
        return self._embedded.dsn

    def stop(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()
        if self._place is not None:
            shutil.rmtree(self._place)


SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    # Properties are about what holds, not how fast a busy machine finds out. The suite tries the same examples each time, so that
    # it says of a change what it would have said before; `HYPOTHESIS_PROFILE=explore` tries others.
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("house", patient, derandomize=True)
    settings.register_profile("explore", patient)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))
    config.stash[SERVERS] = Servers()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With several workers the one that hands out the tests starts the server, and each worker makes its own database there."""
    node.workerinput["server_dsn"] = node.config.stash[SERVERS].dsn()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SERVERS].stop()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> str:
    """The dsn of a database on the server of this run; from there others are made."""
    given: str | None = getattr(request.config, "workerinput", {}).get("server_dsn")
    return given or request.config.stash[SERVERS].dsn()


@pytest.fixture(scope="session")
async def fresh(server: str) -> AsyncIterator[Callable[[], Any]]:
    """Makes empty databases, as many as wanted, and drops them at the end."""
    connection = await asyncpg.connect(server)
    if not await connection.fetchval("select rolsuper from pg_roles where rolname = current_user"):
        pytest.exit(
            "The suite spoils rows to see them found: the user in TALLYSTICK_DATABASE_URL has to be a superuser.", 2
        )
    made: list[str] = []

    async def make() -> str:
        name = f"tallystick_{uuid4().hex}"
        await connection.execute(f"create database {name} template template0 encoding 'UTF8'")
        made.append(name)
        return world.another_database(server, name)

    yield make
    for name in made:
        await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture(scope="session")
async def server_major(server: str) -> int:
    connection = await asyncpg.connect(server)
    major: int = connection.get_server_version().major
    await connection.close()
    return major


@pytest.fixture(scope="session")
async def dsn(fresh: Callable[[], Any]) -> AsyncIterator[str]:
    """A migrated database, shared by the tests of this worker; each brings its own tenants. In the end all of its events are held
    against what is promised of them.
    """
    address: str = await fresh()
    await migrate(address)
    connection = await asyncpg.connect(address)
    await connection.fetch("select partitions_ensure($1)", world.T0)
    await connection.close()
    yield address
    await told.check(address)


@pytest.fixture(scope="session")
def keys() -> MasterKeys:
    return MasterKeys.generate()


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = world.T0

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture(scope="session")
def the_clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(the_clock: Clock) -> Iterator[Clock]:
    """The clock of `runtime`; every test finds it at T0."""
    the_clock.now = world.T0
    yield the_clock
    the_clock.now = world.T0


@pytest.fixture(scope="session")
async def the_runtime(dsn: str, keys: MasterKeys, the_clock: Clock) -> AsyncIterator[Runtime]:
    pool = Pool(dsn, POOL_SIZE)
    yield Runtime(pool, the_clock, keys, CLOSINGS)
    await pool.close()


@pytest.fixture
def runtime(the_runtime: Runtime, clock: Clock) -> Runtime:
    """Works on the migrated database, at the instant of `clock`."""
    return the_runtime


@pytest.fixture
async def tenant(runtime: Runtime) -> Tenant:
    """A new programme's sandbox."""
    return await world.northwind(runtime, "sandbox")


@pytest.fixture
async def production(runtime: Runtime) -> Tenant:
    """A new programme's production."""
    return await world.northwind(runtime, "production")


@pytest.fixture(scope="session")
async def base_url(dsn: str, keys: MasterKeys, the_clock: Clock) -> AsyncIterator[str]:
    """Where the house answers over real HTTP, with the clock of the tests."""
    async with served(build(SETTINGS, dsn, keys, the_clock)) as address:
        yield address


@pytest.fixture(scope="session")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        yield opened


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> Api:
    """A new partner of a new programme's sandbox, with every scope, acting for Café Luna."""
    return await join(runtime, session, base_url)


@pytest.fixture(scope="session")
async def auditor(dsn: str) -> AsyncIterator[Db]:
    """A connection that reads across tenants and writes nothing."""
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    await connection.execute("set role tallystick_auditor")
    yield Db(connection)
    await connection.close()


@pytest.fixture(scope="session")
async def owner(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection as the owner of the schema."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()
