"""The load generator: a process of its own, which sends requests and counts the answers. The same for every contender.

`python -m benchmarks.load` reads one JSON line (`Plan`), says `measuring` and `measured` on its output when the counted time begins
and ends, and then tells in one JSON line (`Counted`) what it saw. What it sends is the plan's `what`. It is cheap on purpose: a
hand-written keep-alive client whose requests are templates, so that the machine is left to the contender.
"""

import asyncio
import os
import random
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final, Literal, cast

import msgspec
import uvloop

FLUSH_SECONDS: Final = 60.0
"""How long answers may be waited for after the last request was sent."""

HEAD: Final = (
    "POST {path} HTTP/1.1\r\nHost: benchmark\r\nClient-ID: {client_id}\r\nAuthorization: Bearer {secret}\r\n"
    "Accept: application/vnd.api+json\r\nContent-Type: application/vnd.api+json\r\nContent-Length: {length}\r\n\r\n"
)
BODY: Final = (
    '{"data":{"type":"IssueReward","attributes":{"phoneNumber":"%s","amount":%d,"idempotencyKey":"%s-%09d",'
    '"reasonCode":"CX-COMPENSATION","message":"Thank you for your patience!","merchantId":"%s"}}}'
)
PAYMENT: Final = (
    '{"data":{"type":"PaymentIntent","attributes":{"amount":%d,"idempotencyKey":"%s-%09d","giftCardId":"%s",'
    '"merchantId":"%s"}}}'
)
RECEIPT: Final = (
    '{"type":"ExternalTransaction","attributes":{"type":"Purchase","source":{"id":"%s-%09d","createdAt":"2026-06-15T09:30:00Z"},'
    '"customer":{"userId":"%s"},"merchantId":"%s","channel":"pos","items":[{"amount":%d,"tax":80,"quantity":2,"category":"coffee"}],'
    '"payments":[{"amount":%d,"method":"CreditCard"}]}}'
)
RECEIPTS_EACH: Final = 1_000
"""How many receipts a batch of them holds: as many as a request may."""
LOOKUP: Final = '{"data":{"type":"LookUpGiftCard","attributes":{"code":"%s","merchantId":"%s"}}}'
AMOUNT_LEAST: Final = 100
AMOUNT_MOST: Final = 999
"""Three digits, so that every body has the same length."""
PAYMENT_MOST: Final = 5
"""Payments are of one minor unit to so many: one digit."""

What = Literal["rewards", "payments", "lookups", "receipts", "batches"]
PATHS: Final[dict[What, str]] = {
    "rewards": "/api/v1/rewards",
    "payments": "/api/v1/payment-intents",
    "lookups": "/api/v1/gift-cards/lookup",
    "receipts": "/api/v1/external-transactions",
    "batches": "/api/v1/external-transactions",
}
GRANTED: Final[dict[What, bytes]] = {
    "rewards": b"200",
    "payments": b"201",
    "lookups": b"200",
    "receipts": b"201",
    "batches": b"200",
}


class Shop(msgspec.Struct):
    """A merchant, and the numbers of its customers' telephones."""

    merchant_id: str
    first: int
    customers: int


class Target(msgspec.Struct):
    """A credential, and the merchants its rewards go to; or the first of them, with the ids or the numbers of its cards,
    or the ids of its customers."""

    client_id: str
    secret: str
    shops: list[Shop]
    cards: list[str] = []
    customers: list[str] = []


class Plan(msgspec.Struct):
    """What to send: `callers` in a closed loop; or, with a `rate`, so many requests a second in all, at even intervals."""

    port: int
    run: str
    """Begins every idempotency key; no other run has it."""
    targets: list[Target]
    callers: int
    warm_seconds: float
    seconds: float
    first_fresh: int
    """The first telephone that nobody knows yet; every request to such takes the next."""
    rate: float | None = None
    seed: int = 1
    what: What = "rewards"


class Counted(msgspec.Struct):
    """What came back. Latencies in microseconds, of the answers within the measured time."""

    answered: int
    """Granted answers (200, or 201 of payments) within the measured time."""
    seconds: float
    granted: int
    """Granted answers in all: as many rewards or payments must exist."""
    other: dict[str, int]
    """Any other answer, and connections that broke."""
    sample: str
    """The beginning of the first answer that granted nothing."""
    p50_us: float
    p99_us: float
    next_fresh: int
    cpu_us: float
    """What sending one request and reading its answer cost here."""


