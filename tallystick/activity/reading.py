"""Reading activity over HTTP: one, or the newest of some, page after page."""

from typing import Final
from uuid import UUID

import tallystick.activity.store as store
from tallystick.activity import resource, sent
from tallystick.activity.model import Kind
from tallystick.activity.store import By, Wanted
from tallystick.base import ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, Refusals, parameter
from tallystick.base.routes import Call, Parameter, Reply, Route
from tallystick.base.work import Work
from tallystick.customers.api import path_id

NEWEST: Final = UUID(int=2**128 - 1)
FINDING: Final[dict[str, By]] = {
    "filter[userId]": "customer",
    "filter[importId]": "import",
    "filter[merchantId]": "merchant",
}
"""Filters by an id; the first that is given finds, so that it may be given alone."""

WHOLE: Final = {"type": "integer", "minimum": 1}
UUID_SCHEMA: Final = {"type": "string", "format": "uuid"}


async def get_external_transaction(call: Call) -> Reply:
    """One transaction."""
    return await _get("transaction", call)


async def get_visit(call: Call) -> Reply:
    """One visit."""
    return await _get("visit", call)


async def get_order(call: Call) -> Reply:
    """One order."""
    return await _get("order", call)


async def list_external_transactions(call: Call) -> Reply:
    """Transactions, newest first. By source id it is found in your own source, unless `filter[system]` names another."""
    return await _list("transaction", call)


async def list_visits(call: Call) -> Reply:
    """Visits, newest first; as transactions are listed."""
    return await _list("visit", call)


async def list_orders(call: Call) -> Reply:
    """Orders, newest first; as transactions are listed."""
    return await _list("order", call)


async def _get(kind: Kind, call: Call) -> Reply:
    activity_id = path_id(call, missing())
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        found = (await store.by_ids(work, [activity_id])).get(activity_id)
        if (
            found is None
            or found.kind != kind
            or (caller.merchant_ids is not None and found.merchant_id not in caller.merchant_ids)
            or (found.partner_id != caller.partner_id and not caller.sees_programme)
        ):
            raise missing()
        shown = resource.resource(work, found, caller)
    return Reply(200, jsonapi.document(shown), resource_id=activity_id)


async def _list(kind: Kind, call: Call) -> Reply:
    faults: list[Refusal] = []
    _, limit = jsonapi.page(call, faults)
    before = _id(call, "page[after]", faults) or NEWEST
    given = {name: by for name, by in FINDING.items() if name in call.query}
    named = {name: _id(call, name, faults) for name in given}
    if len(given) > 1:
        faults += [InvalidRequest("Only one of these filters is taken.", source=parameter(name)) for name in given]
    if call.query.get("filter[customer]", "unknown") != "unknown":
        faults.append(InvalidRequest("unknown is wanted.", source=parameter("filter[customer]")))
    if call.query.get("filter[type]", "Refund") not in ("Purchase", "Void", "Refund"):
        faults.append(InvalidRequest("Purchase, Void or Refund is wanted.", source=parameter("filter[type]")))
    if faults:
        raise Refusals(faults)
    by: By = next(iter(given.values()), "unknown" if "filter[customer]" in call.query else "all")
    async with call.house.runtime.reading(call.caller.tenant) as work:
        name = next(iter(named.values()), None)
        if "filter[sourceId]" in call.query:
            by, name = "id", await _by_source(work, call, kind)
        found = await store.listed(work, _wanted(call, kind, by, name, before), limit + 1)
        shown = [resource.resource(work, each, call.caller) for each in found[:limit]]
    more = len(found) > limit
    following = jsonapi.link(call, {"page[after]": str(found[limit - 1].id)}) if more else None
    return Reply(200, jsonapi.feed(shown, meta={"limit": limit}, following=following))


def _wanted(call: Call, kind: Kind, by: By, name: UUID | None, before: UUID) -> Wanted:
    caller = call.caller
    return Wanted(
        by=by,
        named=name if by in ("customer", "merchant", "import", "id") else None,
        kind=kind,
        partner_id=None if caller.sees_programme else caller.partner_id,
        merchant_ids=caller.merchant_ids,
        type=call.query.get("filter[type]"),
        before=before,
    )


async def _by_source(work: Work, call: Call, kind: Kind) -> UUID:
    source = sent.source(call.caller, kind, call.query.get("filter[system]"))
    return await store.by_name(work, source, call.query["filter[sourceId]"]) or ids.new()


def _id(call: Call, name: str, faults: list[Refusal]) -> UUID | None:
    text = call.query.get(name)
    found = None if text is None else ids.parse(text)
    if text is not None and found is None:
        faults.append(InvalidRequest("An id is wanted.", source=parameter(name)))
    return found


def missing() -> NotFound:
    """The refusal for an activity that is unknown, or someone else's."""
    return NotFound("No activity has this id. Verify the id.")


FILTERS: Final = (
    Parameter("filter[userId]", "Only of this user.", schema=UUID_SCHEMA),
    Parameter("filter[importId]", "Only of this import.", schema=UUID_SCHEMA),
    Parameter("filter[merchantId]", "Only of this merchant.", schema=UUID_SCHEMA),
    Parameter("filter[sourceId]", "Only the one that has this source id."),
    Parameter("filter[system]", "With a source id: the system it is of; your own source unless told."),
    Parameter(
        "filter[customer]",
        "unknown: only of customers who were named and are not known yet.",
        schema={"type": "string", "enum": ["unknown"]},
    ),
)
TYPE_FILTER: Final = Parameter(
    "filter[type]", "Only of this type.", schema={"type": "string", "enum": ["Purchase", "Void", "Refund"]}
)
PAGES: Final = (
    Parameter("page[after]", "The id behind which to go on; links.next has it.", schema=UUID_SCHEMA),
    Parameter("page[limit]", "How many to answer, 1 to 50; 10 unless told.", schema=WHOLE),
)


def routes(kind: Kind) -> tuple[Route, Route]:
    """Reading one, and reading many."""
    lists, gets = {
        "transaction": (list_external_transactions, get_external_transaction),
        "visit": (list_visits, get_visit),
        "order": (list_orders, get_order),
    }[kind]
    shown, scope = resource.RESOURCES[kind], "activity:read"
    query = (*FILTERS, TYPE_FILTER, *PAGES) if kind == "transaction" else (*FILTERS, *PAGES)
    return (
        Route("GET", shown.path, lists, scope, f"List {kind}s", gives=shown, many=True, query=query),
        Route("GET", f"{shown.path}/{{id}}", gets, scope, f"Get one {kind}", gives=shown, errors=(NotFound,)),
    )
