"""A fresh book for each test; whatever a test did, its books are whole in the end."""

from collections.abc import AsyncIterator

import pytest

from tallystick import ledger
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tests.ledger.cast import Books
from tests.world import leave_nothing_due


@pytest.fixture
async def books(runtime: Runtime, tenant: Tenant, auditor: Db) -> AsyncIterator[Books]:
    yield Books(runtime, tenant)
    await leave_nothing_due(runtime, tenant)
    assert await ledger.check_books(auditor, tenant.id) == []