class Course:
    """What all callers share: the plan, the clock and the counts."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.wanted = GRANTED[plan.what]
        self.fresh = plan.first_fresh
        self.sent = 0
        self.granted = 0
        self.other: dict[str, int] = {}
        self.sample = ""
        self.latencies: list[float] = []
        self.measuring = False
        self.ending = False
        self.open = 0
        self.finished = asyncio.Event()

    def count(self, status: bytes, began: float, answer: bytes) -> None:
        if status == self.wanted:
            self.granted += 1
            if self.measuring:
                self.latencies.append(time.perf_counter() - began)
            return
        name = status.decode("latin-1")
        self.other[name] = self.other.get(name, 0) + 1
        self.sample = self.sample or answer[:600].decode("latin-1")

    def left(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.finished.set()


class Client(asyncio.Protocol):
    """One caller: sends a request, reads its whole answer, sends the next."""

    def __init__(self, course: Course, number: int) -> None:
        plan = course.plan
        target = plan.targets[number % len(plan.targets)]
        self._course, self._random = course, random.Random(plan.seed * 1_000_003 + number)
        self._shops, self._cards, self._run = target.shops, target.cards, plan.run
        self._customers = target.customers
        self._compose = {
            "rewards": self._reward,
            "payments": self._payment,
            "lookups": self._lookup,
            "receipts": self._receipt,
            "batches": self._batch,
        }[plan.what]
        # Every body of a kind has the same length; the one that is measured here is not sent.
        fresh = course.fresh
        length = len(self._compose(0))
        course.fresh = fresh
        path = PATHS[plan.what]
        self._head = HEAD.format(path=path, client_id=target.client_id, secret=target.secret, length=length)
        self._received = b""
        self._wanted = 0
        self._began = 0.0
        self._pause = None if plan.rate is None else plan.callers / plan.rate
        self._due = time.perf_counter() + (0.0 if self._pause is None else self._pause * number / plan.callers)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, of the same shape
        self._course.open += 1
        self._next()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        if not self._wanted:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                self._received = received
                return
            length = received[:end].lower().find(b"content-length:")
            stop = received.find(b"\r", length)
            self._wanted = end + 4 + int(received[length + 15 : stop])
        if len(received) < self._wanted:
            self._received = received
            return
        self._received, self._wanted = b"", 0
        self._course.count(received[9:12], self._began, received)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self._course.ending:
            self._course.other["broken"] = self._course.other.get("broken", 0) + 1
        self._course.left()

    def _next(self) -> None:
        assert self._transport is not None, "it is connected"
        if self._course.ending:
            self._transport.close()
            return
        if self._pause is None:
            self._began = time.perf_counter()
            self._send()
            return
        # At even intervals: who is late sends at once, and its answer is late by what it waited, too.
        self._began, self._due = self._due, self._due + self._pause
        wait = self._began - time.perf_counter()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send_unless_ended)
        else:
            self._send()

    def _send_unless_ended(self) -> None:
        if self._course.ending and self._transport is not None:
            self._transport.close()
        else:
            self._send()

    def _send(self) -> None:
        self._course.sent += 1
        assert self._transport is not None, "it is connected"
        self._transport.write((self._head + self._compose(self._course.sent)).encode())

    def _reward(self, number: int) -> str:
        course, chance = self._course, self._random.random
        shop = self._shops[int(chance() * len(self._shops))]
        if chance() < 0.5:
            telephone = shop.first + int(chance() * shop.customers)
        else:
            telephone = course.fresh
            course.fresh += 1
        amount = AMOUNT_LEAST + int(chance() * (AMOUNT_MOST - AMOUNT_LEAST))
        return BODY % (f"+1555{telephone:07d}", amount, self._run, number, shop.merchant_id)

    def _payment(self, number: int) -> str:
        amount = 1 + int(self._random.random() * PAYMENT_MOST)
        return PAYMENT % (amount, self._run, number, self._card(), self._shops[0].merchant_id)

    def _lookup(self, number: int) -> str:  # noqa: ARG002 - a lookup has no key
        return LOOKUP % (self._card(), self._shops[0].merchant_id)

    def _receipt(self, number: int) -> str:
        return f'{{"data":{self._told(number)}}}'

    def _batch(self, number: int) -> str:
        first = number * RECEIPTS_EACH
        told = ",".join([self._told(each) for each in range(first, first + RECEIPTS_EACH)])
        return f'{{"data":[{told}]}}'

    def _told(self, number: int) -> str:
        amount = 1_000 + int(self._random.random() * 9_000)
        customer = self._customers[int(self._random.random() * len(self._customers))]
        return RECEIPT % (self._run, number, customer, self._shops[0].merchant_id, amount, amount)

    def _card(self) -> str:
        return self._cards[int(self._random.random() * len(self._cards))]


async def drive(plan: Plan) -> Counted:
    """Carry the plan out."""
    course = Course(plan)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_at_once)
    for number in range(plan.callers):
        await loop.create_connection(lambda n=number: Client(course, n), "127.0.0.1", plan.port)  # type: ignore[misc]
    await asyncio.sleep(plan.warm_seconds)
    _say("measuring")
    began, cpu, sent = time.perf_counter(), time.process_time(), course.sent
    course.measuring = True
    await asyncio.sleep(plan.seconds)
    course.measuring = False
    seconds, cpu, sent = time.perf_counter() - began, time.process_time() - cpu, course.sent - sent
    _say("measured")
    course.ending = True
    async with asyncio.timeout(FLUSH_SECONDS):
        await course.finished.wait()
    course.latencies.sort()
    return Counted(
        answered=len(course.latencies),
        seconds=seconds,
        granted=course.granted,
        other=course.other,
        sample=course.sample,
        p50_us=_quantile(course.latencies, 0.50),
        p99_us=_quantile(course.latencies, 0.99),
        next_fresh=course.fresh,
        cpu_us=cpu / max(sent, 1) * 1e6,
    )


def _end_at_once(_loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
    """A fault of the generator's own would only look like a slow contender."""
    traceback.print_exception(told.get("exception") or RuntimeError(told["message"]))
    os._exit(1)


def _quantile(ascending: Sequence[float], part: float) -> float:
    """In microseconds; 0 where nothing was measured."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * part))] * 1e6 if ascending else 0.0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the plan, carry it out, tell what was counted."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    _say(msgspec.json.encode(uvloop.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
