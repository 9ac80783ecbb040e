"""Who is told that a quota is nearly used up, or is."""

from tallystick.base.work import Runtime


async def warn_due(runtime: Runtime) -> bool:
    """One step of the loop."""
    return False
