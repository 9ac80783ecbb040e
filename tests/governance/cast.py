"""Short ways to agree on quotas, to use them up, and to look at what is used."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick import governance, partners
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work
from tallystick.governance import quotas, terms
from tallystick.governance.model import Metric, Terms
from tallystick.governance.terms import LineWish, NewTerms
from tallystick.rewards.issuing import issue
from tallystick.rewards.model import IssueReward
from tests.api import Api, document_of

CARDS: Metric = "giftCards.count"
REWARDS: Metric = "rewards.value"
NEW_YORK = "America/New_York"


def line(metric: Metric = REWARDS, included: int = 1_000, **more: Any) -> LineWish:
    """A line of a month in New York that refuses more, unless told otherwise; values are in dollars."""
    settings = {"period": "month", "time_zone": NEW_YORK, "beyond": "block", **more}
    if metric.endswith("value"):
        settings.setdefault("currency", "USD")
    return LineWish(metric=metric, included=included, **settings)


def priced(metric: Metric = REWARDS, included: int = 1_000, **more: Any) -> LineWish:
    """A line that allows more, at 3 cents for every 100 units unless told otherwise."""
    return line(metric, included, **{"beyond": "allow", "unit_price": 3, "per": 100, "price_currency": "USD", **more})


async def agree(
    runtime: Runtime, tenant: Tenant, partner_id: UUID, *lines: LineWish, effective_from: datetime | None = None
) -> Terms:
    """The next version of a partner's terms."""
    assert terms.faults_of(lines) == []
    async with runtime.work(tenant) as work:
        made = await terms.agree(work, NewTerms(partner_id, lines, effective_from))
    assert isinstance(made, Terms), made
    return made


@dataclass(frozen=True)
class Take:
    """A command that takes so much of a metric, and nothing else."""

    partner_id: UUID
    amount: int
    metric: Metric = CARDS
    currency: str | None = None


async def take(work: Work, commands: Sequence[Take]) -> list[int | Refusal]:
    """A verb as issuing verbs are: it looks once, takes for each command and has it counted."""
    found = await quotas.look(work, [(each.partner_id, each.metric, each.amount) for each in commands])
    outcomes: list[int | Refusal] = [
        found.take(each.partner_id, each.metric, each.amount, each.currency) or each.amount for each in commands
    ]
    quotas.count(work, found)
    return outcomes


Outcome = Any


async def rivals(runtimes: Sequence[Runtime], tenant: Tenant, batches: Sequence[Sequence[Take]]) -> list[Outcome]:
    """Every batch at once, over the runtimes in turn; the outcomes of all commands."""
    answers = await asyncio.gather(
        *(run_batch(runtimes[n % len(runtimes)], take, tenant, batch) for n, batch in enumerate(batches))
    )
    return [outcome for answer in answers for outcome in answer]


def given(outcomes: Sequence[Outcome]) -> list[int]:
    """The amounts that were taken; everything else must be a refusal by a quota."""
    for outcome in outcomes:
        if not isinstance(outcome, int):
            assert isinstance(outcome, Refusal) and outcome.code == "QuotaExceeded", repr(outcome)
    return [outcome for outcome in outcomes if isinstance(outcome, int)]


async def used(runtime: Runtime, tenant: Tenant, partner_id: UUID) -> list[tuple[str, int, int]]:
    """(metric, used, refused) of every period that was counted, oldest first."""
    async with runtime.reading(tenant) as work:
        rows = await work.db.rows(
            "select metric, used, refused from quota_usage where tenant_id = $1 and partner_id = $2 "
            "order by period_start, metric, period",
            tenant.id,
            partner_id,
        )
    return [(row[0], row[1], row[2]) for row in rows]


def wish(api: Api, merchant_id: UUID, phone: str, amount: int) -> IssueReward:
    """A command to give a reward, as the road would make it."""
    caller = Caller(api.tenant, api.partner_id, UUID(api.client_id), frozenset(), None, False, 1, 1)
    asked = Asked(caller, ids.new(), "POST", "/api/v1/rewards")
    return IssueReward(asked, merchant_id, True, phone, amount, str(ids.new()))


async def give(runtime: Runtime, tenant: Tenant, commands: Sequence[IssueReward]) -> list[Outcome]:
    return list(await run_batch(runtime, issue, tenant, commands))


async def usage(api: Api, query: str = "") -> list[Any]:
    """What the partner reads of its usage."""
    answer = await api.get(f"usage{query}")
    assert answer.status == 200, answer.text
    return [each["attributes"] for each in answer.data]


async def advance_to(api: Api, instant: str) -> None:
    """Move the sandbox's clock."""
    answer = await api.post("sandbox/clock/advance", document_of("AdvanceClock", to=instant))
    assert answer.status == 200, answer.text


async def warn(runtime: Runtime) -> None:
    """Let the loop do all there is to do."""
    while await governance.warn_due(runtime):
        pass


async def operator(runtime: Runtime, api: Api, name: str = "Noor") -> tuple[Api, UUID]:
    """A new operator's own way to ask, and who they are."""
    async with runtime.pool.lend() as db, db.connection.transaction():
        made, secret = await partners.add_operator(db, runtime.keys, name, None, runtime.clock())
    return replace(api, client_id="", secret=secret), made.id


async def agreement_of(runtime: Runtime, api: Api) -> UUID:
    async with runtime.pool.lend() as db:
        found = await partners.agreements_of(db, api.partner_id)
    return next(each.id for each in found if each.sandbox.programme_id == api.tenant.programme_id)


def sent(**more: Any) -> Any:
    """A line as it is sent over HTTP."""
    return {
        "metric": REWARDS,
        "currency": "USD",
        "period": "month",
        "timeZone": NEW_YORK,
        "included": 1_000,
        "beyond": "block",
        **more,
    }


def terms_of(*lines: Any, **more: Any) -> Any:
    return document_of("QuotaTerms", **{"environment": "sandbox", "lines": list(lines), **more})
