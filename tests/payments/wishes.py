"""Payments by numbers, so that the same ones can be asked of a model, of the pure decision, and of two programmes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final
from uuid import UUID

from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.errors import at
from tallystick.base.work import Asked, Caller, Tenant
from tallystick.ledger import LotClass
from tallystick.payments.deciding import AuthorizePayment, SourceAsked

PARTNERS: Final = (ids.new(), ids.new())
PLACES: Final = 4
"""Wallets, the third of them suspended and the fourth closing; one merchant, one of two partners at the till."""
STATUSES: Final = ("active", "active", "suspended", "closing")
CLASSES: Final[tuple[LotClass, ...]] = ("paid", "refund", "compensation", "promotional")
DAY: Final = date(2026, 3, 2)


@dataclass(frozen=True)
class Wish:
    """A payment by numbers, so that it can be made for any programme."""

    partner: int
    amount: int
    sources: tuple[tuple[int, int | None], ...]
    key: int
    reference: int | None
    manual: bool
    partial: bool


SOURCES: Final = st.lists(
    st.tuples(st.integers(0, PLACES - 1), st.sampled_from([None, None, 10, 60])), min_size=1, max_size=3
).map(tuple)
WISHES: Final = st.lists(
    st.builds(
        Wish,
        partner=st.integers(0, 1),
        amount=st.sampled_from([1, 40, 50, 60, 101]),
        sources=SOURCES,
        key=st.integers(0, 9),
        reference=st.sampled_from([None, None, 0, 1, 2]),
        manual=st.booleans(),
        partial=st.booleans(),
    ),
    max_size=20,
)
HOLDINGS: Final = st.lists(
    st.tuples(
        st.integers(0, PLACES - 1),
        st.sampled_from(CLASSES),
        st.integers(1, 90),
        st.sampled_from([None, None, -1, 0, 5, 9]),
    ),
    max_size=10,
)
"""Lots: of which wallet, of which class, how much, and in how many days they expire."""
SPLITS: Final = st.lists(st.integers(0, 20), max_size=4)


def split(wishes: Sequence[Wish], cuts: Sequence[int]) -> list[Sequence[Wish]]:
    """The wishes in their order, in batches."""
    places = sorted({0, len(wishes), *(cut for cut in cuts if cut < len(wishes))})
    return [wishes[start:end] for start, end in pairwise(places)]


def command(wish: Wish, shop_id: UUID, wallets: Sequence[UUID]) -> AuthorizePayment:
    caller = Caller(
        Tenant(ids.new(), ids.new(), "sandbox"), PARTNERS[wish.partner], ids.new(), frozenset(), None, False, 1, 1
    )
    return AuthorizePayment(
        asked=Asked(caller, ids.new(), "POST", "/api/v1/payment-intents"),
        merchant_id=shop_id,
        merchant_named=True,
        amount=wish.amount,
        sources=tuple(
            SourceAsked(at(f"/data/attributes/sources/{n}/walletId"), "wallet", wallets[wallet], amount=most)
            for n, (wallet, most) in enumerate(wish.sources)
        ),
        key=str(wish.key),
        capture="manual" if wish.manual else "automatic",
        allow_partial=wish.partial,
        external_reference=None if wish.reference is None else str(wish.reference),
    )
