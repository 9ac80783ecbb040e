"""The same partners and merchant as in the tests about customers; and a partner over HTTP, whose books are whole in the end."""

from tests.customers.conftest import harbour, luna, overseer, stranger
from tests.rewards.conftest import api

__all__ = ["api", "harbour", "luna", "overseer", "stranger"]
