"""How the example of a topic differs from the example of its type of resource."""

from collections.abc import Mapping
from typing import Any, Final

WALLET_ID: Final = "0199d3c0-6f11-7c0a-8b2e-4d5e6f7a8b9c"
OTHER_ID: Final = "0199d3c0-6f12-7d1b-9c3f-5e6f7a8b9c0d"
NOW: Final = "2026-06-17T12:00:00.000Z"
LATER: Final = "2026-07-17T12:00:00.000Z"

_SETTLED: Final[Mapping[str, Any]] = {"canUpdate": False, "canCancel": False}
_CREDITED: Final[Mapping[str, Any]] = {
    "kind": "immediate", "status": "Credited", "walletId": WALLET_ID, "claimExpiresAt": None, **_SETTLED
}  # fmt: skip
_EMPTY: Final[Mapping[str, Any]] = {"balance": {"available": 0, "pending": 0, "held": 0, "owed": 0}}
_HELD: Final[Mapping[str, Any]] = {
    "capturedAmount": 0, "remaining": 1250, "tender": 0, "discount": 0, "capture": "manual", "expiresAt": LATER
}  # fmt: skip
_SPENT: Final[Mapping[str, Any]] = {"balance": {"available": 0, "held": 0}}

SHOWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "reward.credited": _CREDITED,
    "reward.updated": {"amount": 750},
    "reward.claimed": {"status": "Claimed", "walletId": WALLET_ID, **_SETTLED},
    "reward.expired": {"status": "Expired", **_SETTLED},
    "reward.cancelled": {"status": "Cancelled", **_SETTLED},
    "reward.reversed": {**_CREDITED, "reversedAmount": 500},
    "wallet.suspended": {"status": "suspended"},
    "wallet.closed": {"status": "closed", **_EMPTY},
    "wallet.value_expiring": {"amount": 850, "expiresAt": LATER},
    "wallet.value_expired": {"amount": 850, "expiresAt": NOW},
    "wallet.merged": {"status": "closed", "mergedInto": OTHER_ID, **_EMPTY},
    "redemption.authorized": {"status": "authorized", **_HELD},
    "redemption.cancelled": {"status": "cancelled", **_HELD, "remaining": 0},
    "redemption.expired": {"status": "expired", **_HELD, "remaining": 0, "expiresAt": NOW},
    "redemption.refunded": {
        "status": "refunded", "refundedAmount": 1250, "refundedTender": 250, "refundedDiscount": 1000
    },
    "gift_card.issued": {"status": "pending", "activatedAt": None},
    "gift_card.redeemed": {"balance": {"available": 3750, "held": 0}},
    "gift_card.frozen": {"status": "frozen", "reason": "suspicious"},
    "gift_card.charged_back": {"status": "frozen", "reason": "charge_back"},
    "gift_card.replaced": {"status": "replaced", "replacedBy": OTHER_ID, **_SPENT},
    "gift_card.transferred": {"status": "depleted", **_SPENT},
    "gift_card.cashed_out": {"status": "depleted", **_SPENT},
    "gift_card.depleted": {"status": "depleted", **_SPENT},
    "gift_card.expired": {"status": "expired", "expiresAt": NOW, **_SPENT},
    "gift_card.cancelled": {"status": "cancelled", **_SPENT},
    "gift_card.batch_completed": {"status": "completed", "done": 100_000},
    "gift_card.lookups_blocked": {
        "kind": "lookupsBlocked", "label": None, "lookups": 500, "missed": 480, "blockedUntil": LATER
    },
    "transaction.rejected": {"attribution": "rejected"},
    "threshold.scheduled": {"status": "scheduled", "liveVersion": None, "scheduledVersion": 1, "scheduledAt": LATER},
    "threshold.paused": {"status": "paused"},
    "threshold.completed": {"status": "completed"},
    "threshold.reached": {
        "current": 5000, "total": 5000, "remaining": 0, "percent": 100, "step": 1, "status": "reached"
    },
    "threshold.reset": {"current": 0, "total": 5000, "remaining": 5000, "percent": 0, "cycle": 2},
    "import.completed": {
        "status": "completed", "linesDone": 1_002_000, "accepted": 1_000_000, "percent": 100, "finishedAt": LATER
    },
    "import.failed": {"status": "failed", "detail": "The first line names no column of this kind.", "finishedAt": LATER},
    "quota.warning": {"used": 800_000, "overage": 0, "percent": 80, "state": "warning"},
    "quota.exceeded": {"percent": None},
    "reconciliation.report_ready": {"kind": "liability"},
    "webhook.disabled": {"status": "disabled", "reason": "failures", "percent": 100},
}  # fmt: skip
"""By topic: what the resource shows then."""
