"""Quotas over HTTP: what a partner has used of them, and what it is charged beyond."""

from datetime import UTC, datetime
from typing import Final, get_args

from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, Refusals, parameter
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route
from tallystick.governance import reading, resource
from tallystick.governance.model import Metric

SCOPE: Final = "usage:read"
METRICS: Final = get_args(Metric)
PERIODS: Final = ("current", "previous")
INSTANT: Final = {"type": "string", "format": "date-time"}
ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)

METRIC: Final = Parameter(
    "filter[metric]", "Only quotas of this metric.", schema={"type": "string", "enum": list(METRICS)}
)
PERIOD: Final = Parameter(
    "filter[period]",
    "`current`, unless told: the periods that run now. `previous`: those that are over, the last one first.",
    schema={"type": "string", "enum": list(PERIODS)},
)
START: Final = Parameter("filter[periodStart]", "Only periods that began at this instant or later.", schema=INSTANT)
END: Final = Parameter("filter[periodEnd]", "Only periods that ended at this instant or earlier.", schema=INSTANT)


async def list_usage(call: Call) -> Reply:
    """What you use of each quota that was agreed with you, now or in periods that are over."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    metric, period = chosen(call, "filter[metric]", METRICS, faults), chosen(call, "filter[period]", PERIODS, faults)
    if faults:
        raise Refusals(faults)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        if period == "previous":
            page, total = await reading.ended(work, caller.partner_id, metric, offset, limit)
        else:
            found = await reading.running(work, caller.partner_id, metric)
            page, total = found[offset : offset + limit], len(found)
        shown = [resource.usage(caller.tenant, each, work.now) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_usage(call: Call) -> Reply:
    """What you use, or used, of one quota in one period."""
    usage_id = ids.parse(call.path["id"])
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = None if usage_id is None else await reading.find(work, call.caller.partner_id, usage_id)
        if found is None:
            raise NotFound("No usage has this id. Verify the id.")
        shown = resource.usage(call.caller.tenant, found, work.now)
    return Reply(200, jsonapi.document(shown), resource_id=usage_id)


async def list_overage_lines(call: Call) -> Reply:
    """What goes on the invoice: each period that is over and went beyond what it includes at a price, in their order."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    since, until = _instant(call, START.name, ALWAYS, faults), _instant(call, END.name, clock.END_OF_TIME, faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await reading.overage_lines(work, call.caller.partner_id, since, until)
    shown = [resource.overage_line(each) for each in found[offset : offset + limit]]
    return Reply(200, jsonapi.listing(shown, total=len(found), offset=offset, limit=limit, call=call))


def chosen(call: Call, name: str, known: tuple[str, ...], faults: list[Refusal]) -> str | None:
    """A query parameter that is one of these words, or None where it is left out."""
    given = call.query.get(name)
    if given is not None and given not in known:
        faults.append(InvalidRequest(f"One of {', '.join(known)} is wanted.", source=parameter(name)))
    return given


def _instant(call: Call, name: str, otherwise: datetime, faults: list[Refusal]) -> datetime:
    text = call.query.get(name)
    if text is None:
        return otherwise
    try:
        return clock.parse_instant(text)
    except ValueError as error:
        faults.append(InvalidRequest(str(error), source=parameter(name)))
        return otherwise


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", resource.USAGE.path, list_usage, SCOPE, "List what you use of your quotas",
        gives=resource.USAGE, many=True, query=(METRIC, PERIOD, *PAGE),
    ),
    Route(
        "GET", resource.OVERAGE_LINE.path, list_overage_lines, SCOPE, "List what is charged beyond your quotas",
        gives=resource.OVERAGE_LINE, many=True, query=(START, END, *PAGE),
    ),
    Route(
        "GET", f"{resource.USAGE.path}/{{id}}", get_usage, SCOPE, "Get what you use of one quota in one period",
        gives=resource.USAGE, errors=(NotFound,),
    ),
)  # fmt: skip
