"""Change a rule: its draft and its name, when it is in force, and its end.

What was published stays as it was published; a change is a new version. Which version counts what happened is told by stretches of
time, each of one version, that begin now or later: the past is never dated again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET

import tallystick.thresholds.store as store
from tallystick import audit, events, merchants
from tallystick.base import clock, idempotency, jsonapi
from tallystick.base.errors import InvalidRequest, InvalidState, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.thresholds import checking, resource
from tallystick.thresholds.changes import Changes
from tallystick.thresholds.model import Threshold, Version, missing
from tallystick.thresholds.turning import turn

COMPLETED: Final = "The rule is completed, for good. Write a new one."


@dataclass(frozen=True, slots=True)
class ChangeThreshold:
    """A partner's wish to change what a rule says, or what it is called."""

    asked: Asked
    threshold_id: UUID
    wanted: Changes


@dataclass(frozen=True, slots=True)
class PublishThreshold:
    """A partner's wish that the latest version comes into force, now or at an instant to come."""

    asked: Asked
    threshold_id: UUID
    at: datetime | None


@dataclass(frozen=True, slots=True)
class PauseThreshold:
    """A partner's wish that nothing counts until the rule is resumed."""

    asked: Asked
    threshold_id: UUID


@dataclass(frozen=True, slots=True)
class ResumeThreshold:
    """A partner's wish that the version that was in force counts again."""

    asked: Asked
    threshold_id: UUID


@dataclass(frozen=True, slots=True)
class CompleteThreshold:
    """A partner's wish to end a rule for good."""

    asked: Asked
    threshold_id: UUID


Command = ChangeThreshold | PublishThreshold | PauseThreshold | ResumeThreshold | CompleteThreshold
C = TypeVar("C", bound=Command)


async def change(work: Work, commands: Sequence[ChangeThreshold]) -> list[Answer | Refusal]:
    """Rewrite each rule's draft, or make the next one of the version that is newest."""
    return await _keyed(work, "thresholds.change", commands, _change)


async def publish(work: Work, commands: Sequence[PublishThreshold]) -> list[Answer | Refusal]:
    """Bring each rule's latest version into force, now or at its instant."""
    return await _keyed(work, "thresholds.publish", commands, _publish)


async def pause(work: Work, commands: Sequence[PauseThreshold]) -> list[Answer | Refusal]:
    """Count nothing more, and call off what waits to come into force."""
    return await _keyed(work, "thresholds.pause", commands, _pause)


async def resume(work: Work, commands: Sequence[ResumeThreshold]) -> list[Answer | Refusal]:
    """Count again, by the version that was in force."""
    return await _keyed(work, "thresholds.resume", commands, _resume)


async def complete(work: Work, commands: Sequence[CompleteThreshold]) -> list[Answer | Refusal]:
    """End each rule for good: what happens from now on counts for nothing."""
    return await _keyed(work, "thresholds.complete", commands, _complete)


async def redrafted(work: Work, threshold: Threshold, wanted: Changes) -> Version:
    """The draft that these changes make of the rule's latest version."""
    pair = (threshold.id, threshold.latest_number)
    latest = (await store.versions(work, [pair]))[pair]
    merchant = (await merchants.by_ids(work, [threshold.merchant_id]))[threshold.merchant_id]
    return wanted.following(latest, merchant, work.now)


async def shown(work: Work, threshold: Threshold) -> bytes:
    """The rule as a resource object, with the version that is shown and a newer draft."""
    return (await all_shown(work, [threshold]))[0]


async def all_shown(work: Work, thresholds: Sequence[Threshold]) -> list[bytes]:
    """Rules as resource objects, each with the version that is shown and a newer draft."""
    numbers = {(each.id, each.shown_number) for each in thresholds} | {
        (each.id, each.latest_number) for each in thresholds
    }
    versions = await store.versions(work, list(numbers)) if numbers else {}
    found = []
    for each in thresholds:
        latest = versions[each.id, each.latest_number]
        is_draft = latest.published_at is None and latest.number != each.shown_number
        found.append(resource.threshold(each, versions[each.id, each.shown_number], latest if is_draft else None))
    return found


async def _keyed(
    work: Work, operation: str, commands: Sequence[C], act: Callable[[Work, C, Threshold], Awaitable[Answer | Refusal]]
) -> list[Answer | Refusal]:
    async def prepare(work: Work, commands: Sequence[C]) -> None:
        await store.lock(work, list({command.threshold_id for command in commands}))

    async def own(work: Work, command: C) -> Answer | Refusal:
        """Only the partner that wrote a rule may change it, whatever else it may see."""
        caller = command.asked.caller
        threshold = (await store.by_ids(work, [command.threshold_id])).get(command.threshold_id)
        if threshold is None or not threshold.seen_by(caller) or threshold.partner_id != caller.partner_id:
            return missing()
        if threshold.status == "completed":
            return InvalidState(COMPLETED)
        return await act(work, command, threshold)

    return await idempotency.keyed(
        work, operation, commands, own, fingerprint=_fingerprint, seal=HouseSeal(), prepare=prepare
    )


