"""Whatever a test did, the books of its programme are whole in the end and its closed periods as they were sealed."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tallystick import ledger
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, join
from tests.reports.cast import Shop, shop_of
from tests.world import leave_nothing_due


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    """A new partner of a new programme's sandbox, with every scope, acting for Café Luna."""
    joined = await join(runtime, session, base_url)
    yield joined
    await leave_nothing_due(runtime, joined.tenant)
    assert await ledger.check_books(auditor, joined.tenant.id) == []


@pytest.fixture
async def shop(runtime: Runtime, api: Api) -> Shop:
    """The books of Café Luna."""
    assert api.merchant_id is not None
    return await shop_of(runtime, api.tenant, api.merchant_id)
