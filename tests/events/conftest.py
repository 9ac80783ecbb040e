"""The same partner as in the tests of rewards, whose books are looked at in the end."""

from tests.rewards.conftest import api

__all__ = ["api"]
