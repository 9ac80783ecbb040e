"""Add a merchant, change its settings, put money in, see what is left."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET

import tallystick.merchants.store as store
from tallystick import audit, events, ledger
from tallystick.base import idempotency, ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
)
from tallystick.base.idempotency import Answer, Claim, HouseSeal
from tallystick.base.money import Money
from tallystick.base.work import Asked, Work
from tallystick.merchants import resource
from tallystick.merchants.model import (
    CAP_MAX,
    ActivityTerms,
    Changes,
    ConfigureMerchant,
    Funding,
    Merchant,
    NewMerchant,
    SpendingTerms,
    faults,
    faults_of_changes,
    may_act_for,
)

TOP_UP: Final = "merchants.top_up"
REFERENCE_MAX: Final = 255
NO_MERCHANT: Final = "No merchant has this id. Verify the id."


async def add(work: Work, new: NewMerchant) -> Merchant:
    """A new merchant with its accounts: what it owes, what it paid ahead, what came in. Raises Refusals with every fault."""
    wrong = faults(new)
    if wrong:
        raise Refusals(wrong)
    merchant = Merchant(
        id=ids.new(),
        name=new.name,
        currency=new.currency,
        country=new.country,
        time_zone=new.time_zone,
        status="active",
        claim_days=new.claim_days,
        pre_issuing=new.pre_issuing,
        stacking=new.stacking,
        funding_mode=new.funding_mode,
        reward_maximum=new.reward_maximum,
        phone_day_maximum=new.phone_day_maximum,
        receivable_account_id=ids.new(),
        prefund_account_id=ids.new(),
        region=new.region,
        value_days=new.value_days,
    )
    cash_account_id = ids.new()
    await store.insert(work, merchant, cash_account_id)
    await ledger.open_accounts(
        work,
        [
            _account(merchant, merchant.receivable_account_id, "merchant.receivable", _floor(new.credit_limit)),
            _account(merchant, merchant.prefund_account_id, "merchant.prefund", 0),
            _account(merchant, cash_account_id, "merchant.cash", None),
            *ledger.house_accounts(merchant.id, merchant.currency),
        ],
    )
    return merchant


async def by_ids(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, Merchant]:
    """The merchants with these ids, in one statement; unknown ids are absent."""
    return await store.by_ids(work, merchant_ids)


async def terms(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, SpendingTerms]:
    """On what terms the value of these merchants is spent; unknown ids are absent."""
    return await store.terms(work, merchant_ids)


async def activity_terms(work: Work, merchant_ids: Sequence[UUID]) -> dict[UUID, ActivityTerms]:
    """How these merchants take activity; unknown ids are absent."""
    return await store.activity_terms(work, merchant_ids)


async def listed(
    work: Work, merchant_ids: Sequence[UUID] | None, offset: int, limit: int
) -> tuple[list[Merchant], int]:
    """A page of these merchants (None: of the whole tenant), oldest first, and how many there are."""
    return await store.listed(work, merchant_ids, offset, limit), await store.count(work, merchant_ids)


async def configure(work: Work, merchant_id: UUID, changes: Changes, asked: Asked | None = None) -> Merchant | Refusal:
    """The merchant as changed. A credit limit below what is owed already is refused, and leaves everything as it was.

    `asked` is the request behind it, None for the operator's own. What changes nothing tells nobody.
    """
    wrong = faults_of_changes(changes)
    if wrong:
        return wrong[0]
    merchant = (await store.lock(work, [merchant_id])).get(merchant_id)
    if merchant is None:
        return NotFound(NO_MERCHANT)
    if changes.credit_limit is not UNSET:
        refusal = await _limit(work, merchant, changes.credit_limit)
        if refusal is not None:
            return refusal
    changed = replace(merchant, **_set(changes, Merchant))
    terms = (await store.terms(work, [merchant_id]))[merchant_id]
    wanted = replace(terms, **_set(changes, SpendingTerms))
    takes = (await store.activity_terms(work, [merchant_id]))[merchant_id]
    wanted_takes = replace(takes, **_set(changes, ActivityTerms))
    if (changed, wanted, wanted_takes) != (merchant, terms, takes):
        await store.update(work, changed)
        await store.set_terms(work, merchant_id, wanted)
        await store.set_activity_terms(work, merchant_id, wanted_takes)
        events.record(work, await _updated(work, changed, asked))
    return changed


async def configure_for_partners(work: Work, commands: Sequence[ConfigureMerchant]) -> list[Answer | Refusal]:
    """The settings as changed for each command, once for its key. A merchant that a client may not act for is not there."""

    async def prepare(work: Work, commands: Sequence[ConfigureMerchant]) -> None:
        await store.lock(work, [command.merchant_id for command in commands])

    return await idempotency.keyed(
        work,
        "merchants.configure",
        commands,
        _configure,
        fingerprint=lambda command: msgspec.json.encode([command.merchant_id, command.changes]),
        seal=HouseSeal(),
        prepare=prepare,
    )


async def top_up(work: Work, merchant_id: UUID, amount: int, reference: str) -> UUID | Refusal:
    """Money that came in from the merchant, `amount` minor units, is there to fund rewards; the journal's id.

    Once for its reference: the same again is the same journal. The same reference with another amount is refused.
    """
    if not 0 < amount <= CAP_MAX:
        return InvalidRequest(f"Between 1 and {CAP_MAX} minor units.", source=attribute("amount"))
    if not 0 < len(reference) <= REFERENCE_MAX or not reference.isprintable():
        return InvalidRequest(
            f"A reference has 1 to {REFERENCE_MAX} printable characters.", source=attribute("reference")
        )
    merchant = (await store.by_ids(work, [merchant_id])).get(merchant_id)
    if merchant is None:
        return NotFound(NO_MERCHANT)
    # References are the merchant's own: it stands where a partner does in other keys.
    fingerprint = work.keys.fingerprint(work.tenant.id, str(amount).encode())
    wanted = Claim(merchant_id, reference, fingerprint, ids.new())
    taken = (await idempotency.claim(work, TOP_UP, [wanted])).get((merchant_id, reference))
    if taken is not None:
        return taken.resource_id if taken.fingerprint == fingerprint else _other_amount()
    refusal = await _book(work, merchant, wanted.resource_id, amount)
    if refusal is not None:
        await idempotency.forget(work, TOP_UP, [(merchant_id, reference)])
    return refusal or wanted.resource_id


async def funding(work: Work, merchant_id: UUID) -> Funding | None:
    """How the merchant pays for rewards and what is left for new ones; None when there is no such merchant."""
    merchant = (await store.by_ids(work, [merchant_id])).get(merchant_id)
    if merchant is None:
        return None
    return Funding(merchant.funding_mode, merchant.currency, await store.left(work, merchant.funding_account_id))


async def _configure(work: Work, command: ConfigureMerchant) -> Answer | Refusal:
    if not may_act_for(command.asked.caller, command.merchant_id):
        return NotFound(NO_MERCHANT)
    changed = await configure(work, command.merchant_id, command.changes, command.asked)
    if isinstance(changed, Refusal):
        return changed
    audit.note(work, command.asked, status=200, resource_id=changed.id)
    terms = (await store.terms(work, [changed.id]))[changed.id]
    takes = (await store.activity_terms(work, [changed.id]))[changed.id]
    return Answer(200, jsonapi.document(resource.configuration(changed, terms, takes)), changed.id)


def _account(merchant: Merchant, account_id: UUID, code: str, floor: int | None) -> ledger.NewAccount:
    return ledger.NewAccount(
        id=account_id,
        merchant_id=merchant.id,
        currency=merchant.currency,
        code=code,
        owner_id=merchant.id,
        floor=floor,
    )


def _floor(credit_limit: int | None) -> int | None:
    """What a merchant owes is a debit balance, so a limit of 500 is a floor of -500."""
    return None if credit_limit is None else -credit_limit


async def _limit(work: Work, merchant: Merchant, credit_limit: int | None) -> Refusal | None:
    """Move the floor of what the merchant may owe, unless it owes more than that already."""
    account_id = merchant.receivable_account_id
    verdict = await ledger.limit(work, account_id, floor=_floor(credit_limit), ceiling=None)
    if verdict == "below_floor":
        account = (await ledger.lock(work, [account_id]))[account_id]
        owed = Money(-account.available, merchant.currency)
        return InvalidState(
            f"The merchant owes {owed} already; its limit cannot be lower. Settle first, or set a higher limit.",
            source=attribute("creditLimit"),
        )
    assert verdict == "limited", f"a merchant's own account takes its limit: {verdict}"
    return None


def _set(changes: Changes, kind: type[Merchant] | type[SpendingTerms] | type[ActivityTerms]) -> dict[str, Any]:
    """What is set of the merchant itself, or of its terms; the credit limit is its account's."""
    named = {one.name: getattr(changes, one.name, UNSET) for one in fields(kind)}
    return {name: value for name, value in named.items() if value is not UNSET}


