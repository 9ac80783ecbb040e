"""Quotas over HTTP for operators: see and agree on them, and see what every partner uses."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from tallystick import audit
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.db import Db
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
    parameter,
)
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.base.work import OPERATOR, Asked, Tenant, Work
from tallystick.governance import reading, resource, terms
from tallystick.governance.api import METRIC, METRICS, chosen
from tallystick.governance.model import LINES_MAX, in_force
from tallystick.governance.terms import LineWish, NewTerms

ENVIRONMENTS: Final = ("sandbox", "production")
NO_AGREEMENT: Final = "No agreement has this id. Verify the id."
VERSION_MAX: Final = 2**31 - 1


class Agreed(Protocol):
    """An agreement: whose it is, and the books of its programme."""

    @property
    def id(self) -> UUID: ...
    @property
    def partner_id(self) -> UUID: ...
    @property
    def sandbox(self) -> Tenant: ...
    @property
    def production(self) -> Tenant: ...


Find = Callable[[Db, UUID], Awaitable[Agreed | None]]
OfPartner = Callable[[Db, UUID], Awaitable[Sequence[Agreed]]]


class SetQuotaTermsAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is agreed: all lines there are from then on. An empty list bounds nothing any more."""

    environment: Literal["sandbox", "production"]
    lines: Annotated[list[LineWish], Meta(max_length=LINES_MAX)]
    effective_from: Annotated[
        Annotated[str, Meta(max_length=40)] | None,
        Meta(description="ISO 8601, by the environment's clock; now unless told."),
    ] = None
    version: Annotated[
        Annotated[int, Meta(ge=0, le=VERSION_MAX)] | None,
        Meta(
            description="The last version as you saw it, 0 where there was none. Where another came, nothing is changed."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SetQuotas:
    """An operator's wish to agree on quotas with the partner of an agreement."""

    asked: Asked
    agreement_id: UUID
    new: NewTerms


SET_EXAMPLE: Final = {
    "environment": "production",
    "version": 2,
    "effectiveFrom": "2026-07-01T04:00:00.000Z",
    "lines": [
        {
            "metric": "rewards.value",
            "currency": "USD",
            "period": "month",
            "timeZone": "America/New_York",
            "included": 1_000_000,
            "beyond": "allow",
            "cap": 1_500_000,
            "unitPrice": 1,
            "per": 100,
        }
    ],
}


async def set_quotas(work: Work, commands: Sequence[SetQuotas]) -> list[Answer | Refusal]:
    """The new version for each command."""
    return await idempotency.keyed(work, "admin.quotas.set", commands, _set, fingerprint=_fingerprint, seal=HouseSeal())


async def _set(work: Work, command: SetQuotas) -> Answer | Refusal:
    made = await terms.agree(work, command.new)
    if isinstance(made, Refusal):
        return made
    holds = in_force(await terms.history(work, made.partner_id), work.now)
    audit.note(work, command.asked, status=200, resource_id=made.id)
    shown = resource.terms(command.agreement_id, work.tenant.environment, made, holds)
    return Answer(200, jsonapi.document(shown), made.id)


def _fingerprint(command: SetQuotas) -> bytes:
    new = command.new
    return msgspec.json.encode([str(command.agreement_id), new.lines, new.effective_from, new.replaces])


async def get_agreement_quotas(find: Find, call: Call) -> Reply:
    """The last version of the quotas, or an earlier one; null where none was ever agreed."""
    faults: list[Refusal] = []
    environment = chosen(call, "filter[environment]", ENVIRONMENTS, faults)
    if "filter[environment]" not in call.query:
        faults.append(InvalidRequest("Name the environment.", source=parameter("filter[environment]")))
    version = _version(call, faults)
    if faults:
        raise Refusals(faults)
    agreement = await _agreement(find, call)
    tenant = _tenant(agreement, environment)
    async with call.house.runtime.reading(tenant) as work:
        history = await terms.history(work, agreement.partner_id)
        holds = in_force(history, work.now)
    wanted = [each for each in history if version in (None, each.version)]
    if not wanted and version is not None:
        raise NotFound("There is no such version.")
    if not wanted:
        return Reply(200, jsonapi.null_document())
    shown = resource.terms(agreement.id, tenant.environment, wanted[-1], holds)
    return Reply(200, jsonapi.document(shown), resource_id=wanted[-1].id)


async def put_agreement_quotas(find: Find, call: Call) -> Reply:
    """Agree on quotas: a new version, which replaces every line from its instant on. What is used goes on."""
    sent: SetQuotaTermsAttributes = call.attributes
    faults = terms.faults_of(sent.lines)
    effective_from = None
    if sent.effective_from is not None:
        try:
            effective_from = clock.parse_instant(sent.effective_from)
        except ValueError as error:
            faults.append(InvalidRequest(str(error), source=attribute("effectiveFrom")))
    if faults:
        raise Refusals(faults)
    agreement = await _agreement(find, call)
    new = NewTerms(agreement.partner_id, tuple(sent.lines), effective_from, sent.version, call.caller.client_id)
    answer = await call.house.batcher.submit(
        set_quotas, _tenant(agreement, sent.environment), SetQuotas(call.asked, agreement.id, new)
    )
    return Reply(
        answer.status, answer.body, replayed=answer.replayed, resource_id=answer.resource_id, logged=not answer.replayed
    )


async def list_partner_usage(of_partner: OfPartner, call: Call) -> Reply:
    """What a partner uses of its quotas now, in every programme it has an agreement with."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    metric = chosen(call, "filter[metric]", METRICS, faults)
    environment = chosen(call, "filter[environment]", ENVIRONMENTS, faults)
    partner_id = ids.parse(call.query.get("filter[partnerId]", ""))
    if partner_id is None:
        faults.append(InvalidRequest("Name the partner by its id.", source=parameter("filter[partnerId]")))
    if faults or partner_id is None:
        raise Refusals(faults)
    async with call.house.runtime.pool.lend() as db:
        agreements = await of_partner(db, partner_id)
    shown: list[bytes] = []
    for agreement in agreements:
        tenant = _tenant(agreement, environment)
        async with call.house.runtime.reading(tenant) as work:
            found = await reading.running(work, partner_id, metric)
            shown += [resource.usage(tenant, each, work.now) for each in found]
    page = shown[offset : offset + limit]
    return Reply(200, jsonapi.listing(page, total=len(shown), offset=offset, limit=limit, call=call))


async def _agreement(find: Find, call: Call) -> Agreed:
    agreement_id = ids.parse(call.path["id"])
    if agreement_id is None:
        raise NotFound(NO_AGREEMENT)
    async with call.house.runtime.pool.lend() as db:
        found = await find(db, agreement_id)
    if found is None:
        raise NotFound(NO_AGREEMENT)
    return found


def _tenant(agreement: Agreed, environment: str | None) -> Tenant:
    return agreement.sandbox if environment == "sandbox" else agreement.production


def _version(call: Call, faults: list[Refusal]) -> int | None:
    text = call.query.get("filter[version]")
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= VERSION_MAX:
        return int(text)
    faults.append(InvalidRequest("A version is a whole number from 1 on.", source=parameter("filter[version]")))
    return None


def routes(find: Find, of_partner: OfPartner) -> tuple[Route, ...]:
    """What this room offers to operators. `find` and `of_partner` tell agreements, which another room keeps."""
    quotas = f"{resource.QUOTA_TERMS.path}/{{id}}/quotas"
    word = {"type": "string", "enum": list(ENVIRONMENTS)}
    uuid = {"type": "string", "format": "uuid"}
    named = Parameter("filter[environment]", "Whose quotas: each environment has its own.", required=True, schema=word)
    which = Parameter(
        "filter[version]", "This version; the last one unless told.", schema={"type": "integer", "minimum": 1}
    )
    whose = Parameter("filter[partnerId]", "The partner whose usage is wanted.", required=True, schema=uuid)
    where = Parameter("filter[environment]", "In this environment; production unless told.", schema=word)
    return (
        Route(
            "GET", quotas, partial(get_agreement_quotas, find), OPERATOR, "Get the quotas of an agreement",
            gives=resource.QUOTA_TERMS, nullable=True, query=(named, which), errors=(NotFound,),
        ),
        Route(
            "PUT", quotas, partial(put_agreement_quotas, find), OPERATOR, "Agree on quotas",
            takes=Takes(SetQuotaTermsAttributes, ("QuotaTerms",), SET_EXAMPLE), gives=resource.QUOTA_TERMS, keyed=True,
            errors=(NotFound, InvalidState, IdempotencyConflict),
        ),
        Route(
            "GET", "/admin/v1/usage", partial(list_partner_usage, of_partner), OPERATOR, "List what a partner uses",
            gives=resource.USAGE, many=True, query=(whose, where, METRIC, *PAGE),
        ),
    )  # fmt: skip
