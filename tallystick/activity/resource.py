"""Activity on the wire: transactions, visits and orders as they are read, the same as an event tells it, and verdicts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from tallystick.activity.model import Activity, Kind
from tallystick.activity.sent import OWN
from tallystick.base import clock, jsonapi
from tallystick.base.errors import Refusal
from tallystick.base.routes import Resource
from tallystick.base.work import Caller, Work
from tallystick.events import Event

_SOURCE: Final[dict[str, Any]] = {"id": "r-20260302-118", "createdAt": "2026-03-02T08:59:12.000Z", "system": None}
_EXAMPLE: Final[dict[str, Any]] = {
    "source": _SOURCE,
    "userId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
    "channel": "pos",
    "locationId": None,
    "attribution": "counted",
    "importId": None,
    "importLine": None,
    "payload": None,
    "createdAt": "2026-03-02T09:00:00.000Z",
}
_RECEIPT: Final[dict[str, Any]] = {
    "linkedExternalTransactionId": None,
    "linkedId": None,
    "currency": "USD",
    "amount": 1250,
    "tax": 96,
    "units": 2,
    "categories": [{"category": "coffee", "amount": 1250, "tax": 96, "units": 2}],
    "payments": [{"method": "DebitCard", "amount": 1250}],
    "returnedAmount": 0,
    "voided": False,
}
TRANSACTION_EXAMPLE: Final[dict[str, Any]] = {"type": "Purchase", **_EXAMPLE, **_RECEIPT}


class SourceShown(msgspec.Struct, rename="camel", gc=False):
    """Where it comes from; no system: the sender's own."""

    id: str
    created_at: str
    system: str | None


class CategorySum(msgspec.Struct, rename="camel", gc=False):
    """What the lines of one category come to, in minor units."""

    category: str
    amount: int
    tax: int
    units: int


class MethodSum(msgspec.Struct, rename="camel", gc=False):
    """What was paid in one way, in minor units."""

    method: str
    amount: int