async def _updated(work: Work, merchant: Merchant, asked: Asked | None) -> events.Event:
    # Counted under the merchant's lock, with those that this work has not committed yet.
    uncounted = sum(isinstance(one, events.Event) and one.subject_id == merchant.id for one in work.recorded)
    return events.Event(
        topic="merchant.updated",
        subject_type=resource.MERCHANT.type,
        subject_id=merchant.id,
        sequence=await store.told(work, merchant.id) + uncounted + 1,
        partner_id=None if asked is None else asked.caller.partner_id,
        merchant_id=merchant.id,
        request_id=None if asked is None else asked.request_id,
        document=resource.merchant(merchant),
    )


async def _book(work: Work, merchant: Merchant, journal_id: UUID, amount: int) -> Refusal | None:
    cash_account_id = await store.cash_account(work, merchant.id)
    journal = ledger.Journal(
        id=journal_id,
        kind="merchant.top_up",
        cause_id=merchant.id,
        merchant_id=merchant.id,
        currency=merchant.currency,
        transfers=(ledger.Transfer(cash_account_id, merchant.prefund_account_id, amount),),
    )
    (verdict,) = await ledger.post(work, [journal])
    if verdict == "too_large":
        return InvalidRequest("The merchant's account cannot hold that much.", source=attribute("amount"))
    assert verdict == "posted", f"the books refused a top-up: {verdict}"
    return None


def _other_amount() -> IdempotencyConflict:
    return IdempotencyConflict(
        "This reference was used for another amount. Use a new reference, or repeat exactly the first request.",
        source=attribute("reference"),
    )
