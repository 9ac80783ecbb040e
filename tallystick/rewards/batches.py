"""Reward batches: up to 10,000 rewards accepted at once, given by the same verb as single ones, revoked as a whole."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import msgspec

import tallystick.rewards.batch_store as store
from tallystick import audit
from tallystick.base import idempotency, ids, phone
from tallystick.base.batcher import run_batch
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, Refusal, UnexpectedError, at
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work
from tallystick.rewards import batch_resource
from tallystick.rewards.batch_store import Line, RewardBatch
from tallystick.rewards.changing import CancelReward, ReverseReward, cancel, reverse
from tallystick.rewards.issuing import Issued, issue
from tallystick.rewards.model import IssueReward

RECIPIENTS_MAX = 10_000
LINES_AT_ONCE = 250
"""How many lines one work carries out: cut by how long their locks are held."""
PIECE = 500
"""How many lines are read or sealed before others get their turn: a few milliseconds."""
LEASE = timedelta(seconds=30)
OPERATION = "reward-batches.issue"


class LineWish(msgspec.Struct, array_like=True, gc=False):
    """One line of a batch as it was sent."""

    phone: str
    amount: int
    message: str | None
    reason_code: str | None
    cost_center: str | None
    notification_email: str | None


@dataclass(frozen=True, slots=True)
class AcceptBatch:
    """A partner's wish to give many rewards for one merchant."""

    asked: Asked
    merchant_id: UUID
    country: str
    """Where national phone numbers are read."""
    lines: tuple[LineWish, ...]


@dataclass(frozen=True, slots=True)
class RevokeBatch:
    """Take back everything a batch gave, and give nothing more."""

    asked: Asked
    batch_id: UUID


class _Kept(msgspec.Struct, array_like=True, gc=False):
    """A line at rest, sealed until it has run."""

    country: str
    wish: LineWish


async def accept(work: Work, commands: Sequence[AcceptBatch]) -> list[Answer | Refusal]:
    """Keep each batch whole; nothing is given yet. The answer comes at once, the rewards within moments."""
    meant = {command.asked.request_id: await _meant(command) for command in commands}
    return await idempotency.keyed(
        work,
        "reward-batches.create",
        commands,
        _accept,
        fingerprint=lambda each: msgspec.json.encode([str(each.merchant_id), meant[each.asked.request_id]]),
        seal=HouseSeal(),
    )


async def revoke(work: Work, commands: Sequence[RevokeBatch]) -> list[Answer | Refusal]:
    """Stop each batch; what it gave is taken back by the worker."""
    return await idempotency.keyed(
        work,
        "reward-batches.revoke",
        commands,
        _revoke,
        fingerprint=lambda command: command.batch_id.bytes,
        seal=HouseSeal(),
    )


async def visible(work: Work, asked: Asked, batch_id: UUID) -> RewardBatch | None:
    """The batch, where the caller may see it."""
    batch = await store.by_id(work, batch_id)
    caller = asked.caller
    if batch is None or (caller.merchant_ids is not None and batch.merchant_id not in caller.merchant_ids):
        return None
    return batch if caller.sees_programme or batch.partner_id == caller.partner_id else None


async def _meant(command: AcceptBatch) -> list[LineWish]:
    """The lines with each phone as the number that it is, however it was written; made in pieces, as they are sealed."""
    meant: list[LineWish] = []
    for number, line in enumerate(command.lines):
        if number % PIECE == PIECE - 1:
            await asyncio.sleep(0)
        with suppress(phone.ImpossiblePhone):
            line = msgspec.structs.replace(line, phone=phone.normalise(line.phone, command.country))  # noqa: PLW2901
        meant.append(line)
    return meant


async def _accept(work: Work, command: AcceptBatch) -> Answer | Refusal:
    batch_id = ids.new()
    sealed = await _sealed(work, batch_id, command)
    caller = command.asked.caller
    batch = RewardBatch(
        id=batch_id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        merchant_id=command.merchant_id,
        request_id=command.asked.request_id,
        status="accepted",
        total=len(command.lines),
        done=0,
        succeeded=0,
        failed=0,
        revoked=0,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, batch, sealed)
    audit.note(work, command.asked, status=202, resource_id=batch_id)
    return Answer(202, batch_resource.document(batch), batch_id, f"/api/v1/reward-batches/{batch_id}")


