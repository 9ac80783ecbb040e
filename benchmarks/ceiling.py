"""The ceiling: the product's very statements at full batches, without HTTP and with everything else done beforehand.

`python -m benchmarks.ceiling` reads one JSON line (`Plan`). It lets `rewards.issue` decide on every batch against a rehearsal of
the database, which answers from memory what the real one will, and keeps the statements with their arguments. Then it says
`measuring`, carries out only those, says `measured`, and tells in one JSON line (`Counted`) how long that took.
"""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import uvloop

from benchmarks.load import AMOUNT_LEAST, AMOUNT_MOST, Shop
from benchmarks.world import phone
from tallystick import rewards
from tallystick.base import clock, ids
from tallystick.base.db import Db, Pool, Step
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Asked, Caller, Tenant, Work
from tallystick.main import CLOSINGS

MERCHANTS: Final = """
select m.id, row_to_json(m)::text as shown, m.receivable_account_id from merchants as m where m.tenant_id = $1
"""
PEOPLE: Final = """
select r.phone_index, r.id, r.key_wrapped, w.merchant_id, w.id as wallet_id, w.status, w.owed_account_id, w.currency
from recipients as r
join customers as c on c.tenant_id = $1 and c.recipient_id = r.id
join wallets as w on w.tenant_id = $1 and w.customer_id = c.id
where r.tenant_id = $1
"""


class Plan(msgspec.Struct):
    """What to carry out: so many batches of so many rewards, over so many connections."""

    dsn: str
    key_file: str
    run: str
    tenant_id: UUID
    programme_id: UUID
    partner_id: UUID
    client_id: UUID
    shops: list[Shop]
    batches: int
    batch: int
    connections: int
    first_fresh: int


class Counted(msgspec.Struct):
    """What was carried out in the measured time."""

    rewards: int
    seconds: float
    next_fresh: int
    batch_p50_us: float


@dataclass(frozen=True, slots=True)
class Known:
    """What the real database would answer."""

    merchants: dict[UUID, tuple[str, UUID]]
    people: dict[bytes, Any]


class Rehearsal:
    """Stands where a connection does: answers the look from memory, and keeps it and what is to be written."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self.looked: tuple[str, tuple[object, ...]] | None = None

    async def row(self, sql: str, *args: Any) -> dict[str, Any]:
        """The answer of the look, the only question that issuing asks."""
        assert "rewards_look" in sql and self.looked is None, "issuing asks one question"
        self.looked = (sql, args)
        indexes, made, wrapped, merchant_ids = args[8], args[9], args[10], args[12]
        people = [self._known.people.get(index) for index in indexes]
        wallets = [_wallet(person) for person in people if person is not None]
        accounts = [[str(self._known.merchants[name][1]), None, 0, 0] for name in merchant_ids]
        return {
            "taken": None,
            "recipient_indexes": indexes,
            "recipient_ids": [made[n] if one is None else one["id"] for n, one in enumerate(people)],
            "recipient_keys": [wrapped[n] if one is None else one["key_wrapped"] for n, one in enumerate(people)],
            "merchants": f"[{','.join(self._known.merchants[name][0] for name in merchant_ids)}]",
            "wallets": msgspec.json.encode(wallets).decode(),
            "waiting": None,
            "quotas": None,
            "accounts": msgspec.json.encode(accounts).decode(),
        }


def _wallet(person: Any) -> dict[str, object]:
    return {
        "recipient_id": person["id"],
        "merchant_id": person["merchant_id"],
        "wallet_id": person["wallet_id"],
        "status": person["status"],
        "owed_account_id": person["owed_account_id"],
        "currency": person["currency"],
    }


@dataclass(frozen=True, slots=True)
class Prepared:
    """One batch: its question, and the writes that share a round trip."""

    look: str
    asked: tuple[object, ...]
    writes: Sequence[tuple[Step, Sequence[object]]]


async def drive(plan: Plan) -> Counted:
    """Carry the plan out."""
    keys = MasterKeys.read(Path(plan.key_file))
    pool = Pool(plan.dsn, plan.connections, name="benchmarks")
    try:
        async with pool.lend() as db, db.connection.transaction():
            await db.script(_enter(plan))
            known = Known(
                {row[0]: (row[1], row[2]) for row in await db.rows(MERCHANTS, plan.tenant_id)},
                {row["phone_index"]: row for row in await db.rows(PEOPLE, plan.tenant_id)},
            )
        batches = [await _prepare(plan, keys, known, n) for n in range(plan.batches)]
        warming = plan.connections * 2  # each connection prepares its statements
        await _carry_out(pool, plan, batches[:warming])
        _say("measuring")
        began = time.perf_counter()
        latencies = sorted(await _carry_out(pool, plan, batches[warming:]))
        seconds = time.perf_counter() - began
        _say("measured")
    finally:
        await pool.close()
    measured = (len(batches) - warming) * plan.batch
    fresh = plan.first_fresh + plan.batches * plan.batch
    return Counted(measured, seconds, fresh, latencies[len(latencies) // 2] * 1e6)


async def _prepare(plan: Plan, keys: MasterKeys, known: Known, number: int) -> Prepared:
    tenant = Tenant(plan.tenant_id, plan.programme_id, "production")
    caller = Caller(
        tenant,
        plan.partner_id,
        plan.client_id,
        frozenset({"rewards:write"}),
        None,
        sees_programme=False,
        rate_per_minute=1,
        rate_burst=1,
    )
    rehearsal, now = Rehearsal(known), clock.utc()
    work = Work(cast("Db", rehearsal), tenant, now, now, keys)
    chance = random.Random(number)
    commands = [_command(plan, caller, chance, number * plan.batch + n) for n in range(plan.batch)]
    outcomes = await rewards.issue(work, commands)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert not refused, f"the rehearsal refused {refused[0]!r}"
    for closing in CLOSINGS:
        await closing(work)
    assert rehearsal.looked is not None, "issuing has asked its question"
    return Prepared(*rehearsal.looked, [(step, args) for step, args, _ in work.later])


def _command(plan: Plan, caller: Caller, chance: random.Random, number: int) -> rewards.IssueReward:
    shop = chance.choice(plan.shops)
    known = chance.random() < 0.5
    telephone = shop.first + chance.randrange(shop.customers) if known else plan.first_fresh + number
    return rewards.IssueReward(
        asked=Asked(caller, ids.new(), "POST", "/api/v1/rewards"),
        merchant_id=UUID(shop.merchant_id),
        merchant_named=True,
        phone=phone(telephone),
        amount=chance.randint(AMOUNT_LEAST, AMOUNT_MOST),
        key=f"{plan.run}-{number:09d}",
        message="Thank you for your patience!",
        reason_code="CX-COMPENSATION",
    )


async def _carry_out(pool: Pool, plan: Plan, batches: Sequence[Prepared]) -> list[float]:
    """Each batch as one transaction, by as many connections as there are; how long each took."""
    waiting = iter(batches)
    taken: list[float] = []

    async def work() -> None:
        async with pool.lend() as db:
            for batch in waiting:
                began = time.perf_counter()
                await db.script(f"begin; {_enter(plan)}")
                await db.row(batch.look, *batch.asked)
                verdicts = (await db.together(batch.writes))[0]
                assert set(verdicts) == {"posted"}, "the books post what was foreseen"
                await db.script("commit")
                taken.append(time.perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(plan.connections)))
    return taken


def _enter(plan: Plan) -> str:
    return f"select set_config('tallystick.tenant', '{plan.tenant_id}', true)"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the plan, carry it out, tell what was counted."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    _say(msgspec.json.encode(uvloop.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
