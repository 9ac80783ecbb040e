"""A receiver for whoever asks."""

from collections.abc import AsyncIterator

import pytest

from tests.webhooks.cast import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A partner's own system, on this machine."""
    async with receiving() as ready:
        yield ready
