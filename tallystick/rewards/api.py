"""Rewards over HTTP: the partner-rewards contract, and reversal. Batches are offered beside it."""

from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

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
    at,
    attribute,
    parameter,
)
from tallystick.base.idempotency import Erased
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers import recipients
from tallystick.customers.api import path_id, replied
from tallystick.merchants import InsufficientFunding, MerchantDirectory, phones
from tallystick.rewards import batch_api, changing, resource, sent
from tallystick.rewards.changing import CancelReward, ReverseReward, UpdateReward, missing
from tallystick.rewards.issuing import issue
from tallystick.rewards.model import (
    IssueReward,
    MultipleActiveWallets,
    PreIssuedConflict,
    WalletNotFound,
    WalletNotIssuable,
)

STATUSES: Final = ("Created", "Claimed", "Expired", "Cancelled", "Credited")


class IssueRewardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What a partner sends to give a reward."""

    phone_number: sent.Phone
    amount: sent.Amount
    idempotency_key: sent.Key
    message: sent.Message | None = None
    reason_code: sent.Code | None = None
    cost_center: sent.Code | None = None
    notification_email: sent.Email | None = None
    merchant_id: str | None = None


class UpdateRewardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What may change while a reward waits; what is absent stays, null or blank clears."""

    amount: sent.Amount | UnsetType = UNSET
    message: sent.Message | None | UnsetType = UNSET
    reason_code: sent.Code | None | UnsetType = UNSET
    cost_center: sent.Code | None | UnsetType = UNSET
    notification_email: sent.Email | None | UnsetType = UNSET


class ReverseRewardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How much to take back; everything that is left, unless told."""

    amount: sent.Amount | None = None


ISSUE_EXAMPLE: Final = {
    "phoneNumber": "+15551234567",
    "amount": 500,
    "idempotencyKey": "reward-case-98765",
    "reasonCode": "CX-COMPENSATION",
    "message": "Thank you for your patience!",
}


async def issue_reward(directory: MerchantDirectory, call: Call) -> Reply:
    """Give one reward; a retry with the same key gets the same answer."""
    outcome = await call.house.batcher.submit(issue, call.caller.tenant, await _wish(directory, call))
    return Reply(
        200,
        outcome.document,
        replayed=outcome.replayed,
        resource_id=outcome.reward_id,
        logged=not outcome.replayed,
    )


async def list_rewards(directory: MerchantDirectory, call: Call) -> Reply:
    """Both kinds, newest first; a status speaks of pre-issued ones."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status is not None and status not in STATUSES:
        faults.append(
            InvalidRequest(f"The status is one of {', '.join(STATUSES)}.", source=parameter("filter[status]"))
        )
    e164 = await _phone_filter(directory, call, faults)
    if faults or e164 is None:
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
            resource.resource(reward, resource.open_private(reward, person), work.now, caller)
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
        shown = resource.resource(reward, resource.open_private(reward, person), work.now, call.caller)
    return Reply(200, jsonapi.document(shown), resource_id=reward_id)


