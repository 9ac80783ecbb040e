"""What is written, where it lies, and who may read it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from tallystick import messages
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys, SubjectKey
from tallystick.base.work import Runtime, Tenant, Work
from tests.conftest import Clock
from tests.world import MIRA_PHONE

PARTNER = ids.new()
REWARD = {"reward_id": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10", "amount": "500", "currency": "EUR"}


async def nobody(work: Work, recipient_ids: Sequence[UUID]) -> Mapping[UUID, SubjectKey]:
    return {}


async def send_code(work: Work, code: str = "123456", *, partner_id: UUID = PARTNER) -> None:
    await messages.send(
        work,
        recipient_id=ids.new(),
        partner_id=partner_id,
        channel="sms",
        kind="code",
        to=MIRA_PHONE,
        content={"code": code, "minutes": "10"},
    )


async def read(runtime: Runtime, tenant: Tenant, partner_id: UUID | None = PARTNER) -> list[messages.Sent]:
    async with runtime.reading(tenant) as work:
        page, total = await messages.mailbox(work, nobody, partner_id=partner_id, offset=0, limit=50)
    assert total == len(page)
    return page


async def test_a_sandbox_keeps_its_messages_in_the_mailbox_newest_first(
    runtime: Runtime, tenant: Tenant, clock: Clock
) -> None:
    for code in ("111111", "222222"):
        clock.move(timedelta(seconds=1))
        async with runtime.work(tenant) as work:
            await send_code(work, code)
    page = await read(runtime, tenant)
    assert [one.letter for one in page] == [
        messages.Letter(MIRA_PHONE, None, f"{code} is your code. It is valid for 10 minutes. Do not give it to anyone.")
        for code in ("222222", "111111")
    ]
    assert page[0].created_at == clock.now


async def test_a_message_of_a_work_that_fails_was_never_written(runtime: Runtime, tenant: Tenant) -> None:
    async def failing() -> None:
        async with runtime.work(tenant) as work:
            await send_code(work)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await failing()
    assert await read(runtime, tenant) == []


async def test_a_mailbox_shows_what_one_partner_caused_or_all_of_the_tenant(
    runtime: Runtime, tenant: Tenant, production: Tenant
) -> None:
    other = ids.new()
    async with runtime.work(tenant) as work:
        await send_code(work)
        await send_code(work, partner_id=other)
    assert len(await read(runtime, tenant)) == 1
    assert len(await read(runtime, tenant, other)) == 1
    assert len(await read(runtime, tenant, None)) == 2
    assert await read(runtime, production, None) == []


async def test_neither_address_nor_text_can_be_read_in_the_table(runtime: Runtime, tenant: Tenant, auditor: Db) -> None:
    async with runtime.work(tenant) as work:
        await send_code(work, "918273")
    rows = await auditor.rows("select messages::text from messages where tenant_id = $1", tenant.id)
    written = "".join(row[0] for row in rows)
    sealed = await auditor.value("select content_sealed from messages where tenant_id = $1", tenant.id)
    assert "918273" not in written and b"918273" not in sealed
    assert MIRA_PHONE not in written and MIRA_PHONE.encode() not in sealed


async def test_what_is_sealed_under_a_persons_key_is_gone_with_it(
    runtime: Runtime, tenant: Tenant, keys: MasterKeys
) -> None:
    mira = ids.new()
    plain, _ = keys.new_subject_key(tenant.id.bytes)

    async def miras(work: Work, recipient_ids: Sequence[UUID]) -> Mapping[UUID, SubjectKey]:
        assert list(recipient_ids) == [mira]
        return {mira: SubjectKey(plain)}

    async with runtime.work(tenant) as work:
        await messages.send(
            work,
            recipient_id=mira,
            partner_id=PARTNER,
            channel="email",
            kind="claim_notice",
            to="agent@partner.example",
            content=REWARD,
            key=SubjectKey(plain),
        )
    async with runtime.reading(tenant) as work:
        (readable,), _ = await messages.mailbox(work, miras, partner_id=PARTNER, offset=0, limit=10)
        (erased,), total = await messages.mailbox(work, nobody, partner_id=PARTNER, offset=0, limit=10)
    assert readable.letter is not None and readable.letter.to == "agent@partner.example"
    assert readable.letter.subject == "A reward was claimed"
    assert "5.00 EUR" in readable.letter.text and REWARD["reward_id"] in readable.letter.text
    assert (erased.letter, total) == (None, 1)


@pytest.mark.parametrize("kind", ["claim_notice", "expiry_notice"])
@pytest.mark.parametrize(("currency", "told"), [("EUR", "5.00 EUR"), ("JPY", "500 JPY"), ("KWD", "0.500 KWD")])
async def test_notices_tell_the_amount_in_the_currencys_own_units(
    runtime: Runtime, tenant: Tenant, kind: messages.Kind, currency: str, told: str
) -> None:
    async with runtime.work(tenant) as work:
        await messages.send(
            work,
            recipient_id=ids.new(),
            partner_id=PARTNER,
            channel="email",
            kind=kind,
            to="agent@partner.example",
            content=REWARD | {"currency": currency},
        )
    (one,) = await read(runtime, tenant)
    assert one.letter is not None and told in one.letter.text
