"""Reports that were ordered are made in the background."""

from tallystick.base.work import Runtime


async def run_due(runtime: Runtime) -> bool:
    """One step of the loop."""
    return False
