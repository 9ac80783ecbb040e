"""New activities as the columns of their insert: sums by category and method, and what each became while it landed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.activity.model import Activity, Attribution, Item, Payment, RecordActivity, Recorded, Type
from tallystick.base.columns import one_or_all
from tallystick.base.work import Work


@dataclass(slots=True)
class Landed:
    """A new activity. What others of the batch make of it is written here before its row is."""

    command: RecordActivity
    id: UUID
    fingerprint: bytes
    customer_id: UUID | None
    identity_index: bytes | None
    currency: str
    attribution: Attribution
    release_at: datetime | None
    units: int
    returned_amount: int = 0
    returned_units: int = 0
    voided: bool = False
    linked_id: UUID | None = None
    payload_sealed: bytes | None = None

    @property
    def type(self) -> Type:
        return self.command.type

    @property
    def merchant_id(self) -> UUID:
        return self.command.merchant_id

    @property
    def amount(self) -> int:
        return self.command.amount


def units(items: Sequence[Item]) -> int:
    """How many things the lines of a receipt are."""
    return sum(item.quantity for item in items)


def by_category(items: Sequence[Item]) -> dict[str, tuple[int, int, int]]:
    """Amount, tax and units of each category; lines of none are in no sum."""
    sums: dict[str, tuple[int, int, int]] = {}
    for item in items:
        if item.category is not None:
            amount, tax, count = sums.get(item.category, (0, 0, 0))
            sums[item.category] = (amount + item.amount, tax + item.tax, count + item.quantity)
    return sums


def by_method(payments: Sequence[Payment]) -> dict[str, int]:
    """What was paid by each method."""
    sums: dict[str, int] = {}
    for payment in payments:
        sums[payment.method] = sums.get(payment.method, 0) + payment.amount
    return sums


def columns(landed: Sequence[Landed]) -> tuple[object, ...]:
    """The columns of the insert, in its order: ids, then for each column its values, or none and the one value that all have."""
    told = [each.command for each in landed]
    categories = [_categories(command.items) if command.items else _NO_CATEGORIES for command in told]
    methods = [_methods(command.payments) if command.payments else _NO_METHODS for command in told]
    varying: tuple[Sequence[object], ...] = (
        [command.asked.caller.partner_id for command in told],
        [command.merchant_id for command in told],
        [command.kind for command in told],
        [command.type for command in told],
        [command.source for command in told],
        [command.source_id for command in told],
        [command.occurred_at for command in told],
        [command.channel for command in told],
        [command.location_id for command in told],
        [each.currency for each in landed],
        [command.amount for command in told],
        [command.tax for command in told],
        [each.units for each in landed],
        *zip(*categories, strict=True),
        *zip(*methods, strict=True),
        [each.customer_id for each in landed],
        [None if command.identity is None else command.identity.kind for command in told],
        [each.identity_index for each in landed],
        [command.linked_source_id for command in told],
        [each.linked_id for each in landed],
        [each.attribution for each in landed],
        [each.returned_amount for each in landed],
        [each.returned_units for each in landed],
        [each.voided for each in landed],
        [command.import_id for command in told],
        [command.import_line for command in told],
        [each.release_at for each in landed],
        [command.asked.request_id for command in told],
        [each.payload_sealed for each in landed],
    )
    return ([each.id for each in landed], *(part for column in varying for part in one_or_all(column)))


def activity(work: Work, landed: Landed) -> Activity:
    """The activity as its row will stand."""
    command, categories, methods = landed.command, by_category(landed.command.items), by_method(landed.command.payments)
    return Activity(
        id=landed.id,
        partner_id=command.asked.caller.partner_id,
        merchant_id=command.merchant_id,
        kind=command.kind,
        type=command.type,
        source=command.source,
        source_id=command.source_id,
        occurred_at=command.occurred_at,
        received_at=work.now,
        channel=command.channel,
        location_id=command.location_id,
        currency=landed.currency,
        amount=command.amount,
        tax=command.tax,
        units=landed.units,
        categories=tuple(categories),
        category_amounts=tuple(amount for amount, _, _ in categories.values()),
        category_taxes=tuple(tax for _, tax, _ in categories.values()),
        category_units=tuple(count for _, _, count in categories.values()),
        methods=tuple(methods),
        method_amounts=tuple(methods.values()),
        customer_id=landed.customer_id,
        identity_kind=None if command.identity is None else command.identity.kind,
        linked_source_id=command.linked_source_id,
        linked_id=landed.linked_id,
        attribution=landed.attribution,
        returned_amount=landed.returned_amount,
        returned_units=landed.returned_units,
        voided=landed.voided,
        import_id=command.import_id,
        import_line=command.import_line,
        request_id=command.asked.request_id,
        payload_sealed=landed.payload_sealed,
    )


def detached(work: Work, command: RecordActivity, outcome: Recorded) -> Activity:
    """An activity whose row was detached, as the command tells it again."""
    landed = Landed(
        command=command,
        id=outcome.activity_id,
        fingerprint=b"",
        customer_id=outcome.customer_id,
        identity_index=None,
        currency=command.currency or "",
        attribution=outcome.attribution,
        release_at=None,
        units=units(command.items),
    )
    return activity(work, landed)


_NO_CATEGORIES = (None, None, None, None)
_NO_METHODS = (None, None)


def _categories(items: Sequence[Item]) -> tuple[str | None, str | None, str | None, str | None]:
    sums = by_category(items)
    if not sums:
        return _NO_CATEGORIES
    amounts, taxes, counts = zip(*sums.values(), strict=True)
    return _texts(sums), _numbers(amounts), _numbers(taxes), _numbers(counts)


def _methods(payments: Sequence[Payment]) -> tuple[str, str]:
    sums = by_method(payments)
    return _texts(sums), _numbers(tuple(sums.values()))


def _texts(values: Iterable[str]) -> str:
    """A list of texts as the database writes one: each in quotes, with quotes and backslashes escaped."""
    texts = list(values)
    if '"' in (joined := "".join(texts)) or "\\" in joined:
        texts = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return '{"' + '","'.join(texts) + '"}'


def _numbers(values: Sequence[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
