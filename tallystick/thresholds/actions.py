"""Read rules: which version is in force, what each version says, which rules a caller may see; and write a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

import tallystick.thresholds.store as store
from tallystick import audit, merchants
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Caller, Work
from tallystick.thresholds import checking, resource
from tallystick.thresholds.changes import Changes
from tallystick.thresholds.model import Threshold, Version


@dataclass(frozen=True, slots=True)
class AddThreshold:
    """A partner's wish to write a rule for a merchant: a draft that counts nothing until it is published."""

    asked: Asked
    merchant_id: UUID
    wanted: Changes


async def live(work: Work, threshold_ids: Sequence[UUID]) -> dict[UUID, Version]:
    """The version in force now of each of these rules that is active."""
    return await store.live(work, threshold_ids)


async def by_ids(work: Work, threshold_ids: Sequence[UUID]) -> dict[UUID, Threshold]:
    """The rules with these ids as they stand now; unknown ids are absent."""
    found = await store.by_ids(work, threshold_ids)
    return {threshold_id: threshold.at(work.now) for threshold_id, threshold in found.items()}


async def versions(work: Work, pairs: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], Version]:
    """Versions by threshold and number; unknown ones are absent."""
    return await store.versions(work, pairs)


async def visible(work: Work, caller: Caller, threshold_id: UUID) -> Threshold | None:
    """The rule as it stands now, where the caller may read it."""
    threshold = (await by_ids(work, [threshold_id])).get(threshold_id)
    return threshold if threshold is not None and threshold.seen_by(caller) else None


async def add(work: Work, commands: Sequence[AddThreshold]) -> list[Answer | Refusal]:
    """Write the draft of each new rule, once for its key."""
    return await idempotency.keyed(
        work,
        "thresholds.create",
        commands,
        _add,
        fingerprint=lambda command: msgspec.json.encode([command.merchant_id, command.wanted]),
        seal=HouseSeal(),
    )


async def draft_of(work: Work, merchant_id: UUID, threshold_id: UUID, wanted: Changes) -> Version | None:
    """What the first version of a new rule would say; None where the merchant is not there, or closed."""
    merchant = (await merchants.by_ids(work, [merchant_id])).get(merchant_id)
    if merchant is None or merchant.status != "active":
        return None
    return wanted.first(threshold_id, merchant, work.now)


async def _add(work: Work, command: AddThreshold) -> Answer | Refusal:
    caller = command.asked.caller
    draft = await draft_of(work, command.merchant_id, ids.new(), command.wanted)
    if draft is None:
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    wrong = await checking.faults(work, draft)
    if wrong:
        return wrong[0]
    assert isinstance(command.wanted.name, str), "a new rule has a name"
    threshold = Threshold(
        id=draft.threshold_id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        merchant_id=draft.merchant_id,
        name=command.wanted.name,
        status="draft",
        latest_number=draft.number,
        live_number=None,
        scheduled_at=None,
        due_at=None,
        version=0,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, threshold)
    assert await store.write_draft(work, draft), "the first version of a new rule is new"
    audit.note(work, command.asked, status=201, resource_id=threshold.id)
    shown = resource.document(threshold, draft, None)
    return Answer(201, shown, threshold.id, f"{resource.THRESHOLD.path}/{threshold.id}")