def _fingerprint(command: Command) -> bytes:
    wanted = command.wanted if isinstance(command, ChangeThreshold) else None
    at = command.at if isinstance(command, PublishThreshold) else None
    return msgspec.json.encode([command.threshold_id, wanted, at])


async def _change(work: Work, command: ChangeThreshold, threshold: Threshold) -> Answer | Refusal:
    wanted = command.wanted
    draft = await redrafted(work, threshold, wanted) if wanted.rewrites else None
    if draft is not None:
        wrong = await checking.faults(work, draft)
        if wrong:
            return wrong[0]
    current = await turn(work, threshold)
    changed = replace(
        current,
        name=current.name if wanted.name is UNSET else wanted.name,
        latest_number=current.latest_number if draft is None else draft.number,
        updated_at=work.now,
    )
    await store.update(work, changed)
    if draft is not None:
        assert await store.write_draft(work, draft), "a version that is published stays as it is"
    return await _answer(work, command, changed)


async def _publish(work: Work, command: PublishThreshold, threshold: Threshold) -> Answer | Refusal:
    standing = threshold.at(work.now)
    if standing.latest_number == standing.live_number:
        detail = f"Version {standing.live_number} is the latest and was published already. "
        remedy = (
            "Resume the rule." if standing.status == "paused" else "Change the rule first, then publish the change."
        )
        return InvalidState(detail + remedy)
    if command.at is not None and command.at <= work.now:
        detail = f"It is {clock.render(work.now)} already: name an instant to come, or leave it out to publish now."
        return InvalidRequest(detail, source=attribute("at"))
    merchant = (await merchants.by_ids(work, [threshold.merchant_id]))[threshold.merchant_id]
    if merchant.status != "active":
        return InvalidState("The merchant is closed; nothing counts there any more.")
    current = await turn(work, threshold)
    if current.scheduled_at is not None:
        await _call_off(work, current, current.scheduled_at)
    number = current.latest_number
    await store.publish(work, threshold.id, number)
    await store.close(work, threshold.id, command.at or work.now)
    await store.open_at(work, threshold, number, command.at or work.now)
    if command.at is None:
        changed = replace(
            current, status="active", live_number=number, scheduled_at=None, due_at=None, waiting_number=None
        )
        return await _tell(work, command, changed, "threshold.published")
    status = current.status if current.live_number is not None else "scheduled"
    changed = replace(current, status=status, scheduled_at=command.at, due_at=command.at, waiting_number=number)
    return await _tell(work, command, changed, "threshold.scheduled")


async def _pause(work: Work, command: PauseThreshold, threshold: Threshold) -> Answer | Refusal:
    standing = threshold.at(work.now)
    if standing.status != "active" and standing.scheduled_at is None:
        return InvalidState(f"The rule is {standing.status}; only one that is active or scheduled can be paused.")
    current = await turn(work, threshold)
    await store.close(work, threshold.id, work.now)
    changed = replace(current, status="paused", scheduled_at=None, due_at=None, waiting_number=None)
    return await _tell(work, command, changed, "threshold.paused")


async def _resume(work: Work, command: ResumeThreshold, threshold: Threshold) -> Answer | Refusal:
    standing = threshold.at(work.now)
    if standing.status != "paused":
        return InvalidState(f"The rule is {standing.status}; only one that is paused can be resumed.")
    if standing.live_number is None:
        return InvalidState("No version of the rule has been in force yet. Publish the latest one.")
    # What waits to come into force ends what is resumed here.
    if standing.scheduled_at is not None:
        await _call_off(work, standing, standing.scheduled_at)
    await store.open_at(work, threshold, standing.live_number, work.now)
    if standing.scheduled_at is not None:
        assert standing.waiting_number is not None, "what is scheduled has a number"
        await store.close(work, threshold.id, standing.scheduled_at)
        await store.open_at(work, threshold, standing.waiting_number, standing.scheduled_at)
    return await _tell(work, command, replace(standing, status="active"), "threshold.resumed")


async def _complete(work: Work, command: CompleteThreshold, threshold: Threshold) -> Answer | Refusal:
    current = await turn(work, threshold)
    await store.close(work, threshold.id, work.now)
    changed = replace(current, status="completed", scheduled_at=None, due_at=None, waiting_number=None)
    return await _tell(work, command, changed, "threshold.completed")


async def _call_off(work: Work, threshold: Threshold, scheduled_at: datetime) -> None:
    """What was to begin at an instant to come does not, and what was to end there goes on."""
    await store.close(work, threshold.id, scheduled_at)
    await store.reopen(work, threshold.id, scheduled_at)


async def _tell(work: Work, command: Command, threshold: Threshold, topic: str) -> Answer:
    """Write the rule as it is to be, one version on, and tell of it."""
    changed = replace(threshold, version=threshold.version + 1, updated_at=work.now)
    await store.update(work, changed)
    version = (await store.versions(work, [(changed.id, changed.shown_number)]))[changed.id, changed.shown_number]
    events.record(work, resource.event(topic, changed, version, command.asked))
    return await _answer(work, command, changed)


async def _answer(work: Work, command: Command, threshold: Threshold) -> Answer:
    audit.note(work, command.asked, status=200, resource_id=threshold.id)
    return Answer(200, jsonapi.document(await shown(work, threshold)), threshold.id)
