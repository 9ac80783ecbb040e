"""The house, put together: the list of rooms' routes and what a process needs to answer them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tallystick import (
    __version__,
    activity,
    audit,
    events,
    giftcards,
    governance,
    integrations,
    merchants,
    partners,
    payments,
    reports,
    rewards,
    sandbox,
    thresholds,
    wallets,
    webhooks,
    worker,
)
from tallystick.activity import api as activity_api
from tallystick.activity.abuse import RETURNS_EVENT
from tallystick.activity.resource import ACTIVITY_EVENT, TRANSACTION
from tallystick.audit import api as audit_api
from tallystick.base import clock, known_keys, migrate, openapi, reference
from tallystick.base.batcher import Batcher
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import Unavailable
from tallystick.base.http import Headers, Page, Road
from tallystick.base.keys import MasterKeys
from tallystick.base.known_keys import OtherKeys
from tallystick.base.metrics import Metrics
from tallystick.base.openapi_told import Told, as_told
from tallystick.base.page_table import NamedPage
from tallystick.base.routes import House, Route
from tallystick.base.settings import Settings
from tallystick.base.work import Runtime
from tallystick.customers import api as customers_api
from tallystick.enrolment import api as enrolment_api
from tallystick.events import api as events_api
from tallystick.events import topics_api
from tallystick.events.samples import SHOWS
from tallystick.giftcards import api as giftcards_api
from tallystick.giftcards.batch_resource import GIFT_CARD_BATCH
from tallystick.giftcards.canaries import CARD_ALERT
from tallystick.giftcards.resource import GIFT_CARD, GIFT_CARD_EVENT
from tallystick.governance import admin_api as governance_admin
from tallystick.governance import api as governance_api
from tallystick.governance.resource import USAGE, USAGE_EVENT
from tallystick.imports import api as imports_api
from tallystick.imports.resource import IMPORT_EVENT
from tallystick.integrations import api as integrations_api
from tallystick.merchants import api as merchants_api
from tallystick.merchants import location_api
from tallystick.merchants.location_resource import LOCATION
from tallystick.merchants.resource import MERCHANT
from tallystick.partners import admin_api as partners_admin
from tallystick.partners import api as partners_api
from tallystick.partners.resource import CREDENTIAL_EVENT
from tallystick.partners.review_resource import AGREEMENT_EVENT
from tallystick.payments import api as payments_api
from tallystick.payments.resource import PAYMENT_INTENT
from tallystick.privacy import api as privacy_api
from tallystick.privacy.resource import ERASURE
from tallystick.reports import api as reports_api
from tallystick.reports.reconciliation_resource import RECONCILIATION
from tallystick.reports.resource import PERIOD, REPORT
from tallystick.rewards import api as rewards_api
from tallystick.rewards.resource import REWARD, REWARD_EVENT
from tallystick.sandbox import api as sandbox_api
from tallystick.sandbox import simulating
from tallystick.thresholds import api as thresholds_api
from tallystick.thresholds.progress_resource import PROGRESS_EVENT
from tallystick.thresholds.resource import THRESHOLD, THRESHOLD_EVENT
from tallystick.wallets import api as wallets_api
from tallystick.wallets.resource import WALLET, WALLET_EVENT
from tallystick.webhooks import api as webhooks_api
from tallystick.webhooks import replay_api
from tallystick.webhooks.model import PAYLOAD_VERSION
from tallystick.webhooks.resource import WEBHOOK_EVENT

CLOSINGS = (audit.write_requests, governance.quotas.write, events.number)
"""The last writes of every work, in order: quotas are counted behind every other lock, and the events are numbered last."""

DUE = (
    sandbox.DueWork("tell of rewards that expire", rewards.notices.next_notice, rewards.notices.notify_at),
    sandbox.DueWork("expire rewards", rewards.next_deadline, rewards.expire_at),
    sandbox.DueWork("expire payments", payments.next_deadline, payments.expire_at),
    sandbox.DueWork("expire value of wallets", wallets.next_expiry, wallets.expire_at),
    sandbox.DueWork("expire gift cards", giftcards.next_expiry, giftcards.expire_at),
    sandbox.DueWork("tell of value that expires", wallets.next_notice, wallets.notify_at),
    sandbox.DueWork("deliver gift cards", giftcards.next_delivery, giftcards.deliver_at),
    sandbox.DueWork("give what thresholds could not give", activity.next_retry, activity.retry_at),
    sandbox.DueWork("release reconciled activity", activity.next_release, activity.release_at),
    sandbox.DueWork("bring threshold rules into force", thresholds.next_due, thresholds.turn_at),
    sandbox.DueWork("order daily reports", reports.next_due, reports.order_at),
)
"""What happens by the tenant's clock: moving a sandbox through time does it in due order."""


