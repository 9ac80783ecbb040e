"""Batches of gift cards."""

from tallystick.base.work import Runtime


async def run_batches(runtime: Runtime) -> bool:
    """One step of the loop: a chunk of a batch that is not finished."""
    return False
