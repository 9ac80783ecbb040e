"""The cards that stored value is measured with, issued by the product's own verb in either database, with their numbers."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from benchmarks import world
from benchmarks.world import Credential
from tallystick.base import clock, ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.work import Asked, Runtime
from tallystick.giftcards import issuing
from tallystick.giftcards.deciding import Terms
from tallystick.main import CLOSINGS

MANY_AMOUNT: Final = 1_000_000
HOT_AMOUNT: Final = 2_000_000_000
"""Minor units: no measured card is ever spent to the last."""
CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Deck:
    """One merchant's cards: who may act for it, their ids, and their numbers as people write them."""

    credential: Credential
    ids: tuple[str, ...]
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """One database: a merchant with many cards, and another with a single one. Each is of its own tenant."""

    many: Deck
    hot: Deck


async def make(dsn: str, keys: MasterKeys, cards: int) -> Tables:
    """Everything, in an empty database."""
    await migrate(dsn)
    made = await world.make(dsn, keys, world.Size(merchants=1, customers=1, tenants=0), whole=False)
    pool = Pool(dsn, 1, name="benchmarks")
    try:
        runtime = Runtime(pool, clock.utc, keys, CLOSINGS)
        many = await _issue(runtime, made.many, cards, MANY_AMOUNT)
        return Tables(many, await _issue(runtime, made.hot, 1, HOT_AMOUNT))
    finally:
        await pool.close()


async def _issue(runtime: Runtime, credential: Credential, number: int, amount: int) -> Deck:
    terms = Terms(credential.shops[0].merchant_id, amount)
    found: list[tuple[str, str]] = []
    for start in range(0, number, CHUNK):
        commands = [_command(credential, terms) for _ in range(min(CHUNK, number - start))]
        for outcome in await run_batch(runtime, issuing.issue, credential.caller.tenant, commands):
            if isinstance(outcome, Exception):
                raise outcome
            shown: dict[str, Any] = msgspec.json.decode(outcome.document)["data"]
            found.append((shown["id"], shown["attributes"]["code"]))
    return Deck(credential, tuple(card_id for card_id, _ in found), tuple(code for _, code in found))


def _command(credential: Credential, terms: Terms) -> issuing.IssueCard:
    key = str(ids.new())
    return issuing.IssueCard(
        Asked(credential.caller, ids.new(), "POST", "benchmarks", key), key, terms, merchant_named=True
    )