def told() -> Told:
    """What events hold, of each type of subject."""
    return Told(
        (
            as_told(ACTIVITY_EVENT, TRANSACTION, kind="transaction", linkedId=None),
            RETURNS_EVENT,
            as_told(REWARD_EVENT, REWARD),
            CREDENTIAL_EVENT,
            AGREEMENT_EVENT,
            as_told(USAGE_EVENT, USAGE, percent=100),
            ERASURE,
            as_told(WALLET_EVENT, WALLET),
            as_told(GIFT_CARD_EVENT, GIFT_CARD),
            CARD_ALERT,
            as_told(THRESHOLD_EVENT, THRESHOLD),
            PROGRESS_EVENT,
            IMPORT_EVENT,
            PAYMENT_INTENT,
            GIFT_CARD_BATCH,
            MERCHANT,
            LOCATION,
            PERIOD,
            REPORT,
            RECONCILIATION,
            WEBHOOK_EVENT,
        ),
        SHOWS,
    )


Answered = tuple[int, list[tuple[str, str]], bytes]


def routes(
    directory: merchants.MerchantDirectory,
    streams: events.Streams | None = None,
    sender: webhooks.Sender | None = None,
) -> tuple[Route, ...]:
    """Every room's routes: all that the house offers under /api/v1."""
    sender = sender or webhooks.Sender(webhooks.Rules())
    catalogue = events.Catalogue.of(told(), PAYLOAD_VERSION)
    return (
        *rewards_api.routes(directory),
        *enrolment_api.routes(directory),
        *privacy_api.routes(),
        *customers_api.ROUTES,
        *wallets_api.routes(directory),
        *payments_api.routes(directory),
        *giftcards_api.routes(directory),
        *thresholds_api.routes(directory),
        *activity_api.routes(directory),
        *merchants_api.ROUTES,
        *location_api.routes(directory),
        *imports_api.routes(directory),
        *integrations_api.routes(directory),
        *events_api.routes(streams),
        *topics_api.routes(catalogue),
        *webhooks_api.routes(sender),
        *replay_api.routes(),
        *governance_api.ROUTES,
        *reports_api.routes(directory),
        *partners_api.ROUTES,
        *audit_api.ROUTES,
        *sandbox_api.routes(DUE),
        *simulating.routes(catalogue),
    )


def admin_routes() -> tuple[Route, ...]:
    """Every room's routes for operators: all that the house offers under /admin/v1."""
    return (
        *partners_admin.ROUTES,
        *governance_admin.routes(partners.find_agreement, partners.agreements_of),
    )


