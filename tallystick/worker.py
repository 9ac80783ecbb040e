"""Background work: every loop on one page. A step says whether it did anything; the loop sleeps when it did not."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tallystick import (
    activity,
    giftcards,
    governance,
    imports,
    integrations,
    messages,
    partners,
    payments,
    reports,
    rewards,
    thresholds,
    wallets,
    webhooks,
)
from tallystick.base import logs
from tallystick.base.db import LOST
from tallystick.base.errors import Unavailable
from tallystick.base.settings import Settings
from tallystick.base.work import Runtime
from tallystick.customers import recipients

BEAT = """
insert into heartbeats (name, at) values ($1, $2)
on conflict (name) do update set at = excluded.at
"""
FORGET = "delete from heartbeats where at < $1"
SEEN = "select exists (select 1 from heartbeats where at >= $1)"
PREPARE_PARTITIONS = "select partitions_ensure($1)"

BEAT_SECONDS = 2.0
SILENT_AFTER = timedelta(seconds=15)
FORGOTTEN_AFTER = timedelta(hours=1)
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 10.0
"""Below `SILENT_AFTER`: what the house waited for is found again before it counts as gone."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A step that is repeated: at once while it finds work, after `idle_seconds` when it does not."""

    name: str
    step: Callable[[Runtime], Awaitable[bool]]
    idle_seconds: float


def loops(senders: messages.Senders) -> Sequence[Loop]:
    """All background work there is, but that of webhooks which `run` adds. Each way out has a loop of its own, so that a gateway
    that hangs delays no mail.
    """
    return (
        Loop("expire rewards", rewards.expire_due, idle_seconds=1.0),
        Loop("tell of rewards that expire", rewards.notices.notify_due, idle_seconds=30.0),
        Loop("expire payments", payments.expire_due, idle_seconds=1.0),
        Loop("expire value of wallets", wallets.expire_due, idle_seconds=1.0),
        Loop("expire gift cards", giftcards.expire_due, idle_seconds=1.0),
        Loop("tell of value that expires", wallets.notify_due, idle_seconds=5.0),
        Loop("deliver gift cards", giftcards.deliver_due, idle_seconds=1.0),
        Loop("bring threshold rules into force", thresholds.run_due, idle_seconds=1.0),
        Loop("give what thresholds could not give", activity.retry_due, idle_seconds=5.0),
        Loop("release reconciled activity", activity.release_due, idle_seconds=1.0),
        Loop("count activity of customers who became known", activity.count_known, idle_seconds=1.0),
        Loop("make batches of gift cards", giftcards.run_batches, idle_seconds=0.2),
        Loop("read files of activity", imports.run_due, idle_seconds=0.5),
        Loop("make reports", reports.run_due, idle_seconds=0.5),
        Loop("tell of quotas", governance.warn_due, idle_seconds=1.0),
        Loop("run reward batches", rewards.run_batches, idle_seconds=0.2),
        Loop("send mail", _sending(messages.Senders(email=senders.email)), idle_seconds=0.5),
        Loop("send short messages", _sending(messages.Senders(sms=senders.sms)), idle_seconds=0.5),
        Loop("tell of secrets that end", partners.tell_of_secrets, idle_seconds=60.0),
        Loop("tell of agreements to be reviewed", partners.tell_of_reviews, idle_seconds=60.0),
        Loop("send events again", webhooks.replay_due, idle_seconds=0.2),
        Loop("skip what webhooks that are off would have got", webhooks.skip_due, idle_seconds=1.0),
        Loop("forget expired tokens", partners.forget_expired_tokens, idle_seconds=60.0),
        Loop("forget documents that could not be taken", integrations.forget_due, idle_seconds=3600.0),
        Loop("prepare partitions", prepare_partitions, idle_seconds=3600.0),
        Loop("beat", beat, idle_seconds=BEAT_SECONDS),
    )


def _sending(senders: messages.Senders) -> Callable[[Runtime], Awaitable[bool]]:
    async def send(runtime: Runtime) -> bool:
        return await messages.deliver_due(runtime, senders, recipients.keys_of)

    return send


async def run(runtime: Runtime, settings: Settings, stopping: asyncio.Event) -> None:
    """Run every loop until told to stop; each finishes the step it is in. Webhooks are delivered without a pause between."""
    senders = messages.Senders.of_settings(settings)
    posting = webhooks.Sender(webhooks.Rules(settings.webhook_allowed_networks, settings.webhook_ports)).open()
    deliverer = webhooks.Deliverer(runtime, posting)

    async def hand_out(runtime: Runtime) -> bool:
        did = await webhooks.fan_out_due(runtime)
        if did:
            deliverer.wake()
        return did

    forget = webhooks.forgetting(timedelta(days=settings.webhook_retention_days))
    of_webhooks = (
        Loop("hand events out to webhooks", hand_out, idle_seconds=0.05),
        Loop("forget what became of events", forget, idle_seconds=60.0),
    )
    try:
        repeated = (_repeat(loop, runtime, stopping) for loop in (*loops(senders), *of_webhooks))
        await asyncio.gather(deliverer.run(stopping), *repeated)
    finally:
        await posting.close()
        await senders.close()


async def beat(runtime: Runtime) -> bool:
    """Say that this process is at work."""
    now = runtime.clock()
    async with runtime.pool.lend() as db:
        await db.run(BEAT, f"{socket.gethostname()}:{os.getpid()}", now)
        await db.run(FORGET, now - FORGOTTEN_AFTER)
    return False


async def seen(runtime: Runtime) -> bool:
    """Whether any process of background work was seen just now."""
    async with runtime.pool.lend() as db:
        return bool(await db.value(SEEN, runtime.clock() - SILENT_AFTER))


async def prepare_partitions(runtime: Runtime) -> bool:
    """Make the coming months' partitions of the tables that only grow."""
    async with runtime.pool.lend() as db:
        await db.run(PREPARE_PARTITIONS, runtime.clock())
    return False


async def _repeat(loop: Loop, runtime: Runtime, stopping: asyncio.Event) -> None:
    failures = 0
    while not stopping.is_set():
        did = False
        try:
            did = await loop.step(runtime)
            failures = 0
        except Exception as error:
            failures += 1
            _tell(loop, error, failures)
        if not did:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _pause(loop, failures))


def _pause(loop: Loop, failures: int) -> float:
    """A failed step is tried again soon, also where the loop rests for an hour; what goes on failing, ever more rarely."""
    return loop.idle_seconds if failures == 0 else min(RETRY_SECONDS * 2 ** min(failures - 1, 10), RETRY_SECONDS_MAX)


def _tell(loop: Loop, error: Exception, failures: int) -> None:
    if not isinstance(error, (*LOST, Unavailable)):
        logs.log().exception("A loop's step failed.", loop=loop.name, attempt=failures)
    elif failures == 1:
        logs.log().warning("A loop waits for the database.", loop=loop.name, error=type(error).__name__)
