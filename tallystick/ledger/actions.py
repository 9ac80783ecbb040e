"""The verbs of the books. All of them take many, and answer each; a refused one has no effect and harms no other."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import tallystick.ledger.store as store
from tallystick.base.work import Work
from tallystick.ledger.model import (
    Account,
    Entry,
    Hold,
    HoldVerdict,
    Journal,
    LimitVerdict,
    NewAccount,
    Resolution,
    ResolutionVerdict,
    Verdict,
)
from tallystick.ledger.postings import arrays
from tallystick.ledger.store import Held

STATEMENT_ENTRIES_MAX = 1_000

_order = attrgetter("int")


async def open_accounts(work: Work, accounts: Sequence[NewAccount]) -> None:
    """Open empty accounts. An id that is taken is a fault."""
    if accounts:
        await store.insert_accounts(work, accounts)


async def lock(work: Work, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Lock accounts, in the order of their ids, until the work ends. Accounts that do not exist are absent from the answer."""
    return await store.lock(work, account_ids) if account_ids else {}


async def limit(work: Work, account_id: UUID, *, floor: int | None, ceiling: int | None) -> LimitVerdict:
    """Bound an account anew, unless its balance is outside already. Locks it."""
    account = (await lock(work, [account_id])).get(account_id)
    if account is None:
        return "unknown_account"
    if floor is not None and account.available < floor:
        return "below_floor"
    if ceiling is not None and account.balance > ceiling:
        return "above_ceiling"
    await store.limit(work, account_id, floor, ceiling)
    return "limited"


async def post(work: Work, journals: Sequence[Journal], opening: Sequence[NewAccount] = ()) -> list[Verdict]:
    """Post each journal whole or not at all, in order; accounts are locked in the order of their ids.

    An account in `opening` is opened by the first journal that names it, if that one posts; one that none names is opened.
    An entry's time is the later of `work.now` and the account's last. A transfer of nothing or to itself is a fault.
    """
    if not journals:
        await open_accounts(work, opening)
        return []
    return await store.post(work, arrays(journals, opening))


def post_foreseen(work: Work, journals: Sequence[Journal], opening: Sequence[NewAccount] = ()) -> None:
    """Post, at the end of the work, journals that were decided on under the locks of their accounts.

    The books have the last word all the same: a refusal that was not foreseen is a fault of ours, and undoes the work.
    """
    store.post_later(work, arrays(journals, opening), _check_foreseen)


def _check_foreseen(verdicts: Sequence[Verdict]) -> None:
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused what was foreseen: {verdicts}"


async def hold(work: Work, holds: Sequence[Hold]) -> list[HoldVerdict]:
    """Reserve each amount, in order, as far as the account's floor allows."""
    if not holds:
        return []
    assert all(each.amount > 0 for each in holds), "a hold reserves a positive amount"
    return await store.hold(work, holds, sorted({each.account_id for each in holds}, key=_order))


async def resolve(work: Work, resolutions: Sequence[Resolution]) -> list[ResolutionVerdict]:
    """End each hold, once: what it reserved is free again, then the capture's journal takes its part."""
    if not resolutions:
        return []
    hold_ids = list({each.hold_id for each in resolutions})
    holds = await store.held(work, hold_ids)
    # A hold's account is its lock, so what is resolved is read only behind it.
    await lock(work, list({each.account_id for each in holds.values()} | _moved(resolutions)))
    resolved = await store.resolved(work, hold_ids)
    verdicts: list[ResolutionVerdict] = []
    while len(verdicts) < len(resolutions):
        verdicts += await _resolve_each_once(work, _until_twin(resolutions[len(verdicts) :]), holds, resolved)
    return verdicts


async def balance(work: Work, account_id: UUID, at: datetime | None = None) -> int | None:
    """The balance, now or at an instant: 0 before the first entry, None when there is no such account."""
    if at is None:
        return await store.balance(work, account_id)
    return await store.balance_at(work, account_id, at)


async def statement(work: Work, account_id: UUID, *, after_version: int = 0, limit: int = 100) -> list[Entry]:
    """Entries behind a version, oldest first, each with the balance after it. `limit` is at most STATEMENT_ENTRIES_MAX."""
    return await store.statement(work, account_id, after_version, min(limit, STATEMENT_ENTRIES_MAX))


def _moved(resolutions: Sequence[Resolution]) -> set[UUID]:
    transfers = [transfer for each in resolutions if each.journal is not None for transfer in each.journal.transfers]
    return {transfer.debit for transfer in transfers} | {transfer.credit for transfer in transfers}


def _until_twin(resolutions: Sequence[Resolution]) -> Sequence[Resolution]:
    """The longest beginning that names no hold twice."""
    seen: set[UUID] = set()
    for n, each in enumerate(resolutions):
        if each.hold_id in seen:
            return resolutions[:n]
        seen.add(each.hold_id)
    return resolutions


async def _resolve_each_once(
    work: Work, resolutions: Sequence[Resolution], holds: dict[UUID, Held], resolved: set[UUID]
) -> list[ResolutionVerdict]:
    """`resolved` learns what was resolved here."""
    verdicts = [_judge(work, each, holds.get(each.hold_id), resolved=each.hold_id in resolved) for each in resolutions]
    going = [each for each, verdict in zip(resolutions, verdicts, strict=True) if verdict == "resolved"]
    if not going:
        return verdicts
    freed = [(holds[each.hold_id].account_id, holds[each.hold_id].amount) for each in going]
    posted = iter(await store.post(work, arrays([each.journal for each in going], (), freed)))
    ended = []
    for n, (each, verdict) in enumerate(zip(resolutions, verdicts, strict=True)):
        if verdict != "resolved":
            continue
        answer = next(posted)
        if answer == "posted":
            journal_id = None if each.journal is None else each.journal.id
            ended.append((each.hold_id, each.ending, _captured(each, holds[each.hold_id]), journal_id))
        else:
            verdicts[n] = answer
    await store.insert_resolutions(work, ended)
    resolved.update(hold_id for hold_id, _, _, _ in ended)
    return verdicts


def _judge(work: Work, resolution: Resolution, held: Held | None, *, resolved: bool) -> ResolutionVerdict:
    if held is None:
        return "unknown_hold"
    if resolved:
        return "already_resolved"
    assert (resolution.journal is not None) == (resolution.ending == "captured"), (
        "a capture, and only it, has a journal"
    )
    due = held.expires_at is not None and held.expires_at <= work.now
    if resolution.ending == "captured":
        captured = _captured(resolution, held)
        assert captured > 0, "a capture's journal debits the account that is held"
        return "hold_expired" if due else "above_hold" if captured > held.amount else "resolved"
    return "not_due" if resolution.ending == "expired" and not due else "resolved"


def _captured(resolution: Resolution, held: Held) -> int:
    if resolution.journal is None:
        return 0
    return sum(each.amount for each in resolution.journal.transfers if each.debit == held.account_id)