@dataclass(frozen=True, slots=True)
class Application:
    """One HTTP process: the road, and what must be open while it answers."""

    road: Road
    house: House
    pool: Pool
    authenticator: partners.Authenticator
    limiter: partners.Limiter
    request_log: audit.RequestLog
    door: integrations.Door
    streams: events.Streams
    sender: webhooks.Sender

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run what the process does in the background; at the end, finish everything that was accepted."""
        self.limiter.start()
        self.request_log.start()
        self.door.start()
        self.sender.open()
        try:
            yield
        finally:
            await self.house.batcher.close()
            await self.authenticator.close()
            await self.door.close()
            await self.streams.close()
            await self.sender.close()
            await self.limiter.close()
            await self.request_log.close()
            await self.pool.close()


def build(settings: Settings, dsn: str, keys: MasterKeys, now: clock.Clock = clock.utc) -> Application:
    """Put one HTTP process together. Nothing is connected before it is wanted."""
    pool = Pool(dsn, settings.db_connections, name="tallystick-http")
    runtime = Runtime(pool, now, keys, CLOSINGS)
    batcher = Batcher(runtime, batch_limit=settings.batch_limit, queue_limit=settings.queue_limit)
    house = House(settings, runtime, batcher)
    authenticator = partners.Authenticator(pool, keys, now, settings.credential_cache_seconds)
    limiter = partners.Limiter(pool, now)
    request_log = audit.RequestLog(pool)
    metrics = Metrics()
    metrics.gauge("tallystick_commands_waiting", "Commands that wait for their batch.", lambda: batcher.queued)
    metrics.gauge("tallystick_log_rows_dropped", "Request-log rows never written.", lambda: request_log.dropped)
    streams = events.Streams(runtime)
    sender = webhooks.Sender(webhooks.Rules(settings.webhook_allowed_networks, settings.webhook_ports))
    table = (*routes(merchants.MerchantDirectory(runtime), streams, sender), *admin_routes())
    door = integrations.Door(runtime, batcher, limiter, settings.base_url, request_log.add)
    pages: Mapping[tuple[str, str], Page | NamedPage] = {
        **door.pages(),
        **partners.oauth_pages(pool, keys, now, limiter, settings.base_url, request_log.add),
        **_house_pages(runtime, dsn, metrics),
        **_reference_pages(table, settings),
    }
    road = Road(
        house,
        table,
        authenticator=authenticator,
        limiter=limiter,
        request_log=request_log,
        pages=pages,
        metrics=metrics,
        operators=partners.OperatorDoor(pool, keys),
    )
    return Application(road, house, pool, authenticator, limiter, request_log, door, streams, sender)


async def _keys_known(runtime: Runtime) -> bool:
    try:
        await known_keys.prove(runtime.pool, runtime.keys)
    except OtherKeys:
        return False
    return True


def _house_pages(runtime: Runtime, dsn: str, metrics: Metrics) -> dict[tuple[str, str], Page]:
    migrated = known = False

    async def healthz(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
        return 200, [("content-type", "application/json")], b'{"status":"ok"}'

    async def readyz(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
        """Ready when the database answers, has every migration, knows the master key, and background work was seen just now."""
        nonlocal migrated, known
        missing = ""
        try:
            async with asyncio.timeout(3):
                migrated = migrated or not await migrate.pending(dsn)
                if not migrated:
                    missing = "migrations"
                elif not (known := known or await _keys_known(runtime)):
                    missing = "master key"
                elif not await worker.seen(runtime):
                    missing = "workers"
        except (*LOST, Unavailable, migrate.NotMigrated):
            missing = "database"
        if missing:
            headers = [("content-type", "application/json"), ("retry-after", "1")]
            return 503, headers, b'{"status":"waiting","for":"%s"}' % missing.encode()
        return 200, [("content-type", "application/json")], b'{"status":"ready"}'

    async def show_metrics(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
        return 200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], metrics.text()

    return {("GET", "/healthz"): healthz, ("GET", "/readyz"): readyz, ("GET", "/metrics"): show_metrics}


def _reference_pages(table: tuple[Route, ...], settings: Settings) -> dict[tuple[str, str], Page]:
    document = openapi.document(
        table,
        topics=events.SENT,
        scopes=partners.SCOPES,
        title="Tallystick",
        version=__version__,
        server_url=settings.base_url,
        told=told(),
    )
    as_json, as_page = openapi.encode(document), reference.page(document)
    cached = ("cache-control", "public, max-age=300")

    async def show_openapi(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
        return 200, [("content-type", "application/vnd.oai.openapi+json;version=3.1"), cached], as_json

    async def show_reference(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
        return 200, [("content-type", "text/html; charset=utf-8"), cached], as_page

    return {("GET", "/openapi.json"): show_openapi, ("GET", "/docs"): show_reference}
