"""Take signed documents: read them, keep what they tell, put aside what cannot be taken, count all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

import tallystick.integrations.store as store
from tallystick import activity, audit, merchants
from tallystick.activity import PermissionMissing, RecordActivity, Recorded
from tallystick.base import ids
from tallystick.base.errors import NotFound, Refusal
from tallystick.base.work import Work
from tallystick.integrations.adapters import ADAPTERS
from tallystick.integrations.model import (
    Delivery,
    Fault,
    Happened,
    Ignored,
    Integration,
    Outcome,
    Shop,
    Told,
    Unreadable,
)
from tallystick.merchants import Merchant

UNREADABLE: Final = "Unreadable"
"""The code of a fault whose document the adapter cannot read; others have the code of the refusal."""

FAULTS_MAX: Final = 1_000
"""How many documents of one integration wait to be taken after all, at most."""


class _Sealed(msgspec.Struct, array_like=True):
    """A document as it came, with the headers that its adapter needs."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A delivery, the integration it came to, and what it tells."""

    delivery: Delivery
    integration: Integration
    told: Told


async def take_in(work: Work, deliveries: Sequence[Delivery]) -> list[Outcome | Refusal]:
    """Take each document. What it tells is kept once, however often it comes; an outcome for every one, in order."""
    resent = {each.resent for each in deliveries if each.resent is not None}
    faults = await store.lock_faults(work, sorted(resent)) if resent else {}
    arrived = await _read(work, deliveries)
    commands = [_commands(each) if each is not None else [] for each in arrived]
    everything = [command for each in commands for command in each]
    kept = iter(await activity.accept(work, everything) if everything else [])
    outcomes: list[Outcome | Refusal] = []
    counted: dict[UUID, tuple[int, int]] = {}
    for delivery, each, told in zip(deliveries, arrived, commands, strict=True):
        if each is None:
            outcomes.append(NotFound("No integration has this id. Verify the id."))
            continue
        outcome, code = _outcome(each.told, [next(kept) for _ in told])
        outcomes.append(outcome)
        received, ignored = counted.get(delivery.integration_id, (0, 0))
        is_ignored = outcome.what == "ignored"
        if delivery.resent is None:
            counted[delivery.integration_id] = (received + (not is_ignored), ignored + is_ignored)
            await _put_aside(work, delivery, outcome, code)
        else:
            await _settle(work, faults.get(delivery.resent), outcome, code)
        audit.note(work, delivery.asked, status=200, resource_id=delivery.resent or delivery.integration_id)
    if counted:
        store.count(work, counted)
    return outcomes


def unsealed(work: Work, fault: Fault) -> tuple[Mapping[str, str], bytes]:
    """The headers and the body of a document that was put aside and not taken since."""
    assert fault.document_sealed is not None, "what was not taken yet is kept"
    sealed = msgspec.msgpack.decode(work.keys.open_sealed(fault.document_sealed, fault.id.bytes), type=_Sealed)
    return sealed.headers, sealed.body


async def _read(work: Work, deliveries: Sequence[Delivery]) -> list[_Arrived | None]:
    integrations = await store.by_ids(work, list({each.integration_id for each in deliveries}))
    shops = await merchants.by_ids(work, list({each.merchant_id for each in integrations.values()}))
    arrived: list[_Arrived | None] = []
    for delivery in deliveries:
        integration = integrations.get(delivery.integration_id)
        if integration is None:
            arrived.append(None)
            continue
        shop = _shop(work, integration, shops[integration.merchant_id])
        told = ADAPTERS[integration.system].read(shop, delivery.headers, delivery.body)
        arrived.append(_Arrived(delivery, integration, told))
    return arrived


def _shop(work: Work, integration: Integration, merchant: Merchant) -> Shop:
    is_sandbox = work.tenant.environment == "sandbox"
    return Shop(integration.account, merchant.currency, merchant.country, is_sandbox, work.real_now)


def _commands(arrived: _Arrived) -> list[RecordActivity]:
    told = arrived.told
    return [] if isinstance(told, Ignored | Unreadable) else [_command(arrived, each) for each in told]


def _command(arrived: _Arrived, happened: Happened) -> RecordActivity:
    integration = arrived.integration
    return RecordActivity(
        asked=arrived.delivery.asked,
        kind="transaction",
        type=happened.type,
        merchant_id=integration.merchant_id,
        source=integration.source,
        source_id=happened.source_id,
        occurred_at=happened.occurred_at,
        identity=happened.identity,
        channel=happened.channel,
        location_id=None if happened.place is None else integration.locations.get(happened.place),
        currency=happened.currency,
        amount=happened.amount,
        tax=happened.tax,
        items=happened.items,
        payments=happened.payments,
        linked_source_id=happened.linked_source_id,
    )


def _outcome(told: Told, kept: Sequence[Recorded | Refusal]) -> tuple[Outcome, str]:
    """What became of the document, and the code of its fault, if it is one."""
    if isinstance(told, Ignored):
        return Outcome("ignored", told.reason), ""
    if isinstance(told, Unreadable):
        return Outcome("fault", told.detail), UNREADABLE
    refused = [each for each in kept if isinstance(each, Refusal)]
    if refused and all(isinstance(each, PermissionMissing) for each in refused):
        # Whose data may not be sent leaves nothing behind, not even a fault with the document in it.
        return Outcome("ignored", "The customer's data may not be sent."), ""
    if refused:
        return Outcome("fault", refused[0].detail), refused[0].code
    return Outcome("recorded"), ""


async def _put_aside(work: Work, delivery: Delivery, outcome: Outcome, code: str) -> None:
    if outcome.what != "fault":
        return
    assert outcome.detail is not None, "a fault says what is wrong"
    if await store.open_faults(work, delivery.integration_id, FAULTS_MAX) >= FAULTS_MAX:
        return  # a system gone wrong fills no disk; the count of what it sent goes on
    fault_id = ids.new()
    plain = msgspec.msgpack.encode(_Sealed(dict(delivery.headers), delivery.body))
    sealed = work.keys.seal(plain, fault_id.bytes)
    fault = Fault(fault_id, delivery.integration_id, work.now, code, outcome.detail, sealed, None)
    await store.insert_fault(work, fault, work.keys.fingerprint(work.tenant.id, delivery.body))


async def _settle(work: Work, fault: Fault | None, outcome: Outcome, code: str) -> None:
    if fault is None or fault.taken_at is not None:
        return
    if outcome.what == "fault":
        assert outcome.detail is not None, "a fault says what is wrong"
        await store.still(work, fault.id, code, outcome.detail)
    else:
        await store.taken(work, fault.id)
