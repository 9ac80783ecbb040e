"""Short ways to order a day's reconciliation, to read it, and to hold totals and rows against it."""

from typing import Any

from tallystick.base.work import Runtime
from tests.api import Answer, Api
from tests.reports.cast import Made, drain, read
from tests.rewards.cast import feed


async def reported(api: Api, runtime: Runtime, **asked: Any) -> tuple[str, Made]:
    """A reconciliation that is made: its id, and what it says."""
    attributes = {"kind": "reconciliation", **asked}
    ordered = await api.post("reports", {"data": {"type": "Report", "attributes": attributes}})
    assert ordered.status == 202, ordered.text
    await drain(runtime)
    return ordered.data["id"], await read(api, ordered.data["id"])


def totals(report: Made) -> dict[str, tuple[int, int | None]]:
    """Count and amount of each topic."""
    return {row["name"]: (row["count"], row["amount"]) for row in report.rows if row["section"] == "events"}


def balances(report: Made, value_class: str = "all") -> dict[str, int]:
    return {
        row["name"]: row["amount"]
        for row in report.rows
        if row["section"] == "balance" and row["valueClass"] == value_class
    }


def own_totals(report: Made) -> list[dict[str, Any]]:
    """What a partner would send that counted the same."""
    return [{"topic": name, "count": count, "amount": amount} for name, (count, amount) in totals(report).items()]


async def hold(api: Api, key: str | None = None, **sent: Any) -> Answer:
    """Hold totals and rows against a report."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post("reconciliations", {"data": {"type": "Reconciliation", "attributes": sent}}, headers=headers)


async def differences(api: Api, reconciliation_id: str) -> list[Any]:
    answer = await api.get(f"reconciliations/{reconciliation_id}/differences?page[limit]=50")
    assert answer.status == 200, answer.text
    return [each["attributes"] for each in answer.data]


async def told(api: Api, topic: str = "reconciliation.mismatch_found") -> list[Any]:
    """The events of a topic, oldest first."""
    return [each for each in await feed(api) if each["topic"] == topic]


def delta(event: Any, before: Any) -> int:
    """What a gift card's event moved, reckoned as a partner would: by the balance after it and after the one before."""
    now, then = (
        0 if each is None else int(sum(each["document"]["attributes"]["balance"].values())) for each in (event, before)
    )
    return abs(now - then)
