"""Rewards over HTTP: the partner-rewards contract, its batches, and reversal."""

import re
from dataclasses import replace
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

import tallystick.rewards.batch_store as batch_store
import tallystick.rewards.store as store
from tallystick.base import ids, jsonapi, phone
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    QuotaExceeded,
    Refusal,
    Refusals,
    attribute,
    parameter,
)
from tallystick.base.idempotency import Answer
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers import recipients
from tallystick.merchants import MerchantDirectory, MerchantRef
from tallystick.rewards import batch_resource, batches, changing, resource
from tallystick.rewards.batches import RECIPIENTS_MAX, AcceptBatch, LineWish, RevokeBatch
from tallystick.rewards.changing import CancelReward, ReverseReward, UpdateReward
from tallystick.rewards.issuing import issue
from tallystick.rewards.model import (
    AMOUNT_MAX,
    InsufficientFunding,
    IssueReward,
    MultipleActiveWallets,
    PreIssuedConflict,
    WalletNotFound,
    WalletNotIssuable,
)

MESSAGE_MAX = 500
CODE_MAX = 100
EMAIL_MAX = 254
KEY_MAX = 255
STATUSES = ("Created", "Claimed", "Expired", "Cancelled", "Credited")
OUTCOMES = ("waiting", "succeeded", "failed")

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the merchant's currency.")]
Message = Annotated[str, Meta(max_length=MESSAGE_MAX)]
Code = Annotated[str, Meta(max_length=CODE_MAX)]
Email = Annotated[str, Meta(max_length=EMAIL_MAX)]
Phone = Annotated[str, Meta(min_length=1, max_length=40, description="E.164, or national format of the merchant's country.")]
Key = Annotated[str, Meta(min_length=1, max_length=KEY_MAX)]

# One address, an @ between two parts without spaces, a dot in the second: what can be mailed; the rest the mail tells.
EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+")


class IssueRewardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What a partner sends to give a reward."""

    phone_number: Phone
    amount: Amount
    idempotency_key: Key
    message: Message | None = None
    reason_code: Code | None = None
    cost_center: Code | None = None
    notification_email: Email | None = None
    merchant_id: str | None = None


class UpdateRewardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What may change while a reward waits; what is absent stays, null or blank clears."""

    amount: Amount | UnsetType = UNSET
    message: Message | None | UnsetType = UNSET
    reason_code: Code | None | UnsetType = UNSET
    cost_center: Code | None | UnsetType = UNSET
    notification_email: Email | None | UnsetType = UNSET


class ReverseRewardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How much to take back; everything that is left, unless told."""

    amount: Amount | None = None


class RecipientAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One line of a batch."""

    phone_number: Phone
    amount: Amount
    message: Message | None = None
    reason_code: Code | None = None
    cost_center: Code | None = None
    notification_email: Email | None = None


class NewBatchAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Up to 10,000 rewards for one merchant."""

    idempotency_key: Key
    recipients: Annotated[list[RecipientAttributes], Meta(min_length=1, max_length=RECIPIENTS_MAX)]
    merchant_id: str | None = None


ISSUE_EXAMPLE = {
    "phoneNumber": "+15551234567",
    "amount": 500,
    "idempotencyKey": "reward-case-98765",
    "reasonCode": "CX-COMPENSATION",
    "message": "Thank you for your patience!",
}
NO_REWARD = "No reward has this id. Verify the id."
NO_BATCH = "No reward batch has this id. Verify the id."


async def issue_reward(directory: MerchantDirectory, call: Call) -> Reply:
    """Give one reward; a retry with the same key gets the same answer."""
    sent: IssueRewardAttributes = call.attributes
    named, merchant = await _merchant(directory, call, sent.merchant_id)
    faults: list[Refusal] = []
    e164 = _phone(sent.phone_number, merchant.country, faults)
    command = IssueReward(
        asked=call.asked,
        merchant_id=merchant.id,
        merchant_named=named,
        phone=e164,
        amount=sent.amount,
        key=sent.idempotency_key,
        message=_text(sent.message),
        reason_code=_text(sent.reason_code),
        cost_center=_text(sent.cost_center),
        notification_email=_email(sent.notification_email, faults),
    )
    if faults:
        raise Refusals(faults)
    outcome = await call.house.batcher.submit(issue, call.caller.tenant, command)
    return Reply(
        200,
        outcome.document,
        replayed=outcome.replayed,
        resource_id=outcome.reward_id,
        logged=not outcome.replayed,
    )


async def list_rewards(call: Call) -> Reply:
    """Both kinds, newest first; a status speaks of pre-issued ones."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status is not None and status not in STATUSES:
        faults.append(
            InvalidRequest(f"The status is one of {', '.join(STATUSES)}.", source=parameter("filter[status]"))
        )
    e164 = _phone_filter(call.query.get("filter[phoneNumber]"), faults)
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        person = await recipients.find(work, e164)
        page, total = (
            ([], 0)
            if person is None
            else await store.listed(work, person.id, partner_id, caller.merchant_ids, status, offset, limit)
        )
        shown = [
            resource.resource(reward, resource.open_private(reward, person), work.now)
            for reward in page
            if person is not None
        ]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_reward(call: Call) -> Reply:
    """One reward; `{"data": null}` where there is none that the caller may see, also for a malformed id."""
    reward_id = ids.parse(call.path["id"])
    if reward_id is None:
        return Reply(200, resource.EMPTY)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        reward = await changing.visible(work, call.asked, reward_id)
        if reward is None:
            return Reply(200, resource.EMPTY)
        person = (await recipients.by_ids(work, [reward.recipient_id]))[reward.recipient_id]
        shown = resource.resource(reward, resource.open_private(reward, person), work.now)
    return Reply(200, jsonapi.document(shown), resource_id=reward_id)


