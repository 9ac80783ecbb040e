"""A batch of gift cards, from its acceptance to its completion: by the product's worker, and by a loop of ORM inserts."""

import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.request import Request, urlopen

import msgspec

from benchmarks import meter, phases
from benchmarks.contenders import Contender
from benchmarks.phases import WrongAnswers
from benchmarks.usual import cards as usual_cards
from benchmarks.usual.cards import ROWS_EACH
from benchmarks.world import Credential
from tallystick.base import ids

AMOUNT: Final = 2_500
USUAL_CHUNK: Final = 500
PAUSE: Final = 0.25
PATIENCE: Final = 600.0
PATH: Final = "/api/v1/gift-card-batches"
JSON_API: Final = "application/vnd.api+json"


@dataclass(frozen=True, slots=True)
class Minted:
    """So many cards in so many seconds. CPU is microseconds for each card; memory is MiB (PSS) of the process that made them."""

    cards: int
    seconds: float
    app_cpu_us: float
    database_cpu_us: float
    memory: tuple[float, float, float] | None
    """At the start, the most around the middle, and the end; None: not measured."""

    @property
    def rate(self) -> float:
        return self.cards / self.seconds

    @property
    def rows(self) -> float:
        """Rows a second, by those that belong to a card alone."""
        return self.rate * ROWS_EACH


def by_product(contender: Contender, credential: Credential, cards: int) -> Minted:
    """Ask for a batch over HTTP, and look how far it is. Raises WrongAnswers."""
    worker = contender.processes[-1]
    attributes = {"idempotencyKey": str(ids.new()), "count": cards, "amount": AMOUNT, "merchantId": _shop(credential)}
    document = {"data": {"type": "GiftCardBatch", "attributes": attributes}}
    before, memory = contender.cpu(), [meter.memory_mib(worker)]
    middle: list[float] = []
    began = time.perf_counter()
    batch = _ask(contender, credential, PATH, document)
    while batch["attributes"]["status"] in ("accepted", "running"):
        if time.perf_counter() - began > PATIENCE:
            raise WrongAnswers(f"A batch of {cards:,} cards was not made within {PATIENCE:.0f} seconds.")
        time.sleep(PAUSE)
        batch = _ask(contender, credential, f"{PATH}/{batch['id']}")
        if cards * 0.4 < batch["attributes"]["done"] < cards * 0.6:
            middle.append(meter.memory_mib(worker))
    seconds = time.perf_counter() - began
    after = contender.cpu()
    if batch["attributes"]["status"] != "completed" or batch["attributes"]["done"] != cards:
        raise WrongAnswers(f"The batch ended otherwise: {batch['attributes']}")
    memory += [max(middle, default=memory[0]), meter.memory_mib(worker)]
    return Minted(
        cards,
        seconds,
        (after[0] - before[0]) / cards * 1e6,
        (after[1] - before[1]) / cards * 1e6,
        (memory[0], memory[1], memory[2]),
    )


def by_usual(contender: Contender, credential: Credential, key_file: str, cards: int) -> Minted:
    """The same cards by one process of the usual stack, which is started for it."""
    caller = credential.caller
    plan = usual_cards.Plan(
        dsn=contender.dsn,
        key_file=key_file,
        tenant_id=caller.tenant.id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        merchant_id=credential.shops[0].merchant_id,
        cards=cards,
        chunk=USUAL_CHUNK,
        amount=AMOUNT,
    )
    cost, counted = phases.carry_out("benchmarks.usual.cards", plan, usual_cards.Counted, contender)
    database = cost.database_seconds / cards * 1e6
    return Minted(cards, counted.seconds, counted.cpu_seconds / cards * 1e6, database, None)


def _shop(credential: Credential) -> str:
    return str(credential.shops[0].merchant_id)


def _ask(contender: Contender, credential: Credential, path: str, document: object | None = None) -> dict[str, Any]:
    """The resource that is answered; urlopen raises where it is refused."""
    headers = {
        "Client-ID": str(credential.caller.client_id),
        "Authorization": f"Bearer {credential.secret}",
        "Accept": JSON_API,
        "Content-Type": JSON_API,
    }
    body = None if document is None else msgspec.json.encode(document)
    with urlopen(Request(f"http://127.0.0.1:{contender.port}{path}", body, headers), timeout=30) as answer:
        found: dict[str, Any] = msgspec.json.decode(answer.read())["data"]
    return found
