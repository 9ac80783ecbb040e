"""Issue rewards: the hot path. One call is a batch of one; a job is a batch of a thousand; the rules are the same."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

import tallystick.rewards.store as store
from tallystick import audit, events, ledger
from tallystick.base import idempotency, ids, jsonapi
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.idempotency import Claim, Erased
from tallystick.base.work import Work
from tallystick.customers import recipients
from tallystick.customers.recipients import Recipient
from tallystick.governance import quotas
from tallystick.rewards import resource
from tallystick.rewards.looking import look
from tallystick.rewards.model import (
    LOT_CLASS,
    Facts,
    Granted,
    IssueReward,
    Private,
    Replayed,
    Reward,
    decide,
    key_conflict,
)

OPERATION = "rewards.issue"

_encode = msgspec.json.Encoder().encode


class Issued(msgspec.Struct, frozen=True):
    """The answer of an issue: the document, byte for byte the same for every replay of its key."""

    reward_id: UUID
    document: bytes
    replayed: bool


class _Given(msgspec.Struct, frozen=True):
    """A reward that was granted, with everything its rows need."""

    command: IssueReward
    reward: Reward
    granted: Granted
    document: bytes
    private: bytes | None
    answer: bytes
    shown: resource.RewardAttributes


async def issue(work: Work, commands: Sequence[IssueReward], *, operation: str = OPERATION) -> list[Issued | Refusal]:
    """Give each reward once for its key: into the recipient's one active wallet, or waiting until they have one.

    An outcome for every command, as if they had come one after another; a refused one leaves no row and no key.
    """
    claims = [_claim(work, command) for command in commands]
    facts, people = await look(work, operation, commands, claims)
    taken = frozenset(facts.keys)

    outcomes: list[Issued | Replayed | Refusal] = []
    given: list[_Given] = []
    for command, claim in zip(commands, claims, strict=True):
        outcome = _decide(command, claim, facts)
        if isinstance(outcome, Granted):
            made = _make(work, command, claim.resource_id, outcome, people[command.phone])
            given.append(made)
            outcomes.append(Issued(claim.resource_id, made.document, replayed=False))
        else:
            outcomes.append(outcome)

    quotas.count(work, facts.quotas)
    if given:
        _apply(work, given)
    if unnamed := facts.strangers.difference(made.reward.recipient_id for made in given):
        await recipients.forget(work, list(unnamed))
    await idempotency.settle(work, operation, claims, taken, {made.reward.id for made in given})
    return await _answered(work, commands, outcomes)


def _claim(work: Work, command: IssueReward) -> Claim:
    return Claim(command.asked.caller.partner_id, command.key, fingerprint(work, command), ids.new())


def fingerprint(work: Work, command: IssueReward) -> bytes:
    """SHA-256 over the normalised phone and the five listed fields (and the merchant where named), kept keyed."""
    body = [
        command.phone,
        command.amount,
        command.message,
        command.reason_code,
        command.cost_center,
        command.notification_email,
    ]
    if command.merchant_named:
        body.append(str(command.merchant_id))
    return work.keys.fingerprint(work.tenant.id, _encode(body))


def _decide(command: IssueReward, claim: Claim, facts: Facts) -> Granted | Replayed | Refusal:
    name = (claim.partner_id, claim.key)
    if name not in facts.keys and command.merchant_id not in facts.merchants:
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    return decide(command, claim.fingerprint, claim.resource_id, facts)


def _make(work: Work, command: IssueReward, reward_id: UUID, granted: Granted, person: Recipient) -> _Given:
    waits = granted.wallet is None
    reward = Reward(
        id=reward_id,
        partner_id=command.asked.caller.partner_id,
        merchant_id=granted.merchant.id,
        recipient_id=granted.recipient_id,
        batch_id=command.batch_id,
        kind="preIssued" if waits else "immediate",
        status="Created" if waits else "Credited",
        amount=command.amount,
        reversed_amount=0,
        currency=granted.merchant.currency,
        wallet_id=None if granted.wallet is None else granted.wallet.wallet_id,
        funding_account_id=granted.funding_account_id,
        value_account_id=ids.new(),
        claim_expires_at=work.now + timedelta(days=granted.merchant.claim_days) if waits else None,
        reason_code=command.reason_code,
        cost_center=command.cost_center,
        private_sealed=None,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    private = Private(command.message, command.notification_email)
    shown = resource.attributes(reward, private, work.now)
    document = jsonapi.document(jsonapi.resource(resource.REWARD, reward_id, shown))
    answer = person.key.seal(document, reward_id.bytes)
    return _Given(command, reward, granted, document, resource.seal_private(private, person, reward_id), answer, shown)


def _apply(work: Work, given: Sequence[_Given]) -> None:
    """Rows, journals, events and the requests' log: set-based, and all in one round trip at the work's end."""
    store.insert(work, [store.NewReward(made.reward, made.private, made.answer) for made in given])
    ledger.post_foreseen(work, [_journal(made) for made in given], opening=[_account(made) for made in given])
    for made in given:
        events.record(work, _event(made))
        if (
            made.command.batch_id is None and not made.command.behind
        ):  # a batch's lines stand behind the request that brought it
            audit.note(work, made.command.asked, status=200, resource_id=made.reward.id)


def _journal(made: _Given) -> ledger.Journal:
    reward, granted = made.reward, made.granted
    transfers = [ledger.Transfer(reward.funding_account_id, reward.value_account_id, reward.amount)]
    if granted.netted:
        assert granted.wallet is not None and granted.wallet.owed_account_id is not None, "only a holder owes"
        transfers.append(ledger.Transfer(reward.value_account_id, granted.wallet.owed_account_id, granted.netted))
    return ledger.Journal(
        id=ids.new(),
        kind="reward.issue" if reward.wallet_id is not None else "reward.pre_issue",
        cause_id=reward.id,
        merchant_id=reward.merchant_id,
        currency=reward.currency,
        transfers=tuple(transfers),
    )


def _account(made: _Given) -> ledger.NewAccount:
    reward = made.reward
    if reward.wallet_id is None:
        return unclaimed_account(reward)
    return lot_account(reward, reward.wallet_id, reward.value_account_id, made.granted.merchant.value_days)


def unclaimed_account(reward: Reward) -> ledger.NewAccount:
    """Where the funding of a reward waits until it is claimed."""
    return ledger.NewAccount(
        id=reward.value_account_id,
        merchant_id=reward.merchant_id,
        currency=reward.currency,
        code="reward.unclaimed",
        owner_id=reward.id,
        floor=0,
    )


def lot_account(reward: Reward, wallet_id: UUID, account_id: UUID, value_days: int | None) -> ledger.NewAccount:
    """The lot of a wallet that holds a reward's value, to be spent within so many days of the reward's last change."""
    return ledger.NewAccount(
        id=account_id,
        merchant_id=reward.merchant_id,
        currency=reward.currency,
        code="wallet.lot",
        owner_id=reward.id,
        parent_id=wallet_id,
        lot_class=LOT_CLASS,
        funder_id=reward.funding_account_id,
        expires_at=None if value_days is None else reward.updated_at + timedelta(days=value_days),
        floor=0,
    )


def _event(made: _Given) -> events.Event:
    reward = made.reward
    return events.Event(
        topic="reward.credited" if reward.wallet_id is not None else "reward.pre_issued",
        subject_type="Reward",
        subject_id=reward.id,
        sequence=1,
        document=jsonapi.resource(resource.REWARD_EVENT, reward.id, resource.told(made.shown)),
        partner_id=reward.partner_id,
        merchant_id=reward.merchant_id,
        request_id=made.command.asked.request_id,
    )


async def _answered(
    work: Work, commands: Sequence[IssueReward], outcomes: Sequence[Issued | Replayed | Refusal]
) -> list[Issued | Refusal]:
    """Every replay gets its first answer, from this batch or from the one that kept it."""
    first = {
        outcome.reward_id: (command.merchant_id, outcome.document)
        for command, outcome in zip(commands, outcomes, strict=True)
        if isinstance(outcome, Issued)
    }
    wanted = {o.reward_id for o in outcomes if isinstance(o, Replayed) and o.reward_id not in first}
    if wanted:
        kept = await store.first_answers(work, list(wanted))
        for reward_id, (merchant_id, answer, recipient_id, wrapped) in kept.items():
            # Of a recipient who was erased nothing is left to be opened.
            opened = work.keys.unwrap(wrapped, recipient_id.bytes).open(answer, reward_id.bytes) if answer else b""
            first[reward_id] = (merchant_id, opened)
    return [
        _replay(command, o.reward_id, *first[o.reward_id]) if isinstance(o, Replayed) else o
        for command, o in zip(commands, outcomes, strict=True)
    ]


def _replay(command: IssueReward, reward_id: UUID, merchant_id: UUID, document: bytes) -> Issued | Refusal:
    """A replay is authorised anew: a client that may not act for the reward's merchant learns nothing of it."""
    allowed = command.asked.caller.merchant_ids
    if allowed is not None and merchant_id not in allowed:
        return key_conflict()
    if not document:
        return Erased("The recipient was erased. The reward was given; its first answer is forgotten.")
    return Issued(reward_id, document, replayed=True)
