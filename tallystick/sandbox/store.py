"""The statement on `tenants.clock_offset`."""

from datetime import timedelta

from tallystick.base.work import Work

# It only grows, whoever comes first: the update reads the newest offset even when it had to wait for the row.
PUT_FORWARD = """
update tenants
set clock_offset = greatest(clock_offset, $2)
where id = $1 and environment = 'sandbox'
returning clock_offset
"""


async def put_forward(work: Work, offset: timedelta) -> timedelta:
    """Let the sandbox's clock be ahead of real time by at least `offset`; by how much it is."""
    ahead: timedelta | None = await work.db.value(PUT_FORWARD, work.tenant.id, offset)
    assert ahead is not None, "only a sandbox's clock moves"
    return ahead
