"""One ahead: what comes next is made while what came last is dealt with."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def one_ahead(coming: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same things in the same order, each asked for as soon as the one before is handed out.

    What `coming` raises is raised in its place, behind everything that came before it; not at all, if nobody came to ask for that.
    `coming` is closed with this.
    """

    async def following() -> tuple[T] | None:
        async for each in coming:
            return (each,)
        return None

    asked = asyncio.create_task(following())
    try:
        while (found := await asked) is not None:
            asked = asyncio.create_task(following())
            yield found[0]
    finally:
        asked.cancel()
        await asyncio.wait([asked])
        if not asked.cancelled():
            asked.exception()  # it was not asked for: whoever reads on meets it again
        await coming.aclose()