async def _sealed(work: Work, batch_id: UUID, command: AcceptBatch) -> list[bytes]:
    """Every line at rest, made in pieces: others are answered in between."""
    sealed: list[bytes] = []
    for number, line in enumerate(command.lines):
        if number % PIECE == PIECE - 1:
            await asyncio.sleep(0)
        kept = msgspec.msgpack.encode(_Kept(command.country, line))
        sealed.append(work.keys.seal(kept, _place(batch_id, number)))
    return sealed


def _place(batch_id: UUID, line: int) -> bytes:
    return batch_id.bytes + line.to_bytes(4, "big")


async def _revoke(work: Work, command: RevokeBatch) -> Answer | Refusal:
    seen = await visible(work, command.asked, command.batch_id)
    if seen is None or seen.partner_id != command.asked.caller.partner_id:
        return NotFound("No reward batch has this id. Verify the id.")
    batch = await store.lock(work, command.batch_id)
    assert batch is not None, "a batch is never deleted"
    if batch.status in ("revoking", "revoked"):
        return InvalidState("The batch is being revoked, or has been, already.")
    batch = replace(batch, status="revoking", version=batch.version + 1, updated_at=work.now)
    await store.progress(work, batch, work.real_now)
    audit.note(work, command.asked, status=202, resource_id=batch.id)
    return Answer(202, batch_resource.document(batch), batch.id)


async def run_batches(runtime: Runtime) -> bool:
    """One step of the loop: carry one batch of each tenant a chunk further; whether there was any."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, _: step(runtime, tenant))


async def step(runtime: Runtime, tenant: Tenant) -> bool:
    """Carry the tenant's longest waiting batch one chunk further. A killed step is repeated: its lines are keyed."""
    async with runtime.work(tenant) as work:
        batch = await store.lease(work, work.real_now + LEASE)
        lines = [] if batch is None else await store.waiting_lines(work, batch.id, 0, LINES_AT_ONCE)
    if batch is None:
        return False
    if batch.status == "revoking":
        await _run_revocation(runtime, tenant, batch, lines)
    else:
        await _run_lines(runtime, tenant, batch, lines)
    return True


async def _run_lines(runtime: Runtime, tenant: Tenant, batch: RewardBatch, lines: Sequence[tuple[int, bytes]]) -> None:
    async def carry_out(work: Work, chunk: Sequence[tuple[int, bytes]]) -> Sequence[Line | Refusal]:
        # Under the batch's lock: a revocation waits for what is being given, and nothing is given after it.
        current = await store.lock(work, batch.id)
        assert current is not None, "a batch is never deleted"
        if current.status in ("revoking", "revoked"):
            return [InvalidState("The batch was revoked.")] * len(chunk)
        return await _give(work, batch, chunk)

    outcomes = await run_batch(runtime, carry_out, tenant, lines)
    broken = [
        Line(number, None, _error(UnexpectedError("This line could not be carried out."), number))
        for (number, _), outcome in zip(lines, outcomes, strict=True)
        if isinstance(outcome, Exception) and not isinstance(outcome, Refusal)
    ]
    async with runtime.work(tenant) as work:
        current = await store.lock(work, batch.id)
        assert current is not None, "a batch is never deleted"
        if broken:
            await store.conclude_lines(work, batch.id, broken)
        await _advance(work, current, "running" if lines else "completed")


async def _advance(work: Work, batch: RewardBatch, status: store.Status, pause: timedelta = timedelta(0)) -> None:
    """Count what became of the lines; a batch that was told to stop meanwhile goes on being revoked."""
    succeeded, failed = await store.tally(work, batch.id)
    done = succeeded + failed
    if batch.status not in ("revoking", "revoked"):
        batch = replace(batch, status="completed" if done == batch.total else status)
    due_at = work.real_now + pause if batch.status in ("accepted", "running", "revoking") else None
    await store.progress(work, replace(batch, done=done, succeeded=succeeded, failed=failed), due_at)


