"""Whatever a test did, the books are whole in the end, and payments, parts, keys and events tell the same story."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, join
from tests.payments.cast import check_whole


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    """A new partner of a new programme's sandbox, with every scope, acting for Café Luna."""
    joined = await join(runtime, session, base_url)
    yield joined
    await check_whole(auditor, joined.tenant)
