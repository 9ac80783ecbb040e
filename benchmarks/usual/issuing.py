"""Issue one reward in one transaction: the product's decisions and rows, a request at a time, through the ORM."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.usual.documents import (
    PERSONAL,
    IssueRewardAttributes,
    RewardAttributes,
    RewardDocument,
    RewardResource,
)
from benchmarks.usual.models import (
    Account,
    Customer,
    Entry,
    Event,
    IdempotencyKey,
    Journal,
    LoggedRequest,
    Merchant,
    Recipient,
    Reward,
    TenantHead,
    Wallet,
)
from tallystick.base import clock, ids, phone
from tallystick.base.keys import MasterKeys, SubjectKey

OPERATION = "rewards.issue"
ROUTE = "/api/v1/rewards"


class Refused(Exception):
    """A request that cannot be granted, as its error reads."""

    def __init__(self, status: int, code: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.pointer = status, code, detail, pointer


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as the credential says."""

    tenant_id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_ids: tuple[UUID, ...] | None


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient, and the key that seals what is personal."""

    id: UUID
    key: SubjectKey


async def issue(session: AsyncSession, keys: MasterKeys, who: Principal, wanted: IssueRewardAttributes) -> bytes:
    """The answer's document. Raises Refused; the caller's transaction then leaves nothing behind."""
    now = clock.utc()
    merchant = await _merchant(session, who, wanted.merchant_id)
    try:
        e164 = phone.normalise(wanted.phone_number, merchant.country)
    except phone.ImpossiblePhone as impossible:
        raise Refused(400, "InvalidRequest", str(impossible), "phoneNumber") from None
    reward_id = ids.new()
    fingerprint = _fingerprint(keys, who, wanted, e164)
    replayed = await _claim_key(session, keys, who, wanted.idempotency_key, fingerprint, reward_id, now)
    if replayed is not None:
        return replayed
    if merchant.reward_maximum is not None and wanted.amount > merchant.reward_maximum:
        raise Refused(400, "InvalidRequest", "The merchant allows less for one reward.", "amount")
    person = await _lock_recipient(session, keys, who.tenant_id, e164, now)
    wallet = await _wallet_for(session, who, merchant, person)
    reward, document = _make(who, merchant, person, wallet, wanted, reward_id, now)
    reward.answer_sealed = person.key.seal(document.model_dump_json(by_alias=True).encode(), reward_id.bytes)
    reward.private_sealed = _private(wanted, person, reward_id)
    request_id = ids.new()
    session.add(reward)
    session.add(_log_row(who, request_id, reward_id, now))
    await _post(session, merchant, reward, now)
    await _record(session, reward, document.data, request_id, now)
    return document.model_dump_json(by_alias=True).encode()


async def _merchant(session: AsyncSession, who: Principal, merchant_id: UUID | None) -> Merchant:
    if merchant_id is None and who.merchant_ids is not None and len(who.merchant_ids) == 1:
        merchant_id = who.merchant_ids[0]
    allowed = merchant_id is not None and (who.merchant_ids is None or merchant_id in who.merchant_ids)
    merchant = await session.get(Merchant, (who.tenant_id, merchant_id)) if allowed else None
    if merchant is None or merchant.status != "active":
        raise Refused(400, "InvalidRequest", "There is no such merchant that you may act for.", "merchantId")
    return merchant


def _fingerprint(keys: MasterKeys, who: Principal, wanted: IssueRewardAttributes, e164: str) -> bytes:
    body = [
        e164,
        wanted.amount,
        wanted.message,
        wanted.reason_code,
        wanted.cost_center,
        wanted.notification_email,
    ]
    if wanted.merchant_id is not None:
        body.append(str(wanted.merchant_id))
    return keys.fingerprint(who.tenant_id, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


async def _claim_key(
    session: AsyncSession,
    keys: MasterKeys,
    who: Principal,
    key: str,
    fingerprint: bytes,
    reward_id: UUID,
    now: datetime,
) -> bytes | None:
    """None when the key is ours now; else the answer that was given to it. A racing twin is waited for."""
    claimed = await session.scalar(
        insert(IdempotencyKey)
        .values(
            tenant_id=who.tenant_id,
            partner_id=who.partner_id,
            operation=OPERATION,
            key=key,
            fingerprint=fingerprint,
            resource_id=reward_id,
            status=200,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.resource_id)
    )
    if claimed is not None:
        return None
    taken = await session.get_one(IdempotencyKey, (who.tenant_id, who.partner_id, OPERATION, key))
    if taken.fingerprint != fingerprint:
        raise Refused(409, "IdempotencyConflict", "This key was used with a different request.", "idempotencyKey")
    reward = await session.get_one(Reward, (who.tenant_id, taken.resource_id))
    person = await session.scalar(
        select(Recipient).where(Recipient.tenant_id == who.tenant_id, Recipient.id == reward.recipient_id)
    )
    assert person is not None, "a reward has its recipient"
    return keys.unwrap(person.key_wrapped, person.id.bytes).open(reward.answer_sealed, reward.id.bytes)


async def _lock_recipient(session: AsyncSession, keys: MasterKeys, tenant_id: UUID, e164: str, now: datetime) -> Person:
    """The person with this phone, made where nobody knew them yet, locked until the transaction ends."""
    index = keys.blind_index(tenant_id, e164)
    locked = select(Recipient).where(Recipient.tenant_id == tenant_id, Recipient.phone_index == index).with_for_update()
    found = await session.scalar(locked)
    if found is None:
        recipient_id = ids.new()
        plain, wrapped = keys.new_subject_key(recipient_id.bytes)
        key = SubjectKey(plain)
        made = await session.scalar(
            insert(Recipient)
            .values(
                tenant_id=tenant_id,
                phone_index=index,
                id=recipient_id,
                key_wrapped=wrapped,
                phone_sealed=key.seal(e164.encode(), recipient_id.bytes),
                created_at=now,
            )
            .on_conflict_do_nothing()
            .returning(Recipient.id)
        )
        if made is not None:
            return Person(recipient_id, key)
        found = (await session.scalars(locked)).one()
    return Person(found.id, keys.unwrap(found.key_wrapped, found.id.bytes))


async def _wallet_for(session: AsyncSession, who: Principal, merchant: Merchant, person: Person) -> Wallet | None:
    """The one active wallet; None when the reward may wait for one."""
    wallets = (
        await session.scalars(
            select(Wallet)
            .join(Customer, (Customer.tenant_id == Wallet.tenant_id) & (Customer.id == Wallet.customer_id))
            .where(
                Customer.tenant_id == who.tenant_id,
                Customer.recipient_id == person.id,
                Customer.status == "active",
                Wallet.merchant_id == merchant.id,
                Wallet.status != "closed",
            )
        )
    ).all()
    active = [wallet for wallet in wallets if wallet.status == "active"]
    if len(active) == 1:
        return active[0]
    if active:
        raise Refused(400, "MultipleActiveWallets", "More than one active wallet matches.", "phoneNumber")
    if any(wallet.status in ("suspended", "closing") for wallet in wallets):
        raise Refused(409, "WalletNotIssuable", "The recipient's wallet is suspended or closing.", "phoneNumber")
    if not merchant.pre_issuing:
        raise Refused(400, "WalletNotFound", "No wallet belongs to this phone number.", "phoneNumber")
    if not merchant.stacking and await _waits(session, who, merchant, person):
        raise Refused(409, "PreIssuedConflict", "An unclaimed reward for this recipient exists.", "phoneNumber")
    return None


async def _waits(session: AsyncSession, who: Principal, merchant: Merchant, person: Person) -> bool:
    found = await session.scalar(
        select(Reward.id)
        .where(
            Reward.tenant_id == who.tenant_id,
            Reward.recipient_id == person.id,
            Reward.status == "Created",
            Reward.partner_id == who.partner_id,
            Reward.merchant_id == merchant.id,
            Reward.claim_expires_at > clock.utc(),
        )
        .limit(1)
    )
    return found is not None


def _make(
    who: Principal,
    merchant: Merchant,
    person: Person,
    wallet: Wallet | None,
    wanted: IssueRewardAttributes,
    reward_id: UUID,
    now: datetime,
) -> tuple[Reward, RewardDocument]:
    reward = Reward(
        tenant_id=who.tenant_id,
        id=reward_id,
        partner_id=who.partner_id,
        merchant_id=merchant.id,
        recipient_id=person.id,
        kind="preIssued" if wallet is None else "immediate",
        status="Created" if wallet is None else "Credited",
        amount=wanted.amount,
        reversed_amount=0,
        currency=merchant.currency,
        wallet_id=None if wallet is None else wallet.id,
        funding_account_id=(
            merchant.receivable_account_id if merchant.funding_mode == "invoiced" else merchant.prefund_account_id
        ),
        value_account_id=ids.new(),
        claim_expires_at=now + timedelta(days=merchant.claim_days) if wallet is None else None,
        reason_code=wanted.reason_code,
        cost_center=wanted.cost_center,
        created_at=now,
        updated_at=now,
    )
    shown = RewardAttributes(
        kind=reward.kind,
        amount=reward.amount,
        wallet_id=reward.wallet_id,
        status=reward.status,
        can_update=wallet is None,
        can_cancel=wallet is None,
        claim_expires_at=reward.claim_expires_at,
        message=wanted.message,
        reason_code=reward.reason_code,
        cost_center=reward.cost_center,
        notification_email=wanted.notification_email,
        currency=reward.currency,
        merchant_id=reward.merchant_id,
        reversed_amount=0,
        created_at=now,
        updated_at=now,
    )
    return reward, RewardDocument(data=RewardResource(id=reward_id, attributes=shown))


def _private(wanted: IssueRewardAttributes, person: Person, reward_id: UUID) -> bytes | None:
    if wanted.message is None and wanted.notification_email is None:
        return None
    return person.key.seal(json.dumps([wanted.message, wanted.notification_email]).encode(), reward_id.bytes)


def _opening(merchant: Merchant, reward: Reward, journal_id: UUID, now: datetime) -> tuple[Account, Journal]:
    waits = reward.wallet_id is None
    account = Account(
        tenant_id=reward.tenant_id,
        id=reward.value_account_id,
        merchant_id=merchant.id,
        currency=reward.currency,
        code="reward.unclaimed" if waits else "wallet.lot",
        owner_id=reward.id,
        parent_id=reward.wallet_id,
        lot_class=None if waits else "compensation",
        funder_id=None if waits else reward.funding_account_id,
        floor=0,
        balance=reward.amount,
        version=1,
        last_at=now,
        opened_at=now,
    )
    journal = Journal(
        tenant_id=reward.tenant_id,
        id=journal_id,
        merchant_id=merchant.id,
        currency=reward.currency,
        kind="reward.pre_issue" if waits else "reward.issue",
        cause_id=reward.id,
        at=now,
        recorded_at=now,
    )
    return account, journal


async def _post(session: AsyncSession, merchant: Merchant, reward: Reward, now: datetime) -> None:
    """The lot and the journal; then the funding account under its lock, held as short as can be; then both entries."""
    journal_id = ids.new()
    session.add_all(_opening(merchant, reward, journal_id, now))
    await session.flush()
    funding = await session.get_one(Account, (reward.tenant_id, reward.funding_account_id), with_for_update=True)
    after = funding.balance - reward.amount
    if funding.floor is not None and after - funding.held < funding.floor:
        raise Refused(409, "InsufficientFunding", "The merchant's funding does not cover this amount.", "amount")
    # An account's time never goes back, though whoever comes later may have begun earlier.
    at = max(now, funding.last_at)
    funding.balance, funding.version, funding.last_at = after, funding.version + 1, at
    legs = (
        (funding.id, funding.version, reward.value_account_id, -reward.amount, after, at),
        (reward.value_account_id, 1, funding.id, reward.amount, reward.amount, now),
    )
    session.add_all(
        Entry(
            tenant_id=reward.tenant_id,
            account_id=account_id,
            version=version,
            journal_id=journal_id,
            leg=1,
            counterpart_id=counterpart_id,
            amount=amount,
            balance_after=balance_after,
            at=moved_at,
        )
        for account_id, version, counterpart_id, amount, balance_after, moved_at in legs
    )
    await session.flush()


async def _record(
    session: AsyncSession, reward: Reward, shown: RewardResource, request_id: UUID, now: datetime
) -> None:
    """The event, numbered under the tenant's head: last of all, since everyone of the tenant waits for it."""
    position = await session.scalar(
        update(TenantHead)
        .where(TenantHead.tenant_id == reward.tenant_id)
        .values(position=TenantHead.position + 1)
        .returning(TenantHead.position)
        .execution_options(synchronize_session=False)
    )
    session.add(
        Event(
            tenant_id=reward.tenant_id,
            position=position,
            recorded_at=now,
            id=ids.new(),
            topic="reward.pre_issued" if reward.wallet_id is None else "reward.credited",
            subject_type="Reward",
            subject_id=reward.id,
            sequence=1,
            partner_id=reward.partner_id,
            merchant_id=reward.merchant_id,
            request_id=request_id,
            at=now,
            document=shown.model_dump(mode="json", by_alias=True, exclude=PERSONAL),
        )
    )


def _log_row(who: Principal, request_id: UUID, reward_id: UUID, now: datetime) -> LoggedRequest:
    return LoggedRequest(
        tenant_id=who.tenant_id,
        at=now,
        id=request_id,
        partner_id=who.partner_id,
        client_id=who.client_id,
        method="POST",
        route=ROUTE,
        status=200,
        resource_id=reward_id,
    )
