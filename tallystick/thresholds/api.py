"""Rules over HTTP: written as drafts, published in versions, paused, resumed and completed."""

from functools import partial
from typing import Final
from uuid import UUID

from msgspec import UNSET

import tallystick.thresholds.store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    at,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.base.work import Work
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.merchants import MerchantDirectory
from tallystick.thresholds import (
    actions,
    changing,
    checking,
    explaining_api,
    progress_api,
    rehearsing_api,
    resource,
    sent,
)
from tallystick.thresholds.actions import AddThreshold
from tallystick.thresholds.changing import (
    ChangeThreshold,
    CompleteThreshold,
    PauseThreshold,
    PublishThreshold,
    ResumeThreshold,
)
from tallystick.thresholds.model import STATUSES, Version, missing
from tallystick.thresholds.sent import PublishSent, RuleChanged, RuleSent


async def add_threshold(directory: MerchantDirectory, call: Call) -> Reply:
    """Write a rule for a merchant, as a draft."""
    wanted: RuleSent = call.attributes
    faults: list[Refusal] = []
    changes = sent.changes(wanted, faults)
    merchant_id = await _merchant(directory, call, wanted.merchant_id, faults)
    if merchant_id is not None:
        async with call.house.runtime.reading(call.caller.tenant) as work:
            draft = await actions.draft_of(work, merchant_id, ids.new(), changes)
            await _check(work, draft, faults)
    if merchant_id is None or faults:
        raise Refusals(faults)
    command = AddThreshold(call.asked, merchant_id, changes)
    return replied(await call.house.batcher.submit(actions.add, call.caller.tenant, command))


async def list_thresholds(call: Call) -> Reply:
    """Rules, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status is not None and status not in STATUSES:
        detail = f"The status is one of {', '.join(STATUSES)}."
        faults.append(InvalidRequest(detail, source=parameter("filter[status]")))
    named = call.query.get("filter[merchantId]")
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        faults.append(InvalidRequest("An id is wanted.", source=parameter("filter[merchantId]")))
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, merchant_id, status, offset, limit)
        shown = await changing.all_shown(work, [threshold.at(work.now) for threshold in page])
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_threshold(call: Call) -> Reply:
    """One rule: the version in force, and a newer draft."""
    threshold_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        threshold = await actions.visible(work, call.caller, threshold_id)
        if threshold is None:
            raise missing()
        shown = await changing.shown(work, threshold)
    return Reply(200, jsonapi.document(shown), resource_id=threshold_id)


async def list_threshold_versions(call: Call) -> Reply:
    """Every version of a rule, newest first, with the stretches of time in which it counted."""
    threshold_id = path_id(call, missing())
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        if await actions.visible(work, call.caller, threshold_id) is None:
            raise missing()
        page, total = await store.list_versions(work, threshold_id, offset, limit)
        stretches = await store.intervals(work, threshold_id, [version.number for version in page])
    shown = [resource.version(version, stretches) for version in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def change_threshold(call: Call) -> Reply:
    """Rewrite a rule's draft, or make the next version of it as one."""
    wanted: RuleChanged = call.attributes
    if all(getattr(wanted, name) is UNSET for name in wanted.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    threshold_id, caller = path_id(call, missing()), call.caller
    faults: list[Refusal] = []
    changes = sent.changes(wanted, faults)
    async with call.house.runtime.reading(caller.tenant) as work:
        threshold = await actions.visible(work, caller, threshold_id)
        if threshold is None or threshold.partner_id != caller.partner_id:
            raise missing()
        await _check(work, await changing.redrafted(work, threshold, changes), faults)
    if faults:
        raise Refusals(faults)
    command = ChangeThreshold(call.asked, threshold_id, changes)
    return replied(await call.house.batcher.submit(changing.change, caller.tenant, command))


async def publish_threshold(call: Call) -> Reply:
    """Bring the latest version of a rule into force, now or at an instant to come."""
    wanted: PublishSent | None = call.attributes
    faults: list[Refusal] = []
    instant = None if wanted is None else sent.instant(wanted.at, "at", faults)
    if faults:
        raise Refusals(faults)
    command = PublishThreshold(call.asked, path_id(call, missing()), instant)
    return replied(await call.house.batcher.submit(changing.publish, call.caller.tenant, command))


async def pause_threshold(call: Call) -> Reply:
    """Count nothing until the rule is resumed, and call off what waits to come into force."""
    command = PauseThreshold(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(changing.pause, call.caller.tenant, command))


async def resume_threshold(call: Call) -> Reply:
    """Count again, by the version that was in force."""
    command = ResumeThreshold(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(changing.resume, call.caller.tenant, command))


async def complete_threshold(call: Call) -> Reply:
    """End a rule for good."""
    command = CompleteThreshold(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(changing.complete, call.caller.tenant, command))


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None, faults: list[Refusal]) -> UUID | None:
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        detail = "There is no such merchant that you may act for."
        faults.append(InvalidRequest(detail, source=attribute("merchantId")))
        return None
    try:
        return (await directory.resolve(call.caller, merchant_id)).id
    except InvalidRequest as refused:
        faults.append(refused)
        return None


