"""Where a reward or a gift card came from, on the wire."""

from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from tallystick.activity.outcome_store import Outcome
from tallystick.activity.provenance import Behind, Counted, Provenance
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.ledger.causes import Caused


class CountedShown(msgspec.Struct, rename="camel"):
    """An activity behind a reward: what it counts as it stands now, by which version."""

    activity_id: str
    kind: str
    occurred_at: str
    counted: int
    threshold_version: int


class BehindShown(msgspec.Struct, rename="camel"):
    """The activities that counted when the step was reached: how many, how much as they stand now, and the newest of them."""

    number: int
    counted: int
    newest: list[CountedShown]


class ThresholdCauseShown(msgspec.Struct, rename="camel"):
    """The step of a rule that gave it. `desiredAmount` is what it would have been without caps and budgets."""

    threshold_id: str
    threshold_version: int
    user_id: str
    window_start: str
    cycle: int
    step: int
    needs: int
    status: str
    amount: int
    desired_amount: int
    returned_amount: int
    activity_id: str | None
    reached_at: str
    activities: BehindShown


class TransferShown(msgspec.Struct, rename="camel"):
    """An amount that a journal moved, in minor units, from the debited account to the credited one."""

    debit: str
    credit: str
    amount: int


class JournalShown(msgspec.Struct, rename="camel"):
    """A journal that the reward or the card is behind."""

    journal_id: str
    kind: str
    at: str
    transfers: list[TransferShown]


class ProvenanceAttributes(msgspec.Struct, rename="camel"):
    """Where it came from, and what the books say of it, oldest first."""

    cause: Literal["threshold", "request"]
    partner_id: str
    agreement_id: str | None
    request_id: str | None
    batch_id: str | None
    threshold: ThresholdCauseShown | None
    journals: list[JournalShown]


EXAMPLE: Final[dict[str, Any]] = {
    "cause": "threshold",
    "partnerId": "0199d3c0-4d0b-7e55-8a41-2c3d4e5f6a7b",
    "agreementId": "0199d3c0-4e1c-7f66-9b52-3d4e5f6a7b8c",
    "requestId": "0199d3c0-9d44-7c33-8e6f-7a8b9c0d1e2f",
    "batchId": None,
    "threshold": {
        "thresholdId": "0199d3c0-7b22-7a11-9c4d-5e6f7a8b9c0d",
        "thresholdVersion": 2,
        "userId": "0199d3c0-6a01-7d52-8f3e-3b5a6c7d8e90",
        "windowStart": "2026-06-01T04:00:00.000Z",
        "cycle": 1,
        "step": 1,
        "needs": 5000,
        "status": "given",
        "amount": 500,
        "desiredAmount": 500,
        "returnedAmount": 0,
        "activityId": "0199d3c0-8c33-7b22-8d5e-6f7a8b9c0d1e",
        "reachedAt": "2026-06-17T12:00:00.000Z",
        "activities": {
            "number": 1,
            "counted": 5200,
            "newest": [
                {
                    "activityId": "0199d3c0-8c33-7b22-8d5e-6f7a8b9c0d1e",
                    "kind": "transaction",
                    "occurredAt": "2026-06-17T11:58:00.000Z",
                    "counted": 5200,
                    "thresholdVersion": 2,
                }
            ],
        },
    },
    "journals": [
        {
            "journalId": "0199d3c0-ae55-7d44-9f70-8b9c0d1e2f30",
            "kind": "reward.issue",
            "at": "2026-06-17T12:00:00.000Z",
            "transfers": [
                {
                    "debit": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
                    "credit": "0199d3c0-bf66-7e55-a081-9c0d1e2f3041",
                    "amount": 500,
                }
            ],
        }
    ],
}
PROVENANCE: Final = Resource("RewardProvenance", "/api/v1/rewards/{id}/provenance", ProvenanceAttributes, EXAMPLE)
CARD_EXAMPLE: Final[dict[str, Any]] = {**EXAMPLE, "journals": [{**EXAMPLE["journals"][0], "kind": "card.issue"}]}
CARD_PROVENANCE: Final = Resource(
    "GiftCardProvenance", "/api/v1/gift-cards/{id}/provenance", ProvenanceAttributes, CARD_EXAMPLE
)


def document(of: Resource, found: Provenance) -> bytes:
    """The document of a provenance; its id is that of the reward or the card."""
    outcome = found.outcome
    shown = ProvenanceAttributes(
        cause="request" if outcome is None else "threshold",
        partner_id=str(found.partner_id),
        agreement_id=_text(found.agreement_id),
        request_id=_text(found.request_id),
        batch_id=_text(found.batch_id),
        threshold=None if outcome is None or found.behind is None else _cause(outcome, found.behind),
        journals=[_journal(each) for each in found.journals],
    )
    return jsonapi.document(jsonapi.resource(of, found.id, shown))


def _cause(outcome: Outcome, behind: Behind) -> ThresholdCauseShown:
    return ThresholdCauseShown(
        threshold_id=str(outcome.threshold_id),
        threshold_version=outcome.number,
        user_id=str(outcome.customer_id),
        window_start=clock.render(outcome.window_start),
        cycle=outcome.cycle,
        step=outcome.step,
        needs=outcome.needs,
        status=outcome.status,
        amount=outcome.amount,
        desired_amount=outcome.desired_amount,
        returned_amount=outcome.returned_amount,
        activity_id=_text(outcome.activity_id),
        reached_at=clock.render(outcome.created_at),
        activities=BehindShown(behind.number, behind.counted, [_counted(each) for each in behind.newest]),
    )


def _counted(each: Counted) -> CountedShown:
    return CountedShown(str(each.activity_id), each.kind, clock.render(each.occurred_at), each.counted, each.number)


def _journal(each: Caused) -> JournalShown:
    moved = [TransferShown(str(one.debit), str(one.credit), one.amount) for one in each.transfers]
    return JournalShown(str(each.id), each.kind, clock.render(each.at), moved)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
