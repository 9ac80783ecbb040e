"""Short ways to do and to look in the tests of rewards: beside the one partner others, and below the API the books."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from tallystick import ledger, merchants, partners
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tallystick.cli import proofs
from tests import world
from tests.api import Answer, Api, document_of
from tests.wallets.spending import spend_in

OTHER_PHONE = "+12025550167"


async def check_whole(auditor: Db, tenant: Tenant) -> None:
    """The books hold, and rewards, keys and events fit together."""
    assert await ledger.check_books(auditor, tenant.id) == []
    for name, sql in proofs.PROOFS.items():
        told = await auditor.rows(f"select f.sentence from ({sql}) as f (t, i, sentence) where f.t = $1", tenant.id)
        assert [row[0] for row in told] == [], name


async def another_client(
    runtime: Runtime,
    api: Api,
    merchant_ids: tuple[UUID, ...] | None = None,
    scopes: frozenset[str] = frozenset(partners.SCOPES),
) -> Api:
    """Another credential of the same partner in the same programme and environment."""
    async with runtime.pool.lend() as db, db.connection.transaction():
        found = await partners.list_agreements(db, api.tenant.programme_id)
        agreement = next(one for one in found if one.partner_id == api.partner_id)
        new = partners.NewClient(api.tenant.id, agreement.id, "another", scopes, merchant_ids, 1_000_000, 1_000_000)
        client, secret = await partners.add_client(db, runtime.keys, new, runtime.clock())
    return replace(api, client_id=str(client.id), secret=secret)


async def configure(runtime: Runtime, api: Api, **changes: Any) -> None:
    """Change settings of Café Luna."""
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        changed = await merchants.configure(work, api.merchant_id, merchants.Changes(**changes))
    assert isinstance(changed, merchants.Merchant), changed


async def top_up(runtime: Runtime, api: Api, amount: int) -> None:
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        await merchants.top_up(work, api.merchant_id, amount, str(ids.new()))


async def left(runtime: Runtime, api: Api) -> int | None:
    """What Café Luna's funding still gives, in minor units."""
    assert api.merchant_id is not None
    async with runtime.reading(api.tenant) as work:
        funding = await merchants.funding(work, api.merchant_id)
    assert funding is not None
    return funding.available


async def balance(api: Api, wallet_id: str) -> Any:
    """The wallet's balance as a partner reads it."""
    return (await api.get(f"wallets/{wallet_id}")).attributes["balance"]


async def spend(runtime: Runtime, api: Api, reward_id: str, amount: int) -> None:
    """Spend some of what a reward gave, straight in the books."""
    async with runtime.work(api.tenant) as work:
        lot_id = await work.db.value(
            "select value_account_id from rewards where tenant_id = $1 and id = $2", api.tenant.id, UUID(reward_id)
        )
        await spend_in(work, lot_id, amount)


async def story(api: Api, subject_id: str) -> list[tuple[str, int, str]]:
    """(topic, sequence, instant) of everything that happened to a subject, from the feed."""
    return [
        (event["topic"], event["sequence"], event["timestamp"])
        for event in await feed(api)
        if event["subjectId"] == subject_id
    ]


async def feed(api: Api, limit: int = 50) -> list[Any]:
    """Every event that the partner may read, by cursor."""
    found: list[Any] = []
    after = "0"
    while True:
        answer = await api.get(f"webhook-events?page[after]={after}&page[limit]={limit}")
        found += [event["attributes"] for event in answer.data]
        if len(answer.data) < limit:
            return found
        after = answer.body["meta"]["after"]


async def listed(api: Api, phone: str = world.MIRA_PHONE, **query: Any) -> Answer:
    """The rewards of a phone; `status`, `offset` and `limit` where named."""
    names = {"status": "filter[status]", "offset": "page[offset]", "limit": "page[limit]"}
    more = "".join(f"&{names[name]}={value}" for name, value in query.items())
    return await api.get(f"rewards?filter[phoneNumber]={phone.replace('+', '%2B')}{more}")


async def update(api: Api, reward_id: str, *, key: str | None = None, **attributes: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.patch(f"rewards/{reward_id}", document_of("UpdateReward", **attributes), headers=headers)


async def cancel(api: Api, reward_id: str, *, key: str | None = None) -> Answer:
    return await api.delete(f"rewards/{reward_id}", headers={} if key is None else {"Idempotency-Key": key})


async def reverse(api: Api, reward_id: str, amount: int | None = None, *, key: str | None = None) -> Answer:
    document = None if amount is None else document_of("ReverseReward", amount=amount)
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"rewards/{reward_id}/reverse", document, headers=headers)


async def advance(api: Api, by: str) -> None:
    """Move the sandbox's clock on."""
    answer = await api.post("sandbox/clock/advance", document_of("AdvanceClock", by=by))
    assert answer.status == 200, answer.text


async def mailbox(api: Api) -> list[Any]:
    """What the sandbox would have sent, newest first."""
    return [message["attributes"] for message in (await api.get("sandbox/mailbox?page[limit]=50")).data]


def header(answer: Answer, name: str) -> str | None:
    """A header of the answer; names are the same in any case."""
    return next((value for known, value in answer.headers.items() if known.lower() == name), None)


def refused(answer: Answer, status: int, code: str, *places: str) -> None:
    """The answer is this one refusal; where places are named, that is where its faults are."""
    assert (answer.status, set(answer.codes)) == (status, {code}), answer.text
    if places:
        assert answer.pointers == list(places), answer.text