async def update_reward(call: Call) -> Reply:
    """Change a reward that waits; reserved funding moves with the amount."""
    sent: UpdateRewardAttributes = call.attributes
    if all(getattr(sent, name) is UNSET for name in sent.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=attribute(""))
    faults: list[Refusal] = []
    email: Any = sent.notification_email
    command = UpdateReward(
        call.asked,
        _id(call, NO_REWARD),
        sent.amount,
        _changed_text(sent.message),
        _changed_text(sent.reason_code),
        _changed_text(sent.cost_center),
        email if email is UNSET else _email(email, faults),
    )
    if faults:
        raise Refusals(faults)
    return _reply(await call.house.batcher.submit(changing.update, call.caller.tenant, command))


async def cancel_reward(call: Call) -> Reply:
    """Take back a reward that waits."""
    command = CancelReward(call.asked, _id(call, NO_REWARD))
    return _reply(await call.house.batcher.submit(changing.cancel, call.caller.tenant, command))


async def reverse_reward(call: Call) -> Reply:
    """Take back a credited reward: the unspent part returns, the spent part the holder owes."""
    sent: ReverseRewardAttributes | None = call.attributes
    command = ReverseReward(call.asked, _id(call, NO_REWARD), None if sent is None else sent.amount)
    return _reply(await call.house.batcher.submit(changing.reverse, call.caller.tenant, command))


async def accept_batch(directory: MerchantDirectory, call: Call) -> Reply:
    """Accept up to 10,000 rewards at once."""
    sent: NewBatchAttributes = call.attributes
    _, merchant = await _merchant(directory, call, sent.merchant_id)
    faults: list[Refusal] = []
    lines = tuple(_line(number, line, faults) for number, line in enumerate(sent.recipients))
    if faults:
        raise Refusals(faults)
    asked = replace(call.asked, key=sent.idempotency_key)
    command = AcceptBatch(asked, merchant.id, merchant.country, lines)
    return _reply(await call.house.batcher.submit(batches.accept, call.caller.tenant, command))


async def revoke_batch(call: Call) -> Reply:
    """Stop a batch and take back what it gave."""
    command = RevokeBatch(call.asked, _id(call, NO_BATCH))
    return _reply(await call.house.batcher.submit(batches.revoke, call.caller.tenant, command))


async def get_batch(call: Call) -> Reply:
    """How far a batch is."""
    batch_id = _id(call, NO_BATCH)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        batch = await batches.visible(work, call.asked, batch_id)
    if batch is None:
        raise NotFound(NO_BATCH)
    return Reply(200, batch_resource.document(batch), resource_id=batch_id)