async def _check(work: Work, draft: Version | None, faults: list[Refusal]) -> None:
    """Add what is wrong with a draft as a whole, but for parts that could not be read in the first place."""
    if draft is None:
        return
    unread = tuple(fault.source.name for fault in faults if fault.source is not None)
    for found in await checking.faults(work, draft):
        assert found.source is not None, "what is wrong with a rule is somewhere"
        if not any(place.startswith(found.source.name) for place in unread):
            faults.append(found)


THRESHOLD_FILTERS: Final = (
    Parameter("filter[merchantId]", "Only rules of this merchant.", schema={"type": "string", "format": "uuid"}),
    Parameter(
        "filter[status]",
        "Only rules of this status, as it holds now.",
        schema={"type": "string", "enum": list(STATUSES)},
    ),
)
ADD_EXAMPLE: Final = {
    "name": "Breakfast club",
    "metric": "spend",
    "filters": {"hours": {"from": "07:00", "until": "11:00"}, "excludedMethods": ["GiftCard", "Wallet"]},
    "steps": [{"target": 5000, "reward": {"type": "walletCredit", "amount": 500}}],
    "window": {"kind": "calendar", "period": "month"},
    "budgets": [{"scope": "rule", "amount": 100000, "period": "month"}],
}
CHANGE_EXAMPLE: Final = {"steps": [{"target": 4000, "reward": {"type": "walletCredit", "amount": 500}}]}
READ, WRITE = "thresholds:read", "thresholds:write"


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """The rules, and what becomes of them."""
    rule, one = resource.THRESHOLD, f"{resource.THRESHOLD.path}/{{id}}"
    adds = partial(add_threshold, directory)
    takes = Takes(RuleSent, ("Threshold",), ADD_EXAMPLE)
    changes = Takes(RuleChanged, ("Threshold",), CHANGE_EXAMPLE)
    return (
        Route(
            "POST", rule.path, adds, WRITE, "Write a threshold rule", takes, rule,
            status=201, keyed=True, errors=(IdempotencyConflict,),
        ),
        Route(
            "GET", rule.path, list_thresholds, READ, "List threshold rules",
            gives=rule, many=True, query=(*THRESHOLD_FILTERS, *PAGE),
        ),
        Route("GET", one, get_threshold, READ, "Get a threshold rule", gives=rule, errors=(NotFound,)),
        Route(
            "GET", resource.VERSION.path, list_threshold_versions, READ, "List the versions of a threshold rule",
            gives=resource.VERSION, many=True, query=PAGE, errors=(NotFound,),
        ),
        Route(
            "PATCH", one, change_threshold, WRITE, "Change a threshold rule",
            changes, rule, keyed=True, errors=(NotFound, InvalidState, IdempotencyConflict),
        ),
        *_life(),
        *rehearsing_api.routes(),
        *explaining_api.routes(),
        *progress_api.routes(directory),
    )  # fmt: skip


def _life() -> tuple[Route, ...]:
    rule, one = resource.THRESHOLD, f"{resource.THRESHOLD.path}/{{id}}"
    publishes = Takes(PublishSent, ("PublishThreshold",), {"at": "2026-07-01T04:00:00.000Z"}, optional=True)
    errors = (NotFound, InvalidState, IdempotencyConflict)
    verbs = (
        ("pause", pause_threshold, "Pause a threshold rule", "PauseThreshold"),
        ("resume", resume_threshold, "Resume a threshold rule", "ResumeThreshold"),
        ("complete", complete_threshold, "Complete a threshold rule", "CompleteThreshold"),
    )
    return (
        Route(
            "POST", f"{one}/publish", publish_threshold, WRITE, "Publish a threshold rule",
            publishes, rule, keyed=True, errors=errors,
        ),
        *(
            Route(
                "POST", f"{one}/{verb}", handler, WRITE, summary,
                Takes(NoAttributes, (kind,), optional=True), rule, keyed=True, errors=errors,
            )
            for verb, handler, summary, kind in verbs
        ),
    )  # fmt: skip
