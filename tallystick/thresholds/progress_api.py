"""Progress over HTTP."""

from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import tallystick.thresholds.progress_store as store
from tallystick import customers
from tallystick.base import cursors, ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, Refusals, parameter
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route
from tallystick.base.work import Work
from tallystick.customers import recipients
from tallystick.customers.api import path_id
from tallystick.merchants import MerchantDirectory, phones
from tallystick.thresholds import actions, progress_resource
from tallystick.thresholds.progress import SHOWN, Progress, no_progress

ID_SCHEMA: Final = {"type": "string", "format": "uuid"}
FILTERS: Final = (
    Parameter("filter[userId]", "Only progress of this user.", schema=ID_SCHEMA),
    Parameter("filter[phoneNumber]", "Only progress of users with this phone number."),
    Parameter("filter[thresholdId]", "Only progress of this threshold.", schema=ID_SCHEMA),
    Parameter(
        "filter[status]",
        "Only progress of this status, as it holds now.",
        schema={"type": "string", "enum": list(SHOWN)},
    ),
    Parameter(
        "filter[window]", "`current`: only windows that are not over.", schema={"type": "string", "enum": ["current"]}
    ),
)


AFTER: Final = Parameter("page[after]", "The cursor behind which to go on; links.next has it.")
LIST: Final = "threshold-progress"


async def list_progress(directory: MerchantDirectory, call: Call) -> Reply:
    """How far users are. Who never did anything that counts has no progress.

    Of a user, a phone number or a threshold: last moved first, by offset, with `meta.total`. Else, and behind `page[after]`: in an
    order that stays, by cursor; follow `links.next` until it is null, also behind a page that holds nothing.
    """
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    after = _after(call, faults)
    user_id, threshold_id = _id(call, "filter[userId]", faults), _id(call, "filter[thresholdId]", faults)
    phone, window = call.query.get("filter[phoneNumber]"), call.query.get("filter[window]")
    e164 = None
    if phone is not None:
        e164 = await phones.e164(directory, call.caller, phone, parameter("filter[phoneNumber]"), faults)
    status = call.query.get("filter[status]")
    if status is not None and status not in SHOWN:
        detail = f"The status is one of {', '.join(SHOWN)}."
        faults.append(InvalidRequest(detail, source=parameter("filter[status]")))
    if window not in (None, "current"):
        faults.append(InvalidRequest("The window is `current`, or left out.", source=parameter("filter[window]")))
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        people = await _customers(work, user_id, e164)
        wanted = store.Wanted(partner_id, caller.merchant_ids, people, threshold_id, window == "current", status)
        if after is None and (people is not None or threshold_id is not None):
            page, total = await store.listed(work, wanted, offset, limit)
            return Reply(
                200, jsonapi.listing(await _shown(work, page), total=total, offset=offset, limit=limit, call=call)
            )
        page, following = await store.stretch(work, wanted, after or store.FIRST, limit)
        shown = await _shown(work, page)
    more = None if following is None else jsonapi.link(call, {"page[after]": _cursor(call, following)})
    return Reply(200, jsonapi.feed(shown, meta={"limit": limit}, following=more))


async def get_progress(call: Call) -> Reply:
    """How far one user is in one window of one threshold."""
    async with call.house.runtime.reading(call.caller.tenant) as work:
        progress = await _visible(work, call)
        (shown,) = await _shown(work, [progress])
    return Reply(200, jsonapi.document(shown), resource_id=progress.id)


async def list_counted(call: Call) -> Reply:
    """What counted, newest first, as it stands now: by how much, by which version, and what there was by then."""
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        progress = await _visible(work, call)
        rows, total = await store.counted(work, progress.id, offset, limit)
    shown = progress_resource.counted(rows)
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def _visible(work: Work, call: Call) -> Progress:
    progress = (await store.by_ids(work, [path_id(call, no_progress())])).get(path_id(call, no_progress()))
    if progress is None or await actions.visible(work, call.caller, progress.threshold_id) is None:
        raise no_progress()
    return progress


async def _shown(work: Work, page: list[Progress]) -> list[bytes]:
    versions = await actions.versions(work, list({(each.threshold_id, each.number) for each in page}))
    return [progress_resource.shown(each, versions[each.threshold_id, each.number], work.now) for each in page]


async def _customers(work: Work, user_id: UUID | None, e164: str | None) -> list[UUID] | None:
    """The users that are asked for; None: whoever. Of who turned out to be somebody else that person is meant."""
    if user_id is not None:
        user_id = (await customers.survivors(work, [user_id])).get(user_id, user_id)
    if e164 is None:
        return None if user_id is None else [user_id]
    person = await recipients.find(work, e164)
    known = [] if person is None else await customers.ids_of_recipient(work, person.id)
    return [each for each in known if user_id in (None, each)]


def _cursor(call: Call, key: store.Key) -> str:
    threshold_id, customer_id, window_start = key
    place = threshold_id.bytes + customer_id.bytes + window_start.isoformat().encode()
    return cursors.cursor(call.house.runtime.keys, call.caller, LIST, place)


def _after(call: Call, faults: list[Refusal]) -> store.Key | None:
    text = call.query.get("page[after]")
    place = None if text is None else cursors.place_of(call.house.runtime.keys, call.caller, LIST, text)
    if text is not None and place is None:
        detail = "This is not a cursor that was given to you; follow links.next."
        faults.append(InvalidRequest(detail, source=parameter("page[after]")))
    if place is None:
        return None
    return UUID(bytes=place[:16]), UUID(bytes=place[16:32]), datetime.fromisoformat(place[32:].decode())


def _id(call: Call, name: str, faults: list[Refusal]) -> UUID | None:
    text = call.query.get(name)
    found = None if text is None else ids.parse(text)
    if text is not None and found is None:
        faults.append(InvalidRequest("An id is wanted.", source=parameter(name)))
    return found


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """How far users are."""
    progress, read = progress_resource.PROGRESS, "thresholds:read"
    return (
        Route(
            "GET", progress.path, partial(list_progress, directory), read, "List progress",
            gives=progress, many=True, query=(*FILTERS, *PAGE, AFTER),
        ),
        Route("GET", f"{progress.path}/{{id}}", get_progress, read, "Get progress", gives=progress, errors=(NotFound,)),
        Route(
            "GET", progress_resource.COUNTED.path, list_counted, read, "List what counted",
            gives=progress_resource.COUNTED, many=True, query=PAGE, errors=(NotFound,),
        ),
    )  # fmt: skip
