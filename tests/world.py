"""The named cast of the tests: who they are, and how they come into being.

northwind is a brand with a programme, cafe_luna one of its merchants, harbour_support the platform that compensates its customers,
mira one of those.
"""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tallystick.base import ids
from tallystick.base.work import Environment, Runtime, Tenant

T0: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday morning: when every test begins."""

NORTHWIND: Final = "Northwind"
CAFE_LUNA: Final = "Café Luna"
HARBOUR_SUPPORT: Final = "Harbour Support"

MIRA_PHONE: Final = "+12025550143"
"""From the numbers set aside for fiction."""


async def northwind(runtime: Runtime, environment: Environment) -> Tenant:
    """A new programme with one tenant. Names repeat, ids do not: tests share a database and never a tenant."""
    tenant = Tenant(ids.new(), ids.new(), environment)
    async with runtime.work(tenant) as work:
        await work.db.run(
            "insert into programmes (id, name, created_at) values ($1, $2, $3)",
            tenant.programme_id,
            NORTHWIND,
            work.real_now,
        )
        await work.db.run(
            "insert into tenants (id, programme_id, environment, created_at) values ($1, $2, $3, $4)",
            tenant.id,
            tenant.programme_id,
            environment,
            work.real_now,
        )
        await work.db.run("insert into tenant_heads (tenant_id) values ($1)", tenant.id)
    return tenant


def another_database(dsn: str, name: str) -> str:
    """The dsn with another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def leave_nothing_due(runtime: Runtime, tenant: Tenant) -> None:
    """Lots that a test made without a wallet or card around them must not be due when others' loops come round."""
    async with runtime.work(tenant) as work:
        await work.db.run(
            "update lot_deadlines set due_at = null, announced_at = $2 where tenant_id = $1", tenant.id, T0
        )
