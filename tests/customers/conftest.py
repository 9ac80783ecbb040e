"""A partner and a merchant for each test."""

import pytest

from tallystick.base.work import Runtime, Tenant
from tallystick.merchants import Merchant
from tests.customers.cast import Partner, cafe_luna


@pytest.fixture
def harbour(runtime: Runtime, tenant: Tenant) -> Partner:
    """The support platform: sees what it made."""
    return Partner(runtime, tenant)


@pytest.fixture
def stranger(runtime: Runtime, tenant: Tenant) -> Partner:
    """Another partner of the same programme: sees what it made."""
    return Partner(runtime, tenant)


@pytest.fixture
def overseer(runtime: Runtime, tenant: Tenant) -> Partner:
    """Another partner of the same programme: its agreement shows it everything."""
    return Partner(runtime, tenant, sees_programme=True)


@pytest.fixture
async def luna(runtime: Runtime, tenant: Tenant) -> Merchant:
    return await cafe_luna(runtime, tenant)