async def list_batches(call: Call) -> Reply:
    """The caller's batches, newest first."""
    offset, limit = jsonapi.page(call)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await batch_store.listed(
            work, None if caller.sees_programme else caller.partner_id, caller.merchant_ids, offset, limit
        )
    shown = [batch_resource.resource(batch) for batch in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def list_lines(call: Call) -> Reply:
    """What became of each line of a batch, in order."""
    batch_id = _id(call, NO_BATCH)
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    outcome = call.query.get("filter[status]")
    if outcome is not None and outcome not in OUTCOMES:
        faults.append(
            InvalidRequest(f"The status is one of {', '.join(OUTCOMES)}.", source=parameter("filter[status]"))
        )
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        if await batches.visible(work, call.asked, batch_id) is None:
            raise NotFound(NO_BATCH)
        page, total = await batch_store.lines(work, batch_id, outcome, offset, limit)
    shown = [batch_resource.line(batch_id, line) for line in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None) -> tuple[bool, MerchantRef]:
    """Whether the request named its merchant, and which it is."""
    if named is None:
        found = directory.resolve_cached(call.caller, None)
        return False, found or await directory.resolve(call.caller, None)
    merchant_id = ids.parse(named)
    if merchant_id is None:
        raise InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    found = directory.resolve_cached(call.caller, merchant_id)
    return True, found or await directory.resolve(call.caller, merchant_id)


def _phone(sent: str, country: str | None, faults: list[Refusal]) -> str:
    try:
        return phone.normalise(sent, country)
    except phone.ImpossiblePhone as impossible:
        faults.append(InvalidRequest(str(impossible), source=attribute("phoneNumber")))
        return ""


def _phone_filter(sent: str | None, faults: list[Refusal]) -> str:
    name = parameter("filter[phoneNumber]")
    if sent is None:
        faults.append(InvalidRequest("filter[phoneNumber] is required: rewards are listed by phone number.", source=name))
        return ""
    try:
        return phone.normalise(sent, None)
    except phone.ImpossiblePhone as impossible:
        faults.append(InvalidRequest(str(impossible), source=name))
        return ""


def _text(sent: str | None) -> str | None:
    """Blank text is absent."""
    return None if sent is None or not sent.strip() else sent


def _changed_text(sent: str | None | UnsetType) -> str | None | UnsetType:
    return sent if isinstance(sent, UnsetType) else _text(sent)


def _email(sent: str | None, faults: list[Refusal]) -> str | None:
    address = _text(sent)
    if address is not None and EMAIL.fullmatch(address) is None:
        faults.append(InvalidRequest("This is not an e-mail address.", source=attribute("notificationEmail")))
    return address


def _line(number: int, line: RecipientAttributes, faults: list[Refusal]) -> LineWish:
    wrong: list[Refusal] = []
    email = _email(line.notification_email, wrong)
    if wrong:
        place = attribute(f"recipients/{number}/notificationEmail")
        faults.append(InvalidRequest("This is not an e-mail address.", source=place))
    return LineWish(
        line.phone_number, line.amount, _text(line.message), _text(line.reason_code), _text(line.cost_center), email
    )


def _id(call: Call, missing: str) -> UUID:
    found = ids.parse(call.path["id"])
    if found is None:
        raise NotFound(missing)
    return found


def _reply(answer: Answer) -> Reply:
    headers = [] if answer.location is None else [("location", answer.location)]
    return Reply(
        answer.status,
        answer.body,
        headers,
        replayed=answer.replayed,
        resource_id=answer.resource_id,
        logged=not answer.replayed,
    )


PHONE_FILTER = Parameter("filter[phoneNumber]", "The recipient's phone number in E.164.", required=True)
STATUS_FILTER = Parameter(
    "filter[status]",
    "Only pre-issued rewards of this status; Credited finds none.",
    schema={"type": "string", "enum": list(STATUSES)},
)
OUTCOME_FILTER = Parameter(
    "filter[status]", "Only lines of this status.", schema={"type": "string", "enum": list(OUTCOMES)}
)
ISSUE_ERRORS = (
    WalletNotFound,
    MultipleActiveWallets,
    WalletNotIssuable,
    PreIssuedConflict,
    IdempotencyConflict,
    InsufficientFunding,
    QuotaExceeded,
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    issues = partial(issue_reward, directory)
    accepts = partial(accept_batch, directory)
    read, write = "rewards:read", "rewards:write"
    reward, batch = resource.REWARD, batch_resource.REWARD_BATCH
    takes = Takes(IssueRewardAttributes, ("IssueReward",), ISSUE_EXAMPLE)
    updates = Takes(UpdateRewardAttributes, ("UpdateReward", "Reward"), {"amount": 750})
    reverses = Takes(ReverseRewardAttributes, ("ReverseReward",), {"amount": 500}, optional=True)
    batch_takes = Takes(
        NewBatchAttributes,
        ("RewardBatch",),
        {"idempotencyKey": "batch-2026-06", "recipients": [{"phoneNumber": "+15551234567", "amount": 500}]},
    )
    one, change = "/api/v1/rewards/{id}", (NotFound, InvalidState, IdempotencyConflict)
    return (
        Route("POST", "/api/v1/rewards", issues, write, "Issue a reward", takes, reward, errors=ISSUE_ERRORS),
        Route("GET", "/api/v1/rewards", list_rewards, read, "List a recipient's rewards", gives=reward, many=True,
              query=(PHONE_FILTER, STATUS_FILTER, *PAGE)),
        Route("GET", one, get_reward, read, "Get a reward", gives=reward, nullable=True),
        Route("PATCH", one, update_reward, write, "Update a reward that waits", updates, reward, keyed=True,
              errors=(*change, InsufficientFunding, QuotaExceeded)),
        Route("DELETE", one, cancel_reward, write, "Cancel a reward that waits", status=204, keyed=True, errors=change),
        Route("POST", f"{one}/reverse", reverse_reward, write, "Reverse a credited reward", reverses, reward,
              keyed=True, errors=change),
        Route("POST", "/api/v1/reward-batches", accepts, write, "Issue up to 10,000 rewards", batch_takes, batch,
              status=202, errors=(IdempotencyConflict,), large=True),
        Route("GET", "/api/v1/reward-batches", list_batches, read, "List reward batches", gives=batch, many=True,
              query=PAGE),
        Route("GET", "/api/v1/reward-batches/{id}", get_batch, read, "Get a reward batch", gives=batch,
              errors=(NotFound,)),
        Route("GET", "/api/v1/reward-batches/{id}/items", list_lines, read, "List what became of each line",
              gives=batch_resource.LINE, many=True, query=(OUTCOME_FILTER, *PAGE), errors=(NotFound,)),
        Route("POST", "/api/v1/reward-batches/{id}/revoke", revoke_batch, write, "Revoke a whole batch",
              gives=batch, status=202, keyed=True, errors=change),
    )
