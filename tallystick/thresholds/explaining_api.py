"""Why a user is where they are with a rule, over HTTP."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import tallystick.thresholds.explaining_store as store
import tallystick.thresholds.progress_store as progress_store
from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, Refusals, parameter
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route
from tallystick.base.work import Work
from tallystick.customers import lookup
from tallystick.customers.api import path_id
from tallystick.thresholds import actions, explaining_resource
from tallystick.thresholds.explaining_store import Explained
from tallystick.thresholds.model import Threshold, missing
from tallystick.thresholds.progress import Progress

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AT: Final = Parameter(
    "at",
    "The window of this instant is explained; of now, unless told.",
    schema={"type": "string", "format": "date-time"},
)
USER: Final = Parameter(
    "userId", "Whose progress is explained.", required=True, schema={"type": "string", "format": "uuid"}
)


async def explain_threshold(call: Call) -> Reply:
    """Which activities of a user count for a rule and which do not, by which filter; how far they are, and what they got.

    What other partners sent is listed where it counts; all of it, where the agreement shows you the whole programme. Of a user
    who was merged into another, that one is explained.
    """
    threshold_id, faults = path_id(call, missing()), list[Refusal]()
    offset, limit = jsonapi.page(call, faults)
    user_id, asked_at = _user(call, faults), _instant(call, faults)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        threshold = await actions.visible(work, caller, threshold_id)
        if threshold is None:
            raise missing()
        if faults or user_id is None:
            raise Refusals(faults)
        user_id = (await lookup.survivors(work, [user_id])).get(user_id, user_id)
        at, number = asked_at or work.now, threshold.shown_number
        partner_id = None if caller.sees_programme else caller.partner_id
        explained = await store.explain(
            work, threshold_id, user_id, at, number, partner_id=partner_id, offset=offset, limit=limit
        )
        progress = await _progress(work, threshold, user_id, explained)
        wanted = (threshold_id, progress.number)
        version = (await actions.versions(work, [wanted]))[wanted]
        shown = explaining_resource.document(progress, version, explained, at, work.now, offset=offset, limit=limit)
    return Reply(200, shown)


async def _progress(work: Work, threshold: Threshold, user_id: UUID, explained: Explained) -> Progress:
    """The progress as it stands; nothing, where nothing counted."""
    found = (await progress_store.by_ids(work, [explained.progress_id])).get(explained.progress_id)
    return found or Progress(
        id=explained.progress_id,
        threshold_id=threshold.id,
        customer_id=user_id,
        merchant_id=threshold.merchant_id,
        window_start=explained.window_start,
        current=0,
        pending=0,
        reached=0,
        number=threshold.shown_number,
        told=0,
        updated_at=work.now,
    )


def _user(call: Call, faults: list[Refusal]) -> UUID | None:
    text = call.query.get("userId")
    found = None if text is None else ids.parse(text)
    if found is None:
        faults.append(InvalidRequest("The id of a user is wanted.", source=parameter("userId")))
    return found


def _instant(call: Call, faults: list[Refusal]) -> datetime | None:
    text = call.query.get("at")
    if text is None:
        return None
    try:
        at = clock.parse_instant(text)
    except ValueError as wrong:
        faults.append(InvalidRequest(str(wrong), source=parameter("at")))
        return None
    if at < EPOCH:
        faults.append(InvalidRequest("Nothing is stored that happened before 1970.", source=parameter("at")))
    return at


def routes() -> tuple[Route, ...]:
    """Explaining."""
    explanation = explaining_resource.EXPLANATION
    return (
        Route(
            "GET", explanation.path, explain_threshold, "thresholds:read", "Explain what counts for a threshold rule",
            gives=explanation, query=(USER, AT, *PAGE), errors=(NotFound,),
        ),
    )  # fmt: skip
