"""Short ways to merge users over HTTP, and to spend as a till does."""

from typing import Any
from uuid import UUID

from tallystick import enrolment, ledger, wallets
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Db
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.enrolment import MergeUsers, UnmergeUser
from tallystick.ledger import Journal, Transfer, house_account
from tests.api import Answer, Api, document_of
from tests.rewards.cast import feed

NOTHING = {"available": 0, "pending": 0, "held": 0, "owed": 0}


async def merge(api: Api, user_id: str, into: str, *, key: str | None = None) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"users/{user_id}/merge", document_of("MergeUser", intoUserId=into), headers=headers)


async def unmerge(api: Api, user_id: str, *, key: str | None = None) -> Answer:
    return await api.post(f"users/{user_id}/unmerge", headers={} if key is None else {"Idempotency-Key": key})


def asked(api: Api) -> Asked:
    """A request of the partner, as another process has it."""
    caller = Caller(api.tenant, api.partner_id, UUID(api.client_id), frozenset(), None, False, 1000, 1000)
    return Asked(caller, ids.new(), "POST", "/api/v1/tests")


async def merge_aside(runtime: Runtime, api: Api, user_id: str, into: str) -> str:
    """Merge in a batch of its own, as another process does; the code of the refusal, or `merged`."""
    command = MergeUsers(asked(api), UUID(user_id), UUID(into))
    return _told(await run_batch(runtime, enrolment.merge_users, api.tenant, [command]), "merged")


async def unmerge_aside(runtime: Runtime, api: Api, user_id: str) -> str:
    """The same for undoing; else `parted`."""
    command = UnmergeUser(asked(api), UUID(user_id))
    return _told(await run_batch(runtime, enrolment.unmerge_user, api.tenant, [command]), "parted")


def _told(outcomes: Any, done: str) -> str:
    (outcome,) = outcomes
    if isinstance(outcome, Refusal):
        return outcome.code
    if isinstance(outcome, Exception):
        raise outcome
    return done


async def merged(api: Api, user_id: str, into: str) -> Any:
    """What the merge that must succeed did to wallets."""
    answer = await merge(api, user_id, into)
    assert answer.status == 200, answer.text
    return answer.attributes["wallets"]


async def parted(api: Api, user_id: str) -> Any:
    """What undoing the merge, which must succeed, did to wallets."""
    answer = await unmerge(api, user_id)
    assert answer.status == 200, answer.text
    return answer.attributes["wallets"]


async def holder(api: Api, phone: str, **more: Any) -> tuple[str, str]:
    """A new user with a wallet at Café Luna: both ids."""
    user_id = await api.user(phone, **more)
    return user_id, await wallet_of(api, user_id)


async def wallet_of(api: Api, user_id: str, merchant_id: UUID | None = None) -> str:
    """A new wallet of a user."""
    place = merchant_id or api.merchant_id
    answer = await api.post("wallets", document_of("Wallet", userId=user_id, merchantId=str(place)))
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def wallets_of(api: Api, user_id: str) -> list[Any]:
    """The wallets of a user, each with its id."""
    found = (await api.get(f"wallets?filter[userId]={user_id}")).data
    return [{"id": one["id"], **one["attributes"]} for one in found]


async def status(api: Api, wallet_id: str) -> str:
    return str((await api.get(f"wallets/{wallet_id}")).attributes["status"])


async def topics(api: Api, subject_id: str) -> list[tuple[str, int]]:
    """(topic, sequence) of everything that happened to a subject."""
    return [(event["topic"], event["sequence"]) for event in await feed(api) if event["subjectId"] == subject_id]


async def spend(runtime: Runtime, api: Api, wallet_id: str, amount: int) -> int:
    """What a till does: the wallet and its lots locked, then as much as there is of the amount; how much that was."""
    async with runtime.work(api.tenant) as work:
        wallet = (await wallets.lock(work, [UUID(wallet_id)]))[UUID(wallet_id)]
        if wallet.status not in ("active", "closing"):
            return 0
        lots = await ledger.lots.lock(work, [wallet.id])
        taken = ledger.lots.take(ledger.lots.burn_order(lots, work.now), amount)
        if not taken:
            return 0
        payable = house_account(wallet.merchant_id, "merchant.payable")
        transfers = tuple(Transfer(lot.id, payable, part) for lot, part in taken)
        journal = Journal(ids.new(), "payment.capture", ids.new(), wallet.merchant_id, wallet.currency, transfers)
        assert await ledger.post(work, [journal]) == ["posted"]
        await wallets.close_drained(work, [wallet.id])
    return sum(part for _, part in taken)


async def journals(auditor: Db, api: Api, kind: str) -> list[tuple[UUID, UUID | None]]:
    """(id, what it reverses) of the journals of a kind, oldest first."""
    rows = await auditor.rows(
        "select id, reverses_id from journals where tenant_id = $1 and kind = $2 order by at, id", api.tenant.id, kind
    )
    return [(row[0], row[1]) for row in rows]
