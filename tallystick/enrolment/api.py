"""Joining over HTTP: users and wallets, as far as a wallet may become active or a phone is read in its national format."""

import re
from functools import partial
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallystick import customers
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
from tallystick.base.idempotency import Erased
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.base.work import Work
from tallystick.customers import (
    EMAIL_MAX,
    EXTERNAL_ID_MAX,
    NAME_MAX,
    ChangeUser,
    CreateUser,
    Customer,
    ExternalIdTaken,
    VerifyPhone,
)
from tallystick.customers import resource as users
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.enrolment import merge_api
from tallystick.enrolment.actions import change_user, open_wallet, resume_wallet, verify_phone
from tallystick.enrolment.model import OpenWallet, ResumeWallet
from tallystick.merchants import MerchantDirectory, MerchantRef, phones
from tallystick.wallets import WalletExists
from tallystick.wallets import missing as no_wallet
from tallystick.wallets import resource as wallets

PHONE: Final = Meta(
    min_length=1, max_length=40, description="E.164; or national format, where the client acts for one merchant."
)
Phone = Annotated[str, PHONE]
Email = Annotated[str, Meta(max_length=EMAIL_MAX)]
Name = Annotated[str, Meta(max_length=NAME_MAX)]
ExternalId = Annotated[
    str, Meta(min_length=1, max_length=EXTERNAL_ID_MAX, description="Your own id; unique among your users.")
]
Code = Annotated[
    str, Meta(min_length=6, max_length=6, pattern="^[0-9]{6}$", description="The six digits that were sent.")
]

# One address, an @ between two parts without spaces, a dot in the second: what can be mailed; the rest the mail tells.
EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+")


class NewUserAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A user to make; everything may be left out. Blank names and e-mails are absent."""

    phone_number: Phone | None = None
    phone_verified: Annotated[bool, Meta(description="Whether you know that the phone is theirs.")] = False
    email: Email | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    external_id: ExternalId | None = None


class ChangedUserAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What changes of a user; what is absent stays, null clears. Another phone must be verified anew."""

    phone_number: Phone | UnsetType | None = UNSET
    phone_verified: bool | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    first_name: Name | UnsetType | None = UNSET
    last_name: Name | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class VerifyUserAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The one-time code that the user read out."""

    code: Code


class NewWalletAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A wallet to open. `merchantId` is needed only where the client may act for several merchants."""

    user_id: str
    merchant_id: str | None = None


async def create_user(directory: MerchantDirectory, call: Call) -> Reply:
    """Make a user."""
    sent: NewUserAttributes = call.attributes
    faults: list[Refusal] = []
    command = CreateUser(
        asked=call.asked,
        phone=await _phone(directory, call, sent.phone_number, faults),
        phone_verified=sent.phone_verified,
        email=_email(sent.email, faults),
        first_name=_text(sent.first_name),
        last_name=_text(sent.last_name),
        external_id=sent.external_id,
    )
    if faults:
        raise Refusals(faults)
    return replied(await call.house.batcher.submit(customers.create, call.caller.tenant, command))


