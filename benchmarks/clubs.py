"""The world that activity is measured in: a merchant's customers, known by ids of the partner's own, and its rules in force."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.request import Request, urlopen

import asyncpg
import msgspec

from benchmarks import receipts, world
from benchmarks.contenders import Contender
from benchmarks.world import Credential
from tallystick import customers
from tallystick.base import clock, ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.work import Asked, Runtime
from tallystick.main import CLOSINGS

CHUNK: Final = 250
JSON_API: Final = "application/vnd.api+json"
FAR: Final = 10**12
ASIDE: Final[dict[str, Any]] = {"steps": [{"target": FAR, "reward": {"type": "walletCredit", "amount": 500}}]}
RULES: Final[tuple[dict[str, Any], ...]] = (
    # Each purchase of more than `receipts.LARGE` reaches it, one in a hundred; the others bring it nearer.
    {
        "name": "A thousand spent",
        "metric": "spend",
        "repeat": "repeating",
        "steps": [{"target": receipts.LARGE, "reward": {"type": "walletCredit", "amount": 500}}],
    },
    {"name": "Spent in a month", "metric": "spend", "window": {"kind": "calendar", "period": "month"}, **ASIDE},
    {"name": "Visits to the till", "metric": "visits", "filters": {"kinds": ["transaction"]}, **ASIDE},
    {"name": "Coffee and cake", "metric": "items", "filters": {"categories": ["coffee", "cake"]}, **ASIDE},
    {
        "name": "Not by gift card",
        "metric": "spend",
        "filters": {"excludedMethods": ["GiftCard"], "channels": ["pos"]},
        **ASIDE,
    },
)
"""Activity is measured with as many of these as are wanted; the fifth leaves a quarter of the purchases out, the fourth a half."""

# Rules are published from now on only; what is measured happened before.
DATED_BACK: Final = "update threshold_intervals set from_at = '2026-01-01' where tenant_id = $1"


@dataclass(frozen=True, slots=True)
class Club:
    """One merchant, who acts for it, and how many customers it has."""

    credential: Credential
    customers: int
    named: tuple[str, ...]
    """The ids of some of them."""

    @property
    def merchant_id(self) -> str:
        return str(self.credential.shops[0].merchant_id)


async def make(dsn: str, keys: MasterKeys, number: int) -> Club:
    """The merchant and its customers, each with a telephone, in an empty database."""
    await migrate(dsn)
    made = await world.make(dsn, keys, world.Size(merchants=1, customers=0, tenants=0), whole=False)
    pool = Pool(dsn, world.SEEDERS, name="benchmarks")
    runtime = Runtime(pool, clock.utc, keys, CLOSINGS)
    caller = made.many.caller
    named: list[str] = []
    chunks = iter([range(at, min(at + CHUNK, number)) for at in range(0, number, CHUNK)])

    async def seed() -> None:
        for chunk in chunks:
            commands = [
                customers.CreateUser(
                    Asked(caller, ids.new(), "POST", "benchmarks", str(ids.new())),
                    phone=world.phone(each),
                    phone_verified=True,
                    external_id=receipts.external_id(each),
                )
                for each in chunk
            ]
            for outcome in await run_batch(runtime, customers.create, caller.tenant, commands):
                if isinstance(outcome, Exception):
                    raise outcome
                named.append(str(outcome.resource_id))

    try:
        await asyncio.gather(*(seed() for _ in range(world.SEEDERS)))
    finally:
        await pool.close()
    return Club(made.many, number, tuple(named[:1_000]))


def lay_down(contender: Contender, club: Club, rules: int) -> None:
    """Publish the rules over HTTP, in force since before anything that is measured happened."""
    for each in RULES[:rules]:
        document = {"data": {"type": "Threshold", "attributes": {**each, "merchantId": club.merchant_id}}}
        rule = ask(contender, club.credential, "POST", "thresholds", document)
        ask(contender, club.credential, "POST", f"thresholds/{rule['id']}/publish")
    asyncio.run(_date_back(contender.dsn, club))


async def _date_back(dsn: str, club: Club) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(DATED_BACK, club.credential.caller.tenant.id)
        await connection.execute("vacuum (analyze)")
    finally:
        await connection.close()


def ask(contender: Contender, credential: Credential, method: str, path: str, content: Any = None) -> Any:
    """The resource that is answered, or the list of them; content is a document, or bytes. urlopen raises where it is refused."""
    is_file = isinstance(content, bytes)
    headers = {
        "Client-ID": str(credential.caller.client_id),
        "Authorization": f"Bearer {credential.secret}",
        "Accept": JSON_API,
        "Content-Type": "application/octet-stream" if is_file else JSON_API,
        "Idempotency-Key": str(ids.new()),
    }
    body = content if is_file or content is None else msgspec.json.encode(content)
    request = Request(f"http://127.0.0.1:{contender.port}/api/v1/{path}", body, headers, method=method)
    with urlopen(request, timeout=60) as answer:
        return msgspec.json.decode(answer.read())["data"]
