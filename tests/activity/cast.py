"""Short ways to tell of activity in the tests, below the API and through it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick import activity
from tallystick.activity import Identity, RecordActivity, Recorded
from tallystick.base import ids
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Caller, Runtime, Work
from tests.api import Answer, Api
from tests.world import T0

SOURCE = "till:luna"


def caller_of(api: Api, **changes: Any) -> Caller:
    """Who the credential stands for, as far as landing asks."""
    settings: dict[str, Any] = {
        "tenant": api.tenant,
        "partner_id": api.partner_id,
        "client_id": UUID(api.client_id),
        "scopes": frozenset(),
        "merchant_ids": None,
        "sees_programme": False,
        "rate_per_minute": 1,
        "rate_burst": 1,
    }
    return Caller(**(settings | changes))


def told(api: Api, source_id: str | None = None, **changes: Any) -> RecordActivity:
    """A purchase of 10.00 at Café Luna just now, by nobody, unless changed; `user` names its customer."""
    user = changes.pop("user", None)
    caller = changes.pop("caller", None) or caller_of(api)
    settings: dict[str, Any] = {
        "asked": Asked(caller, ids.new(), "POST", "/api/v1/external-transactions"),
        "kind": "transaction",
        "type": "Purchase",
        "merchant_id": api.merchant_id,
        "source": SOURCE,
        "source_id": source_id or str(ids.new()),
        "occurred_at": T0,
        "identity": None if user is None else Identity("userId", str(user)),
        "amount": 1000,
    }
    return RecordActivity(**(settings | changes))


async def accept(runtime: Runtime, api: Api, *commands: RecordActivity) -> list[Recorded | Refusal]:
    """Accept all of these in one work."""
    async with runtime.work(api.tenant) as work:
        return await activity.accept(work, commands)


async def recorded(runtime: Runtime, api: Api, *commands: RecordActivity) -> list[Recorded]:
    """Accept all of these in one work, none of which may be refused."""
    outcomes = await accept(runtime, api, *commands)
    assert all(isinstance(outcome, Recorded) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Recorded)]


async def stored(work: Work) -> dict[str, Any]:
    """Every activity of the tenant by its source id."""
    rows = await work.db.rows("select * from activities where tenant_id = $1", work.tenant.id)
    return {row["source_id"]: row for row in rows}


async def standing(runtime: Runtime, api: Api, source_id: str) -> tuple[int, int, bool]:
    """What was returned of an activity, its units, and whether it was voided."""
    async with runtime.reading(api.tenant) as work:
        row = (await stored(work))[source_id]
    return row["returned_amount"], row["returned_units"], row["voided"]


async def names(runtime: Runtime, api: Api) -> dict[str, bool]:
    """Every name that is kept, and whether an activity has it."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select source_id, activity_id from activity_keys where tenant_id = $1", work.tenant.id
        )
    return {row[0]: row[1] is not None for row in rows}


def purchase(source_id: str, amount: int | None = 1000, **more: Any) -> dict[str, Any]:
    """The attributes of a purchase; `user` names its customer, `at` when it happened."""
    return transaction("Purchase", source_id, amount, **more)


def transaction(
    kind: str, source_id: str, amount: int | None = None, *, user: str | None = None, at: str | None = None, **more: Any
) -> dict[str, Any]:
    """The attributes of an external transaction."""
    attributes: dict[str, Any] = {
        "type": kind,
        "source": {"id": source_id, "createdAt": at or T0.isoformat()},
        "channel": "pos",
        **({} if amount is None else {"amount": amount}),
        **({} if user is None else {"customer": {"userId": user}}),
        **more,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def send(api: Api, attributes: dict[str, Any], path: str = "external-transactions", query: str = "") -> Answer:
    """One document."""
    return await api.post(path + query, {"data": {"type": TYPES[path], "attributes": attributes}})


async def send_many(
    api: Api, documents: list[dict[str, Any]], path: str = "external-transactions", query: str = ""
) -> Answer:
    """Several documents at once."""
    return await api.post(path + query, {"data": [{"type": TYPES[path], "attributes": each} for each in documents]})


TYPES = {"external-transactions": "ExternalTransaction", "visits": "Visit", "orders": "Order"}


async def progress_of(runtime: Runtime, api: Api, threshold_id: str, user_id: str) -> tuple[int, int]:
    """What a customer's progress counts, and what of it waits, in all windows."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select current, pending from threshold_progress where tenant_id = $1 and threshold_id = $2 and customer_id = $3",
            work.tenant.id,
            UUID(threshold_id),
            UUID(user_id),
        )
    return sum(row[0] for row in rows), sum(row[1] for row in rows)
