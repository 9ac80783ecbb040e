"""Wallets over HTTP, as far as nothing is claimed: read, list, suspend, close. Opening and resuming stand a few floors above."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import tallystick.wallets.store as store
from tallystick import customers
from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.base.work import Work
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.merchants import MerchantDirectory, phones
from tallystick.wallets import resource, till_api
from tallystick.wallets.actions import ChangeWallet, close, missing, suspend, visible
from tallystick.wallets.model import Wallet

ID_SCHEMA = {"type": "string", "format": "uuid"}

FILTERS = (
    Parameter("filter[userId]", "Only wallets of this user. This or filter[phoneNumber] is needed.", schema=ID_SCHEMA),
    Parameter("filter[phoneNumber]", "Only wallets of users with this phone number."),
    Parameter("filter[merchantId]", "Only wallets at this merchant.", schema=ID_SCHEMA),
)
AS_OF = Parameter(
    "asOf",
    "The instant to look at; now unless told, and never later than that.",
    schema={"type": "string", "format": "date-time"},
)


async def list_wallets(directory: MerchantDirectory, call: Call) -> Reply:
    """The wallets of a user, or of everyone with a phone number, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    user_id, merchant_id = _id_filter(call, "filter[userId]", faults), _id_filter(call, "filter[merchantId]", faults)
    e164 = await _phone_filter(directory, call, merchant_id, faults)
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        holders = await _holders(work, user_id, e164)
        wanted = _merchants(caller.merchant_ids, merchant_id)
        page, total = await store.listed(work, holders, partner_id, wanted, offset, limit)
        shown = await resource.resources(work, page)
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_wallet(call: Call) -> Reply:
    """One wallet with what it holds."""
    async with call.house.runtime.reading(call.caller.tenant) as work:
        wallet = await _seen(work, call)
        return Reply(200, await resource.document(work, wallet), resource_id=wallet.id)


async def list_transactions(call: Call) -> Reply:
    """What came into the wallet and what went, newest first, with the balance after each."""
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        wallet = await _seen(work, call)
        page, total = await store.lines(work, wallet.id, offset, limit)
    shown = [resource.line(wallet, each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call), resource_id=wallet.id)


async def list_lots(call: Call) -> Reply:
    """What the wallet holds, lot by lot, in the order in which it is spent."""
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        wallet = await _seen(work, call)
        page, total = await store.holding(work, wallet.id, offset, limit)
    shown = [resource.lot(wallet, each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call), resource_id=wallet.id)


async def get_balance(call: Call) -> Reply:
    """What the wallet held at an instant."""
    async with call.house.runtime.reading(call.caller.tenant) as work:
        wallet = await _seen(work, call)
        at = _as_of(call.query.get("asOf"), work.now)
        balance = await store.balance_at(work, wallet, at)
    return Reply(200, resource.balance_document(wallet, balance, at), resource_id=wallet.id)


async def suspend_wallet(call: Call) -> Reply:
    """Let nothing in and nothing out."""
    command = ChangeWallet(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(suspend, call.caller.tenant, command))


async def close_wallet(call: Call) -> Reply:
    """Close for good: at once where it is empty, else when it is."""
    command = ChangeWallet(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(close, call.caller.tenant, command))


async def _seen(work: Work, call: Call) -> Wallet:
    wallet = await visible(work, call.asked, path_id(call, missing()))
    if wallet is None:
        raise missing()
    return wallet


async def _holders(work: Work, user_id: UUID | None, e164: str | None) -> Sequence[UUID]:
    """The users whose wallets are wanted: all with the phone, or the one, or the one if they have the phone."""
    if e164 is None:
        return [user_id] if user_id is not None else []
    person = await customers.recipients.find(work, e164)
    found = [] if person is None else await customers.ids_of_recipient(work, person.id)
    return found if user_id is None else [each for each in found if each == user_id]


def _merchants(allowed: Sequence[UUID] | None, wanted: UUID | None) -> Sequence[UUID] | None:
    """The merchants whose wallets are shown; None: all."""
    if wanted is None:
        return allowed
    return [wanted] if allowed is None or wanted in allowed else []


def _id_filter(call: Call, name: str, faults: list[Refusal]) -> UUID | None:
    text = call.query.get(name)
    if text is None:
        return None
    found = ids.parse(text)
    if found is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter(name)))
    return found


async def _phone_filter(
    directory: MerchantDirectory, call: Call, merchant_id: UUID | None, faults: list[Refusal]
) -> str | None:
    text = call.query.get("filter[phoneNumber]")
    if text is None:
        if "filter[userId]" not in call.query:
            detail = "Wallets are listed by filter[userId] or filter[phoneNumber]; give one of them."
            faults.append(InvalidRequest(detail, source=parameter("filter[userId]")))
        return None
    source = parameter("filter[phoneNumber]")
    return await phones.e164(directory, call.caller, text, source, faults, merchant_id=merchant_id)


def _as_of(text: str | None, now: datetime) -> datetime:
    if text is None:
        return now
    try:
        at = clock.parse_instant(text)
    except ValueError as error:
        raise InvalidRequest(str(error), source=parameter("asOf")) from None
    if at > now:
        raise InvalidRequest("The instant lies in the future; a balance is known up to now.", source=parameter("asOf"))
    return at


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    read, write = "wallets:read", "wallets:write"
    wallet, one = resource.WALLET, f"{resource.WALLET.path}/{{id}}"
    suspends = Takes(NoAttributes, ("SuspendWallet",), optional=True)
    closes = Takes(NoAttributes, ("CloseWallet",), optional=True)
    verb_errors = (NotFound, InvalidState, IdempotencyConflict)
    lists = partial(list_wallets, directory)
    return (
        Route("GET", wallet.path, lists, read, "List a user's wallets", gives=wallet, many=True, query=(*FILTERS, *PAGE)),
        Route("GET", one, get_wallet, read, "Get a wallet", gives=wallet, errors=(NotFound,)),
        Route(
            "GET", f"{one}/transactions", list_transactions, read, "List what came into a wallet and what went",
            gives=resource.WALLET_LINE, many=True, query=PAGE, errors=(NotFound,),
        ),
        Route(
            "GET", f"{one}/lots", list_lots, read, "List the lots that a wallet holds, in the order of their use",
            gives=resource.WALLET_LOT, many=True, query=PAGE, errors=(NotFound,),
        ),
        Route(
            "GET", f"{one}/balance", get_balance, read, "Get what a wallet held at an instant",
            gives=resource.WALLET_BALANCE, query=(AS_OF,), errors=(NotFound,),
        ),
        Route(
            "POST", f"{one}/suspend", suspend_wallet, write, "Suspend a wallet",
            takes=suspends, gives=wallet, keyed=True, errors=verb_errors,
        ),
        Route(
            "POST", f"{one}/close", close_wallet, write, "Close a wallet",
            takes=closes, gives=wallet, keyed=True, errors=verb_errors,
        ),
        *till_api.routes(),
    )  # fmt: skip