async def update_user(directory: MerchantDirectory, call: Call) -> Reply:
    """Change a user; what waits for a phone that becomes verified is claimed."""
    sent: ChangedUserAttributes = call.attributes
    if all(getattr(sent, name) is UNSET for name in sent.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    faults: list[Refusal] = []
    phone, email = sent.phone_number, sent.email
    command = ChangeUser(
        asked=call.asked,
        user_id=path_id(call, customers.missing()),
        phone=phone if isinstance(phone, UnsetType) else await _phone(directory, call, phone, faults),
        phone_verified=sent.phone_verified,
        email=email if isinstance(email, UnsetType) else _email(email, faults),
        first_name=_changed(sent.first_name),
        last_name=_changed(sent.last_name),
        external_id=sent.external_id,
    )
    if faults:
        raise Refusals(faults)
    return replied(await call.house.batcher.submit(change_user, call.caller.tenant, command))


async def verify_user(call: Call) -> Reply:
    """Verify the user's phone by the code that was sent to it; what waits for it is claimed."""
    sent: VerifyUserAttributes = call.attributes
    command = VerifyPhone(call.asked, path_id(call, customers.missing()), sent.code)
    return replied(await call.house.batcher.submit(verify_phone, call.caller.tenant, command))


async def list_users(directory: MerchantDirectory, call: Call) -> Reply:
    """Users with a phone number, an external id or a member code, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    phone, external_id = call.query.get("filter[phoneNumber]"), call.query.get("filter[externalId]")
    member_code = call.query.get("filter[memberCode]")
    e164: str | None = None
    if phone is not None:
        e164 = await phones.e164(directory, call.caller, phone, parameter("filter[phoneNumber]"), faults)
    elif external_id is None and member_code is None:
        detail = "Users are listed by filter[phoneNumber], filter[externalId] or filter[memberCode]; give one of them."
        faults.append(InvalidRequest(detail, source=parameter("filter[phoneNumber]")))
    if faults:
        raise Refusals(faults)
    partner_id = None if call.caller.sees_programme else call.caller.partner_id
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await _found(work, e164, external_id, member_code, partner_id, offset, limit)
    shown = [users.resource(customer) for customer in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def create_wallet(directory: MerchantDirectory, call: Call) -> Reply:
    """Open a wallet for a user at a merchant; where it is active at once, it claims what waits."""
    sent: NewWalletAttributes = call.attributes
    faults: list[Refusal] = []
    user_id = ids.parse(sent.user_id)
    if user_id is None:
        faults.append(InvalidRequest("There is no active user with this id.", source=attribute("userId")))
    merchant = await _merchant(directory, call, sent.merchant_id)
    if isinstance(merchant, Refusal):
        faults.append(merchant)
    if user_id is None or isinstance(merchant, Refusal):
        raise Refusals(faults)
    command = OpenWallet(call.asked, user_id, merchant.id, merchant_named=sent.merchant_id is not None)
    return replied(await call.house.batcher.submit(open_wallet, call.caller.tenant, command))


async def resume_suspended(call: Call) -> Reply:
    """Resume a suspended wallet; what came to wait meanwhile is claimed."""
    command = ResumeWallet(call.asked, path_id(call, no_wallet()))
    return replied(await call.house.batcher.submit(resume_wallet, call.caller.tenant, command))


async def _found(
    work: Work,
    e164: str | None,
    external_id: str | None,
    member_code: str | None,
    partner_id: UUID | None,
    offset: int,
    limit: int,
) -> tuple[list[Customer], int]:
    person = None if e164 is None else await customers.recipients.find(work, e164)
    if e164 is not None and person is None:
        return [], 0
    if member_code is not None:
        recipient_id = None if person is None else person.id
        found = (member_code.upper(), partner_id, recipient_id, external_id)
        return await customers.listed_by_member_code(work, *found, offset, limit)
    if person is not None:
        return await customers.listed_by_recipient(work, person.id, external_id, partner_id, offset, limit)
    assert external_id is not None, "one of the filters was given"
    return await customers.listed_by_external_id(work, external_id, partner_id, offset, limit)


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None) -> MerchantRef | InvalidRequest:
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    try:
        return await directory.resolve(call.caller, merchant_id)
    except InvalidRequest as refusal:
        return refusal


async def _phone(directory: MerchantDirectory, call: Call, sent: str | None, faults: list[Refusal]) -> str | None:
    if sent is None:
        return None
    return await phones.e164(directory, call.caller, sent, attribute("phoneNumber"), faults)


def _email(sent: str | None, faults: list[Refusal]) -> str | None:
    address = _text(sent)
    if address is not None and EMAIL.fullmatch(address) is None:
        faults.append(InvalidRequest("This is not an e-mail address.", source=attribute("email")))
    return address


def _text(sent: str | None) -> str | None:
    """Blank text is absent."""
    return None if sent is None or not sent.strip() else sent


def _changed(sent: str | UnsetType | None) -> str | UnsetType | None:
    return sent if isinstance(sent, UnsetType) else _text(sent)


NEW_USER_EXAMPLE: Final = {
    "phoneNumber": "+12025550143",
    "phoneVerified": True,
    "firstName": "Mira",
    "externalId": "crm-20417",
}
NEW_WALLET_EXAMPLE: Final = {"userId": wallets.EXAMPLE["userId"], "merchantId": wallets.EXAMPLE["merchantId"]}
USER_FILTERS: Final = (
    Parameter("filter[phoneNumber]", "Only users with this phone number. One of these filters is needed."),
    Parameter("filter[externalId]", "Only the user with this external id."),
    Parameter("filter[memberCode]", "Only the user with this member code."),
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    user, wallet = users.USER, wallets.WALLET
    new_user = Takes(NewUserAttributes, ("User",), NEW_USER_EXAMPLE)
    changed_user = Takes(ChangedUserAttributes, ("User",), {"phoneVerified": True})
    verifies = Takes(VerifyUserAttributes, ("VerifyUser",), {"code": "482913"})
    new_wallet = Takes(NewWalletAttributes, ("Wallet",), NEW_WALLET_EXAMPLE)
    resumes = Takes(NoAttributes, ("ResumeWallet",), optional=True)
    read, write, wallets_write = "users:read", "users:write", "wallets:write"
    return (
        *merge_api.routes(),
        Route(
            "POST", user.path, partial(create_user, directory), write, "Create a user",
            takes=new_user, gives=user, status=201, keyed=True, errors=(ExternalIdTaken, IdempotencyConflict, Erased),
        ),
        Route(
            "GET", user.path, partial(list_users, directory), read, "List users by phone number, external id or member code",
            gives=user, many=True, query=(*USER_FILTERS, *PAGE),
        ),
        Route(
            "PATCH", f"{user.path}/{{id}}", partial(update_user, directory), write, "Update a user",
            takes=changed_user, gives=user, keyed=True,
            errors=(NotFound, InvalidState, ExternalIdTaken, IdempotencyConflict, Erased),
        ),
        Route(
            "POST", f"{user.path}/{{id}}/verify", verify_user, write, "Verify a user's phone by its one-time code",
            takes=verifies, gives=user, keyed=True, errors=(NotFound, InvalidState, IdempotencyConflict, Erased),
        ),
        Route(
            "POST", wallet.path, partial(create_wallet, directory), wallets_write, "Open a wallet",
            takes=new_wallet, gives=wallet, status=201, keyed=True, errors=(WalletExists, IdempotencyConflict),
        ),
        Route(
            "POST", f"{wallet.path}/{{id}}/resume", resume_suspended, wallets_write, "Resume a suspended wallet",
            takes=resumes, gives=wallet, keyed=True, errors=(NotFound, InvalidState, IdempotencyConflict),
        ),
    )  # fmt: skip
