"""Rounds of the loops: every tenant with due work has its turn, whatever becomes of another's."""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from tallystick.base.db import LOST, Row
from tallystick.base.errors import Unavailable
from tallystick.base.work import Environment, Tenant


async def each_in_turn(rows: Sequence[Row], step: Callable[[Tenant, Row], Awaitable[bool]]) -> bool:
    """Take the step for each discovered (tenant, programme, environment, …); whether any did something.

    A fault is raised when all had their turn, as an ExceptionGroup; a database that is away ends the round at once.
    """
    did = False
    faults: list[Exception] = []
    for row in rows:
        try:
            did = await step(Tenant(row[0], row[1], cast("Environment", row[2])), row) or did
        except (*LOST, Unavailable):
            raise
        except Exception as fault:  # noqa: BLE001 - it is raised below
            faults.append(fault)
    if faults:
        raise ExceptionGroup("Due work of some tenants failed.", faults)
    return did
