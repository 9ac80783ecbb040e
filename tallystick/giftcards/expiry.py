"""Due work: cards and lots that expire."""

from datetime import datetime

from tallystick.base.work import Runtime, Tenant, Work


async def next_expiry(work: Work) -> datetime | None:
    """When the next of the tenant is due."""
    return None


async def expire_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Do what is due at `at`, up to a number; whether anything was. Books and events are dated at that instant."""
    return False


async def expire_due(runtime: Runtime) -> bool:
    """One step of the loop, over every tenant with due work."""
    return False
