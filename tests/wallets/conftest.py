"""The same partners and merchant as in the tests about customers."""

from tests.customers.conftest import harbour, luna, overseer, stranger

__all__ = ["harbour", "luna", "overseer", "stranger"]