class ShownVisit(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A visit. `userId` null: nobody who is known yet, or nobody was named."""

    source: SourceShown
    user_id: str | None
    merchant_id: str
    channel: str | None
    location_id: str | None
    attribution: str
    import_id: str | None
    import_line: int | None
    payload: dict[str, Any] | None
    created_at: str


class ShownOrder(ShownVisit, rename="camel", gc=False, kw_only=True):
    """An order. `returnedAmount` is the sum of what was refunded of it, which may exceed its amount.

    `linkedId` is what it takes back, once that is there.
    """

    type: str
    linked_external_transaction_id: str | None
    linked_id: str | None
    currency: str
    amount: int
    tax: int
    units: int
    categories: list[CategorySum]
    payments: list[MethodSum]
    returned_amount: int
    voided: bool


class ShownTransaction(ShownOrder, rename="camel", gc=False, kw_only=True):
    """A transaction: as an order."""


class ToldActivity(msgspec.Struct, rename="camel", gc=False):
    """What an event tells of an activity: nothing of who it was, and nothing of the sender's own document."""

    kind: str
    type: str
    source: SourceShown
    merchant_id: str
    channel: str | None
    location_id: str | None
    currency: str
    amount: int
    attribution: str
    linked_id: str | None
    created_at: str


class VerdictError(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    """One fault of one document, as in every refusal."""

    status: str
    code: str
    title: str
    detail: str
    source: dict[str, str] | None = None


class VerdictAttributes(msgspec.Struct, rename="camel", gc=False):
    """What became of one document of a list."""

    index: int
    status: Literal["accepted", "duplicate", "rejected"]
    activity_id: str | None
    errors: list[VerdictError]


class ProgressEffect(msgspec.Struct, rename="camel", gc=False):
    """How a customer's progress would move."""

    threshold_id: str
    user_id: str
    before: int
    current: int


class RewardEffect(msgspec.Struct, rename="camel", gc=False):
    """What would become of the reward of a step: given, capped or refused; or returned or kept, which it was before.

    Amounts are minor units: what is given, what that would be without caps, and what of it is taken back.
    """

    threshold_id: str
    user_id: str
    cycle: int
    step: int
    status: str
    amount: int
    desired_amount: int
    returned_amount: int


class Effects(msgspec.Struct, rename="camel", gc=False):
    """What would come of a list of documents."""

    progress: list[ProgressEffect]
    rewards: list[RewardEffect]


class VerdictsMeta(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    """What a list of documents came to; `effects` where it was only rehearsed."""

    accepted: int
    duplicates: int
    rejected: int
    effects: Effects | msgspec.UnsetType = msgspec.UNSET


TRANSACTION: Final = Resource(
    "ExternalTransaction", "/api/v1/external-transactions", ShownTransaction, TRANSACTION_EXAMPLE
)
VISIT: Final = Resource("Visit", "/api/v1/visits", ShownVisit, _EXAMPLE)
ORDER: Final = Resource("Order", "/api/v1/orders", ShownOrder, {"type": "Order", **_EXAMPLE, **_RECEIPT})
RESOURCES: Final[Mapping[Kind, Resource]] = {"transaction": TRANSACTION, "visit": VISIT, "order": ORDER}
ACTIVITY_EVENT: Final = Resource("Activity", "/api/v1/external-transactions", ToldActivity)

_encode = msgspec.json.Encoder().encode
_decode_payload = msgspec.json.Decoder(dict[str, Any]).decode


def resource(work: Work, activity: Activity, reader: Caller) -> bytes:
    """The resource object of an activity, for whoever reads it: the sender's own document is the sender's."""
    payload = None
    if activity.payload_sealed is not None and reader.partner_id == activity.partner_id:
        payload = _decode_payload(work.keys.open_sealed(activity.payload_sealed, activity.id.bytes))
    common = {
        "source": _source(activity),
        "user_id": _text(activity.customer_id),
        "merchant_id": str(activity.merchant_id),
        "channel": activity.channel,
        "location_id": _text(activity.location_id),
        "attribution": activity.attribution,
        "import_id": _text(activity.import_id),
        "import_line": activity.import_line,
        "payload": payload,
        "created_at": clock.render(activity.received_at),
    }
    return jsonapi.resource(RESOURCES[activity.kind], activity.id, _shown(activity, common))


def _shown(activity: Activity, common: dict[str, Any]) -> msgspec.Struct:
    if activity.kind == "visit":
        return ShownVisit(**common)
    receipt: dict[str, Any] = {
        "type": activity.type,
        "linked_external_transaction_id": activity.linked_source_id,
        "linked_id": _text(activity.linked_id),
        "currency": activity.currency,
        "amount": activity.amount,
        "tax": activity.tax,
        "units": activity.units,
        "categories": [
            CategorySum(*each)
            for each in zip(
                activity.categories,
                activity.category_amounts,
                activity.category_taxes,
                activity.category_units,
                strict=True,
            )
        ],
        "payments": [MethodSum(*each) for each in zip(activity.methods, activity.method_amounts, strict=True)],
        "returned_amount": activity.returned_amount,
        "voided": activity.voided,
    }
    return (ShownOrder if activity.kind == "order" else ShownTransaction)(**common, **receipt)


def event(topic: str, sequence: int, activity: Activity) -> Event:
    """The event that tells what became of an activity."""
    told = ToldActivity(
        activity.kind,
        activity.type,
        _source(activity),
        str(activity.merchant_id),
        activity.channel,
        _text(activity.location_id),
        activity.currency,
        activity.amount,
        activity.attribution,
        _text(activity.linked_id),
        clock.render(activity.received_at),
    )
    return Event(
        topic=topic,
        subject_type="Activity",
        subject_id=activity.id,
        sequence=sequence,
        document=jsonapi.resource(ACTIVITY_EVENT, activity.id, told),
        partner_id=activity.partner_id,
        merchant_id=activity.merchant_id,
        request_id=activity.request_id,
    )


def verdicts(shown: Sequence[VerdictAttributes], effects: Effects | None) -> bytes:
    """The answer to a list of documents: a verdict on each, in order."""
    counts = Counter(each.status for each in shown)
    meta = VerdictsMeta(counts["accepted"], counts["duplicate"], counts["rejected"], effects or msgspec.UNSET)
    data = (b'{"id":"%d","type":"Verdict","attributes":%s}' % (each.index, _encode(each)) for each in shown)
    return b'{"data":[%s],"meta":%s}' % (b",".join(data), _encode(meta))


def error(fault: Refusal, index: int) -> VerdictError:
    """A refusal of one document of a list, pointing to where it stands there."""
    place: dict[str, str] | None = None
    if fault.source is not None:
        name = fault.source.name
        if fault.source.kind == "pointer" and name.startswith("/data/attributes"):
            name = f"/data/{index}{name.removeprefix('/data')}"
        place = {fault.source.kind: name}
    return VerdictError(str(fault.status), fault.code, fault.title, fault.detail, place)


def _source(activity: Activity) -> SourceShown:
    own = activity.source.startswith(OWN)
    return SourceShown(activity.source_id, clock.render(activity.occurred_at), None if own else activity.source)


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
