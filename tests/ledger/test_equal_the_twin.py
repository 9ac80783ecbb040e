"""However a history is cut into batches, the books come out as if each thing had come alone."""

from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Work
from tallystick.ledger import Hold, Journal, NewAccount, Resolution, Transfer
from tests import world
from tests.ledger.twin import Twin

LIMITS = [(None, None), (None, None), (0, None), (-6, None), (None, 0), (None, 9), (-3, 3)]
AMOUNTS = st.sampled_from([*range(1, 9), *range(1, 9), 2**62 - 1, 2**62, 2**63 - 1])
SPOTS = st.integers(0, 30)
"""Numbers that stand for one of the accounts, holds or books there are, taken modulo their count."""


@dataclass(frozen=True)
class Posting:
    journal: Journal
    opening: tuple[NewAccount, ...]


Step = Posting | Hold | Resolution


class History:
    """Turns numbers into steps: most name what exists, some name what does not, or does not belong there."""

    def __init__(self) -> None:
        merchants = ids.new(), ids.new()
        self.books = [(merchants[0], "USD")] * 6 + [(merchants[0], "EUR"), (merchants[1], "USD")]
        self.base = [
            NewAccount(ids.new(), *self.books[0], "test.account", ids.new(), floor=floor, ceiling=ceiling)
            for floor, ceiling in LIMITS
        ]
        self.base += [NewAccount(ids.new(), *book, "test.account", ids.new()) for book in self.books[-2:]]
        self.known: list[UUID] = [each.id for each in self.base[:4] * 3 + self.base] + [ids.new()]
        self.holds: list[Hold] = []

    def journal(self, book: int, transfers: list[tuple[int, int, int]], names: list[UUID]) -> Journal:
        legs = []
        for debit, credit, amount in transfers:
            payer = names[debit % len(names)]
            others = [each for each in names if each != payer]
            legs.append(Transfer(payer, others[credit % len(others)], amount))
        return Journal(ids.new(), "test.moved", ids.new(), *self.books[book % len(self.books)], tuple(legs))

    def posting(self, book: int, transfers: list[tuple[int, int, int]], fresh: list[int]) -> Posting:
        opening = tuple(
            NewAccount(ids.new(), *self.books[book % len(self.books)], "test.lot", ids.new(), floor=floor)
            for floor in fresh
        )
        names = [each.id for each in opening] * 6 + self.known
        journal = self.journal(book, transfers, names)
        named = {each for transfer in journal.transfers for each in (transfer.debit, transfer.credit)}
        opening = tuple(each for each in opening if each.id in named)
        self.known += [each.id for each in opening] * 2
        return Posting(journal, opening)

    def hold(self, account: int, amount: int) -> Hold:
        self.holds.append(Hold(ids.new(), self.known[account % len(self.known)], amount, ids.new()))
        return self.holds[-1]

    def resolution(self, number: int, book: int, amount: int | None, further: list[tuple[int, int, int]]) -> Resolution:
        hold = self.holds[number % len(self.holds)] if self.holds else Hold(ids.new(), self.known[0], 1, ids.new())
        if amount is None:
            return Resolution(hold.id, "released")
        other = next(each for each in self.known[book % len(self.known) :] + self.known if each != hold.account_id)
        more = self.journal(book, further, self.known)
        taken = Transfer(hold.account_id, other, min(amount, hold.amount + 1))
        captured = Journal(more.id, more.kind, more.cause_id, more.merchant_id, more.currency, (taken, *more.transfers))
        return Resolution(hold.id, "captured", captured)


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, list[list[Step]]]:
    history = History()
    transfers = st.lists(st.tuples(SPOTS, SPOTS, AMOUNTS), min_size=1, max_size=3)
    steps: list[Step] = []
    for kind in draw(st.lists(st.sampled_from("pppphr"), min_size=4, max_size=30)):
        if kind == "p":
            steps.append(history.posting(draw(SPOTS), draw(transfers), draw(st.lists(st.integers(-2, 0), max_size=2))))
        elif kind == "h":
            steps.append(history.hold(draw(SPOTS), draw(AMOUNTS)))
        else:
            further = draw(st.lists(st.tuples(SPOTS, SPOTS, AMOUNTS), max_size=1))
            steps.append(history.resolution(draw(SPOTS), draw(SPOTS), draw(st.none() | AMOUNTS), further))
    batches = []
    for _, same in groupby(steps, type):
        left = list(same)
        while left:
            size = draw(st.integers(1, len(left)))
            batches.append(left[:size])
            left = left[size:]
    return history, batches


async def carry_out(work: Work, batch: list[Step]) -> list[str]:
    postings = [step for step in batch if isinstance(step, Posting)]
    opening = [each for posting in postings for each in posting.opening]
    return [
        *await ledger.post(work, [posting.journal for posting in postings], opening),
        *await ledger.hold(work, [step for step in batch if isinstance(step, Hold)]),
        *await ledger.resolve(work, [step for step in batch if isinstance(step, Resolution)]),
    ]


def carry_out_alone(twin: Twin, step: Step) -> str:
    if isinstance(step, Posting):
        return twin.post(step.journal, step.opening)
    return twin.hold(step) if isinstance(step, Hold) else twin.resolve(step)


async def same(work: Work, twin: Twin, history: History) -> None:
    found = await ledger.lock(work, list({*history.known, *twin.accounts}))
    assert found.keys() == twin.accounts.keys()
    for account_id, standing in twin.accounts.items():
        account = found[account_id]
        assert (account.balance, account.held) == (standing.balance, standing.held)
        entries = await ledger.statement(work, account_id)
        assert [each.version for each in entries] == list(range(1, account.version + 1))
        assert [
            (each.journal_id, each.leg, each.counterpart_id, each.amount, each.balance_after) for each in entries
        ] == standing.entries
    journals = await work.db.rows("select id from journals where tenant_id = $1", work.tenant.id)
    assert {row[0] for row in journals} == twin.journals


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=histories())
async def test_any_history_in_any_batches_equals_one_at_a_time(
    runtime: Runtime, auditor: Db, drawn: tuple[History, list[list[Step]]]
) -> None:
    history, batches = drawn
    tenant, twin = await world.northwind(runtime, "production"), Twin()
    twin.open(history.base)
    async with runtime.work(tenant) as work:
        await ledger.open_accounts(work, history.base)
    for batch in batches:
        async with runtime.work(tenant) as work:
            verdicts = await carry_out(work, batch)
        assert verdicts == [carry_out_alone(twin, step) for step in batch]
        for verdict in set(verdicts):
            event(verdict)
    async with runtime.work(tenant) as work:
        await same(work, twin, history)
    assert await ledger.check_books(auditor, tenant.id) == []
