"""Two processes' worth of house, and books that are whole whatever a test did to them."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tallystick.base.db import Db, Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.main import CLOSINGS
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import check_whole


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    """A new partner of a new programme's sandbox, with every scope, acting for Café Luna."""
    joined = await join(runtime, session, base_url)
    yield joined
    await check_whole(auditor, joined.tenant)


@pytest.fixture(scope="session")
async def the_other_runtime(dsn: str, keys: MasterKeys, the_clock: Clock) -> AsyncIterator[Runtime]:
    pool = Pool(dsn, 8, name="another process")
    yield Runtime(pool, the_clock, keys, CLOSINGS)
    await pool.close()


@pytest.fixture
def runtimes(runtime: Runtime, the_other_runtime: Runtime) -> tuple[Runtime, Runtime]:
    """Two processes, as the database sees them."""
    return runtime, the_other_runtime