async def update_reward(call: Call) -> Reply:
    """Change a reward that waits; reserved funding moves with the amount."""
    wanted: UpdateRewardAttributes = call.attributes
    if all(getattr(wanted, name) is UNSET for name in wanted.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    faults: list[Refusal] = []
    email: Any = wanted.notification_email
    command = UpdateReward(
        call.asked,
        path_id(call, missing()),
        wanted.amount,
        _changed_text(wanted.message),
        _changed_text(wanted.reason_code),
        _changed_text(wanted.cost_center),
        email if email is UNSET else sent.email(email, faults),
    )
    if faults:
        raise Refusals(faults)
    return replied(await call.house.batcher.submit(changing.update, call.caller.tenant, command))


async def cancel_reward(call: Call) -> Reply:
    """Take back a reward that waits."""
    command = CancelReward(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(changing.cancel, call.caller.tenant, command))


async def reverse_reward(call: Call) -> Reply:
    """Take back a credited reward: the unspent part returns, the spent part the holder owes."""
    wanted: ReverseRewardAttributes | None = call.attributes
    command = ReverseReward(call.asked, path_id(call, missing()), None if wanted is None else wanted.amount)
    return replied(await call.house.batcher.submit(changing.reverse, call.caller.tenant, command))


async def _wish(directory: MerchantDirectory, call: Call) -> IssueReward:
    """What the request asks for. Every fault of it is told at once."""
    wanted: IssueRewardAttributes = call.attributes
    faults: list[Refusal] = []
    email = sent.email(wanted.notification_email, faults)
    try:
        merchant = await sent.merchant(directory, call, wanted.merchant_id)
        e164 = phone.normalise(wanted.phone_number, merchant.country)
    except InvalidRequest as refused:
        raise Refusals([refused, *faults]) from None
    except phone.ImpossiblePhone as impossible:
        raise Refusals([InvalidRequest(str(impossible), source=attribute("phoneNumber")), *faults]) from None
    if faults:
        raise Refusals(faults)
    return IssueReward(
        asked=call.asked,
        merchant_id=merchant.id,
        merchant_named=wanted.merchant_id is not None,
        phone=e164,
        amount=wanted.amount,
        key=wanted.idempotency_key,
        message=sent.text(wanted.message),
        reason_code=sent.text(wanted.reason_code),
        cost_center=sent.text(wanted.cost_center),
        notification_email=email,
    )


async def _phone_filter(directory: MerchantDirectory, call: Call, faults: list[Refusal]) -> str | None:
    source, phone = parameter("filter[phoneNumber]"), call.query.get("filter[phoneNumber]")
    if phone is None:
        detail = "filter[phoneNumber] is required: rewards are listed by phone number."
        faults.append(InvalidRequest(detail, source=source))
        return None
    return await phones.e164(directory, call.caller, phone, source, faults)


def _changed_text(wanted: str | None | UnsetType) -> str | None | UnsetType:
    return wanted if isinstance(wanted, UnsetType) else sent.text(wanted)


PHONE_FILTER: Final = Parameter(
    "filter[phoneNumber]",
    "The recipient's phone number, in E.164 or as dialled in the merchant's country.",
    required=True,
)
STATUS_FILTER: Final = Parameter(
    "filter[status]",
    "Only pre-issued rewards of this status; Credited finds none.",
    schema={"type": "string", "enum": list(STATUSES)},
)
ISSUE_ERRORS: Final = (
    WalletNotFound,
    MultipleActiveWallets,
    WalletNotIssuable,
    PreIssuedConflict,
    IdempotencyConflict,
    Erased,
    InsufficientFunding,
    QuotaExceeded,
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    issues, lists = partial(issue_reward, directory), partial(list_rewards, directory)
    read, write = "rewards:read", "rewards:write"
    reward, one = resource.REWARD, f"{resource.REWARD.path}/{{id}}"
    takes = Takes(IssueRewardAttributes, ("IssueReward",), ISSUE_EXAMPLE)
    updates = Takes(UpdateRewardAttributes, ("UpdateReward", "Reward"), {"amount": 750})
    reverses = Takes(ReverseRewardAttributes, ("ReverseReward",), {"amount": 500}, optional=True)
    errors = (NotFound, InvalidState, IdempotencyConflict, Erased)
    return (
        Route("POST", reward.path, issues, write, "Issue a reward", takes, reward, errors=ISSUE_ERRORS),
        Route(
            "GET", reward.path, lists, read, "List a recipient's rewards",
            gives=reward, many=True, query=(PHONE_FILTER, STATUS_FILTER, *PAGE),
        ),
        Route("GET", one, get_reward, read, "Get a reward", gives=reward, nullable=True),
        Route(
            "PATCH", one, update_reward, write, "Update a reward that waits",
            updates, reward, keyed=True, errors=(*errors, InsufficientFunding, QuotaExceeded),
        ),
        Route("DELETE", one, cancel_reward, write, "Cancel a reward that waits", status=204, keyed=True, errors=errors),
        Route(
            "POST", f"{one}/reverse", reverse_reward, write, "Reverse a credited reward",
            reverses, reward, keyed=True, errors=errors,
        ),
        *batch_api.routes(directory),
    )  # fmt: skip
