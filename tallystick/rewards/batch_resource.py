"""The reward batch and its lines on the wire."""

from uuid import UUID

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.rewards.batch_store import Line, RewardBatch

EXAMPLE = {
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "status": "running",
    "total": 10_000,
    "done": 2_500,
    "succeeded": 2_498,
    "failed": 2,
    "revoked": 0,
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:01.000Z",
}


LINE_EXAMPLE = {"line": 0, "status": "succeeded", "rewardId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10", "error": None}


class RewardBatchAttributes(msgspec.Struct, rename="camel"):
    """How far a batch is: `done` lines of `total`, of which some gave a reward and some were refused."""

    merchant_id: str
    status: str
    total: int
    done: int
    succeeded: int
    failed: int
    revoked: int
    created_at: str
    updated_at: str


class LineAttributes(msgspec.Struct, rename="camel"):
    """What became of one line: the reward it gave, or the error it met; neither while it waits."""

    line: int
    status: str
    reward_id: str | None
    error: msgspec.Raw | None


LINE = Resource("RewardBatchItem", "/api/v1/reward-batches/{id}/items", LineAttributes, LINE_EXAMPLE, is_named=True)
REWARD_BATCH = Resource("RewardBatch", "/api/v1/reward-batches", RewardBatchAttributes, EXAMPLE)


def resource(batch: RewardBatch) -> bytes:
    """The resource object of a batch."""
    return jsonapi.resource(
        REWARD_BATCH,
        batch.id,
        RewardBatchAttributes(
            merchant_id=str(batch.merchant_id),
            status=batch.status,
            total=batch.total,
            done=batch.done,
            succeeded=batch.succeeded,
            failed=batch.failed,
            revoked=batch.revoked,
            created_at=clock.render(batch.created_at),
            updated_at=clock.render(batch.updated_at),
        ),
    )


def document(batch: RewardBatch) -> bytes:
    """The document of one batch."""
    return jsonapi.document(resource(batch))


def line(batch_id: UUID, outcome: Line) -> bytes:
    """The resource object of one line; its id is the batch's and the line's number."""
    status = "failed" if outcome.error is not None else "waiting" if outcome.reward_id is None else "succeeded"
    shown = LineAttributes(
        line=outcome.line,
        status=status,
        reward_id=None if outcome.reward_id is None else str(outcome.reward_id),
        error=None if outcome.error is None else msgspec.Raw(outcome.error.encode()),
    )
    return jsonapi.resource(LINE, f"{batch_id}:{outcome.line}", shown)
