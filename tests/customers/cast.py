"""The parties of the tests about people: partners that ask, a merchant they act for, and short ways to do and to look."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from tallystick import customers, enrolment, merchants, rewards, wallets
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.customers import ChangeUser, CreateUser, SendCode, VerifyPhone
from tallystick.enrolment import OpenWallet, ResumeWallet
from tallystick.merchants import Merchant, NewMerchant
from tallystick.rewards import IssueReward
from tests.world import CAFE_LUNA, MIRA_PHONE


class Partner:
    """One partner of a tenant and what it can ask. Every verb goes the whole way: a batch of one, committed."""

    def __init__(
        self,
        runtime: Runtime,
        tenant: Tenant,
        *,
        partner_id: UUID | None = None,
        merchant_ids: tuple[UUID, ...] | None = None,
        sees_programme: bool = False,
    ) -> None:
        self.runtime, self.tenant = runtime, tenant
        self.caller = Caller(
            tenant=tenant,
            partner_id=partner_id or ids.new(),
            client_id=ids.new(),
            scopes=frozenset(),
            merchant_ids=merchant_ids,
            sees_programme=sees_programme,
            rate_per_minute=1000,
            rate_burst=1000,
        )

    def asked(self, key: str | None = None) -> Asked:
        return Asked(self.caller, ids.new(), "POST", "/api/v1/tests", key)

    async def do(self, verb: Any, *commands: Any) -> list[Any]:
        """The outcomes of one batch."""
        return list(await run_batch(self.runtime, verb, self.tenant, commands))

    async def create(self, *, key: str | None = None, **fields: Any) -> Answer:
        return answered((await self.do(customers.create, CreateUser(self.asked(key), **fields)))[0])

    async def mira(self, *, verified: bool = True) -> UUID:
        """A new user with Mira's phone."""
        return (await self.create(phone=MIRA_PHONE, phone_verified=verified, first_name="Mira")).resource_id

    async def change(self, user_id: UUID, **fields: Any) -> Any:
        return (await self.do(enrolment.change_user, ChangeUser(self.asked(), user_id, **fields)))[0]

    async def send_code(self, user_id: UUID, key: str | None = None) -> Any:
        return (await self.do(customers.send_code, SendCode(self.asked(key), user_id)))[0]

    async def verify(self, user_id: UUID, code: str) -> Any:
        return (await self.do(enrolment.verify_phone, VerifyPhone(self.asked(), user_id, code)))[0]

    async def open(self, user_id: UUID, merchant: Merchant, key: str | None = None) -> Any:
        command = OpenWallet(self.asked(key), user_id, merchant.id, merchant_named=True)
        return (await self.do(enrolment.open_wallet, command))[0]

    async def wallet(self, user_id: UUID, merchant: Merchant) -> UUID:
        return answered(await self.open(user_id, merchant)).resource_id

    async def suspend(self, wallet_id: UUID) -> Any:
        return (await self.do(wallets.suspend, wallets.ChangeWallet(self.asked(), wallet_id)))[0]

    async def close(self, wallet_id: UUID) -> Any:
        return (await self.do(wallets.close, wallets.ChangeWallet(self.asked(), wallet_id)))[0]

    async def resume(self, wallet_id: UUID) -> Any:
        return (await self.do(enrolment.resume_wallet, ResumeWallet(self.asked(), wallet_id)))[0]

    async def reward(self, merchant: Merchant, amount: int = 500, phone: str = MIRA_PHONE) -> Any:
        """What became of a reward: its attributes, or the refusal."""
        command = IssueReward(self.asked(), merchant.id, True, phone, amount, str(ids.new()))
        outcome = (await self.do(rewards.issue, command))[0]
        return outcome if isinstance(outcome, Exception) else attributes(outcome.document)

    async def show_wallet(self, wallet_id: UUID) -> Any:
        """The wallet as a partner reads it."""
        async with self.runtime.reading(self.tenant) as work:
            wallet = (await wallets.by_ids(work, [wallet_id]))[wallet_id]
            return attributes(await wallets.resource.document(work, wallet))

    async def show_user(self, user_id: UUID) -> Any:
        async with self.runtime.reading(self.tenant) as work:
            return attributes(customers.resource.document((await customers.by_ids(work, [user_id]))[user_id]))

    async def last_code(self) -> str:
        """The code in the newest message of the sandbox's mailbox."""
        async with self.runtime.reading(self.tenant) as work:

            async def keys_of(work: Any, people: Sequence[UUID]) -> Any:
                return {name: one.key for name, one in (await customers.recipients.by_ids(work, people)).items()}

            from tallystick import messages

            page, _ = await messages.mailbox(work, keys_of, partner_id=None, offset=0, limit=1)
        assert page[0].letter is not None
        return page[0].letter.text[:6]

    async def events(self, subject_id: UUID) -> list[tuple[str, int, str]]:
        """(topic, sequence, status) of everything that happened to a subject."""
        async with self.runtime.reading(self.tenant) as work:
            rows = await work.db.rows(
                "select topic, sequence, document from events where tenant_id = $1 and subject_id = $2 order by position",
                self.tenant.id,
                subject_id,
            )
        return [(row[0], row[1], msgspec.json.decode(row[2])["attributes"]["status"]) for row in rows]

    async def count(self, table: str) -> int:
        async with self.runtime.reading(self.tenant) as work:
            number: int = await work.db.value(f"select count(*) from {table} where tenant_id = $1", self.tenant.id)
        return number


async def cafe_luna(runtime: Runtime, tenant: Tenant, **fields: Any) -> Merchant:
    async with runtime.work(tenant) as work:
        new = NewMerchant(name=CAFE_LUNA, currency="USD", country="US", time_zone="America/New_York", **fields)
        return await merchants.add(work, new)


def answered(outcome: Any) -> Answer:
    """The answer, or the failure that stands in its place."""
    if isinstance(outcome, Exception):
        raise outcome
    assert isinstance(outcome, Answer)
    return outcome


def refused(outcome: Any, code: str, place: str | None = None) -> Refusal:
    """The refusal, which must be of this code, and at this place where one is named."""
    assert isinstance(outcome, Refusal), f"not refused: {outcome!r}"
    assert outcome.code == code, f"{outcome.code}: {outcome.detail}"
    if place is not None:
        assert outcome.source is not None
        assert outcome.source.name == place
    return outcome


def codes(outcomes: Sequence[Any]) -> set[str]:
    """The codes of those that were refused; any other failure is raised."""
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, Refusal):
            raise outcome
    return {outcome.code for outcome in outcomes if isinstance(outcome, Refusal)}


def attributes(document: bytes | None) -> Any:
    assert document is not None
    return msgspec.json.decode(document)["data"]["attributes"]
