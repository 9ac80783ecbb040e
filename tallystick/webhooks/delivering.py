"""Deliver: take what is due, send it with no transaction open, write what came of it; without a pause, and fairly.

Every endpoint is a lane. Who answers soon is sent much at once, who does not is sent little, and the last places are kept for those
who answer: so one that hangs delays nobody, nor do many.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from random import Random
from typing import Final
from uuid import UUID, uuid4

import tallystick.webhooks.delivery_store as store
from tallystick.base import logs
from tallystick.base.db import LOST
from tallystick.base.errors import Unavailable
from tallystick.base.work import Environment, Runtime, Tenant
from tallystick.webhooks import concluding, lanes, rendering, schedule, signing
from tallystick.webhooks.concluding import Conclusions
from tallystick.webhooks.delivery_store import Taken
from tallystick.webhooks.lanes import AT_ONCE_OF_ALL, Busy, Endpoint, Lane, Places
from tallystick.webhooks.model import LEASE, TOTAL_SECONDS, Answer
from tallystick.webhooks.sending import Sender

LOOK_SECONDS: Final = 0.25
"""How often it is looked for what became due, when nobody says that something did."""
GATHER_SECONDS: Final = 0.02
GATHER_MAX: Final = 256
REFILL_SECONDS: Final = 0.005
KNOWN_SECONDS: Final = 5.0
HELD_MAX: Final = 4_000
"""How much is taken ahead, for all endpoints together."""
TENANTS_AT_ONCE: Final = 2
FRESH_SECONDS: Final = LEASE.total_seconds() - 2 * TOTAL_SECONDS
FORGOTTEN_SECONDS: Final = 600.0
END_SECONDS: Final = TOTAL_SECONDS + 1.0
RETRY_SECONDS: Final = 1.0


class Deliverer:
    """All deliveries of one process. `run` goes on until it is told to stop; several processes share the work."""

    def __init__(
        self,
        runtime: Runtime,
        sender: Sender,
        *,
        at_once: int = AT_ONCE_OF_ALL,
        end_seconds: float = END_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime, self._sender, self._now, self._end_seconds = runtime, sender, monotonic, end_seconds
        self._places = Places(at_once)
        self._lanes: dict[UUID, Lane] = {}
        self._conclusions = Conclusions(runtime)
        self._wanted, self._ended = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._chance = Random()  # noqa: S311 - only spreads retries
        self._held = 0
        self._look_at = 0.0
        self._is_stopping = False

    def wake(self) -> None:
        """Something became due just now."""
        self._look_at = 0.0
        self._wanted.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until told to stop; then end what is under way, or leave it to its lease."""
        done = asyncio.Event()
        writing = asyncio.create_task(self._keep_writing(done))
        try:
            await self._keep_taking(stopping)
            await self._end()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            done.set()
            self._ended.set()
            await writing

    async def _keep_taking(self, stopping: asyncio.Event) -> None:
        stopped = asyncio.create_task(stopping.wait())
        failures = 0
        try:
            while not stopping.is_set():
                self._wanted.clear()
                pause = LOOK_SECONDS
                try:
                    await self._round()
                    failures = 0
                except Exception as error:  # noqa: BLE001 - the next round may go well
                    failures += 1
                    _tell(error, failures)
                    pause = RETRY_SECONDS
                wanted = asyncio.create_task(self._wanted.wait())
                await asyncio.wait((wanted, stopped), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                wanted.cancel()
                if failures:
                    await asyncio.wait((stopped,), timeout=RETRY_SECONDS)
                elif self._look_at > 0.0:
                    await asyncio.sleep(REFILL_SECONDS)
        finally:
            stopped.cancel()

    async def _round(self) -> None:
        now = self._now()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            for lane in self._lanes.values():
                self._places.look(lane, now)
            self._serve()
            await self._look(now)
        wishes = self._wishes()
        limit = asyncio.Semaphore(TENANTS_AT_ONCE)

        async def take(tenant: Tenant, rooms: dict[UUID, int]) -> None:
            async with limit:
                await self._take(tenant, rooms)

        outcomes = await asyncio.gather(*(take(tenant, rooms) for tenant, rooms in wishes), return_exceptions=True)
        faults = [each for each in outcomes if isinstance(each, BaseException)]
        if faults:
            raise faults[0]

    async def _look(self, now: float) -> None:
        """Find who has something due; and forget who had nothing for long."""
        for webhook_id in [each.webhook_id for each in self._lanes.values() if _is_idle(each, now)]:
            del self._lanes[webhook_id]
        known = [each.webhook_id for each in self._lanes.values() if each.is_due]
        async with self._runtime.discovering() as db:
            rows = await db.rows(store.DISCOVERY_DUE, self._runtime.clock(), known)
        for row in rows:
            environment: Environment = row[2]
            tenant = Tenant(row[0], row[1], environment)
            for webhook_id in row[3]:
                lane = self._lanes.get(webhook_id)
                if lane is None:
                    lane = self._lanes[webhook_id] = Lane(tenant, webhook_id, used_at=now)
                elif not _is_on(lane):
                    lane.known_until = 0.0  # it is enabled again
                lane.is_due = True

    def _wishes(self) -> list[tuple[Tenant, dict[UUID, int]]]:
        """What is to be taken, by tenant."""
        now = self._now()
        left = HELD_MAX - self._held - self._conclusions.size
        wanting = [(each, room) for each in self._lanes.values() if each.is_due and (room := each.room(now)) > 0]
        share = max(1, left // max(1, len(wanting)))
        wishes: dict[UUID, tuple[Tenant, dict[UUID, int]]] = {}
        for lane, room in wanting:
            if left <= 0:
                break
            asked = min(room, max(share, 1), left)
            left -= asked
            wishes.setdefault(lane.tenant.id, (lane.tenant, {}))[1][lane.webhook_id] = asked
        return list(wishes.values())

    async def _take(self, tenant: Tenant, rooms: dict[UUID, int]) -> None:
        now = self._now()
        lease = uuid4()
        stale = [each for each in rooms if self._lanes[each].known_until <= now]
        async with self._runtime.work(tenant) as work:
            found = await lanes.known(work, stale) if stale else {}
            gone = [each for each in stale if each not in found]
            for webhook_id in gone:
                # Its partner no longer stands with the programme.
                await store.skip(work, webhook_id, HELD_MAX)
            asked = {each: room for each, room in rooms.items() if each not in gone}
            taken, lost = await store.take(work, asked, lease, work.real_now + LEASE) if asked else ([], [])
        for webhook_id in gone:
            self._lanes[webhook_id].is_due = False
        for webhook_id, endpoint in found.items():
            _know(self._lanes[webhook_id], endpoint, now)
        self._conclusions.drop(tenant, lost)
        self._queue(asked, taken, now)

    def _queue(self, asked: dict[UUID, int], taken: list[Taken], now: float) -> None:
        counts = dict.fromkeys(asked, 0)
        for each in taken:
            lane = self._lanes[each.delivery.webhook_id]
            counts[lane.webhook_id] += 1
            under_way = lane.busy.get(each.delivery.position)
            if under_way is not None:
                # The clock went on so far that its lease ended before it did: it is the same attempt, under a new lease.
                under_way.taken = each
            elif each.delivery.position in lane.queue:
                lane.queue[each.delivery.position] = each
            else:
                lane.queue[each.delivery.position] = each
                self._held += 1
        for webhook_id, room in asked.items():
            lane = self._lanes[webhook_id]
            lane.is_due = counts[webhook_id] >= room
            lane.used_at = now
            if counts[webhook_id]:
                lane.fresh_until = now + FRESH_SECONDS
            self._advance(lane)

    def _advance(self, lane: Lane) -> None:
        """Begin what this endpoint may be sent now."""
        while lane.queue:
            now = self._now()
            if now > lane.fresh_until or not _is_on(lane):
                self._empty(lane, 0)
                return
            waits = lane.pace.waits(now, len(lane.busy))
            if waits is None:
                return
            if waits > 0:
                self._time(lane, waits)
                return
            if not self._places.has(lane.pace.kind):
                self._places.wait(lane)
                return
            self._begin(lane, now)

    def _begin(self, lane: Lane, now: float) -> None:
        taken = lane.first()
        busy = Busy(taken, now, lane.pace.kind)
        lane.busy[taken.delivery.position] = busy
        lane.pace.sent()
        self._places.begin(busy)
        task = asyncio.create_task(self._attempt(lane, busy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, lane: Lane, busy: Busy) -> None:
        position = busy.taken.delivery.position
        try:
            assert lane.endpoint is not None, "what was taken is of an endpoint that is known"
            at = self._runtime.clock()
            delivery = busy.taken.delivery
            body = rendering.body(
                lane.endpoint.webhook.payload_version,
                delivery.event_id,
                delivery.topic,
                delivery.at,
                delivery.sequence,
                delivery.document,
            )
            headers = {
                **lane.endpoint.headers,
                **signing.headers(lane.endpoint.signer, str(delivery.event_id), at, body),
            }
            if delivery.replayed:
                headers["webhook-replay"] = "true"
            answer = await self._sender.send(lane.endpoint.webhook.url, headers, body)
            self._conclude(lane, busy, answer)
        except Exception:  # noqa: BLE001 - a fault of this house: the lease says when it is tried again
            logs.log().exception("A delivery could not be made.", webhook_id=str(lane.webhook_id), position=position)
            lane.pace.failed(self._now())
        finally:
            del lane.busy[position]
            self._held -= 1
            self._places.end(busy)
            self._after(lane)

    def _conclude(self, lane: Lane, busy: Busy, answer: Answer) -> None:
        delivery, at = busy.taken.delivery, self._runtime.clock()
        verdict = schedule.verdict(answer, delivery.tries, at, self._chance.random())
        if answer.fault is None:
            lane.pace.succeeded(answer.milliseconds / 1000)
        else:
            asked = None if verdict.waits is None else verdict.waits.total_seconds()
            lane.pace.failed(self._now(), asked=asked)
        if verdict.disables is not None:
            lane.is_due = False
            lane.fresh_until = 0.0
        made = concluding.ended(self._runtime.keys, delivery, at, answer, verdict)
        self._conclusions.end(lane, made, verdict)
        self._ended.set()

    def _after(self, lane: Lane) -> None:
        """One place is free: whose turn it is, then this endpoint again."""
        if self._is_stopping:
            return
        now = self._now()
        if lane.pace.kind == "bad":
            waits_long = lane.pace.resumes_at - now > LOOK_SECONDS
            self._empty(lane, 0 if waits_long else lane.pace.ahead(now))
        self._serve()
        self._advance(lane)
        if lane.is_due and lane.room(now) > 0:
            self._wanted.set()

    def _serve(self) -> None:
        while (lane := self._places.next()) is not None:
            self._advance(lane)

    def _empty(self, lane: Lane, but: int) -> None:
        """Give back what waits for this endpoint, but for a few."""
        while len(lane.queue) > but:
            _, taken = lane.queue.popitem()
            self._held -= 1
            self._conclusions.give_back(lane.tenant, taken)
            self._ended.set()

    def _time(self, lane: Lane, seconds: float) -> None:
        if not lane.is_timed:
            lane.is_timed = True
            asyncio.get_running_loop().call_later(seconds, self._timed, lane)

    def _timed(self, lane: Lane) -> None:
        lane.is_timed = False
        if not self._is_stopping:
            self._advance(lane)

    async def _keep_writing(self, done: asyncio.Event) -> None:
        failures = 0
        while not (done.is_set() and (self._conclusions.size == 0 or failures)):
            await self._ended.wait()
            self._ended.clear()
            if self._conclusions.size < GATHER_MAX and not done.is_set():
                await asyncio.sleep(GATHER_SECONDS)
            try:
                self._wrote(await self._conclusions.write())
                failures = 0
            except Exception as error:  # noqa: BLE001 - nothing is lost: it is written with what comes
                failures += 1
                _tell(error, failures)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), RETRY_SECONDS)
                self._ended.set()

    def _wrote(self, written: list[Lane]) -> None:
        for lane in written:
            if lane.endpoint is not None and lane.endpoint.webhook.fifo:
                # What waited for this to end may go on.
                lane.is_due = True
                self._wanted.set()
            if not _is_on(lane):
                self._empty(lane, 0)

    async def _end(self) -> None:
        self._is_stopping = True
        for lane in self._lanes.values():
            self._empty(lane, 0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._end_seconds)


def _know(lane: Lane, endpoint: Endpoint, now: float) -> None:
    if lane.endpoint is None and endpoint.webhook.failing_since is not None:
        lane.pace.distrust()
    lane.endpoint = endpoint
    lane.known_until = now + KNOWN_SECONDS
    lane.pace.rate_per_minute = endpoint.webhook.rate_per_minute


def _is_on(lane: Lane) -> bool:
    return lane.endpoint is not None and lane.endpoint.webhook.status == "enabled"


def _is_idle(lane: Lane, now: float) -> bool:
    return lane.held == 0 and not lane.is_due and not lane.is_waiting and now - lane.used_at > FORGOTTEN_SECONDS


def _tell(error: Exception, failures: int) -> None:
    if not isinstance(error, (*LOST, Unavailable)):
        logs.log().exception("Webhooks are not delivered.", exc_info=error, attempt=failures)
    elif failures == 1:
        logs.log().warning("Webhooks wait for the database.", error=type(error).__name__)