async def _give(work: Work, batch: RewardBatch, chunk: Sequence[tuple[int, bytes]]) -> Sequence[Line]:
    """Issue a chunk's rewards and write what became of each line, in one transaction."""
    concluded: dict[int, Line] = {}
    commands: list[tuple[int, IssueReward]] = []
    asked = _asked(work.tenant, batch)
    for number, sealed in chunk:
        kept = msgspec.msgpack.decode(work.keys.open_sealed(sealed, _place(batch.id, number)), type=_Kept)
        try:
            e164 = phone.normalise(kept.wish.phone, kept.country)
        except phone.ImpossiblePhone as impossible:
            refusal = InvalidRequest(str(impossible), source=at("/data/attributes/phoneNumber"))
            concluded[number] = Line(number, None, _error(refusal, number))
            continue
        commands.append((number, _command(batch, asked, number, kept.wish, e164)))
    outcomes = await issue(work, [command for _, command in commands], operation=OPERATION) if commands else []
    for (number, _), outcome in zip(commands, outcomes, strict=True):
        concluded[number] = (
            Line(number, outcome.reward_id, None)
            if isinstance(outcome, Issued)
            else Line(number, None, _error(outcome, number))
        )
    lines = [concluded[number] for number, _ in chunk]
    if lines:
        await store.conclude_lines(work, batch.id, lines)
    return lines


def _asked(tenant: Tenant, batch: RewardBatch) -> Asked:
    """The request that brought the batch stands behind each of its rewards."""
    caller = Caller.behind(tenant, batch.partner_id, batch.client_id)
    return Asked(caller, batch.request_id, "POST", "/api/v1/reward-batches")


def _command(batch: RewardBatch, asked: Asked, number: int, wish: LineWish, e164: str) -> IssueReward:
    return IssueReward(
        asked=asked,
        merchant_id=batch.merchant_id,
        merchant_named=False,
        phone=e164,
        amount=wish.amount,
        key=f"{batch.id}:{number}",
        message=wish.message,
        reason_code=wish.reason_code,
        cost_center=wish.cost_center,
        notification_email=wish.notification_email,
        batch_id=batch.id,
    )


def _error(refusal: Refusal, number: int) -> str:
    """The refusal of one line, its pointer moved to the line of the batch's own document."""
    error: dict[str, Any] = {
        "code": refusal.code,
        "status": str(refusal.status),
        "title": refusal.title,
        "detail": refusal.detail,
    }
    if refusal.source is not None and refusal.source.kind == "pointer":
        name = refusal.source.name.rsplit("/", 1)[-1]
        error["source"] = {"pointer": f"/data/attributes/recipients/{number}/{name}"}
    return msgspec.json.encode(error).decode()


async def _run_revocation(
    runtime: Runtime, tenant: Tenant, batch: RewardBatch, lines: Sequence[tuple[int, bytes]]
) -> None:
    """Lines that have not run never will; then what waits is cancelled and what was credited is reversed."""
    async with runtime.work(tenant) as work:
        if lines:
            told = InvalidState("The batch was revoked before this line was carried out.")
            await store.conclude_lines(
                work, batch.id, [Line(number, None, _error(told, number)) for number, _ in lines]
            )
            standing = []
        else:
            standing = await store.standing(work, batch.id, LINES_AT_ONCE)
    asked = _asked(tenant, batch)
    taken = 0
    for verb, made in ((cancel, CancelReward), (reverse, ReverseReward)):
        wanted = [made(asked, i) for i, status in standing if (status == "Created") == (verb is cancel)]
        outcomes = await run_batch(runtime, cast("Any", verb), tenant, wanted) if wanted else []
        taken += sum(isinstance(outcome, Answer) for outcome in outcomes)
    async with runtime.work(tenant) as work:
        current = await store.lock(work, batch.id)
        assert current is not None, "a batch is never deleted"
        ended = not lines and not standing
        await _advance(
            work,
            replace(
                current,
                status="revoked" if ended else "revoking",
                # Counted anew: a killed pass has taken back without saying so.
                revoked=await store.taken_back(work, batch.id),
            ),
            "revoking",
            # A pass that could take nothing back leaves room for others before it tries again.
            timedelta(0) if taken or not standing else LEASE,
        )
