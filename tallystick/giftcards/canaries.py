"""Canaries: numbers that were never sold. Whoever tries one has a list that leaked, or means to find out what is there.

An operator puts them where they would only be found by somebody who should not look: a backup, a supplier's file, a page of
test numbers. They are answered as any number that does not exist.
"""

from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

import tallystick.giftcards.lookup_store as lookup_store
from tallystick import events
from tallystick.base import clock, ids, jsonapi, logs
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Work
from tallystick.giftcards import codes

COUNT_MAX: Final = 1_000
"""How many are planted at once, at most."""
LABEL_MAX: Final = 100

EXAMPLE: Final = {
    "kind": "canaryUsed",
    "partnerId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "clientId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
    "label": "supplier file of March",
    "lookups": None,
    "missed": None,
    "blockedUntil": None,
    "at": "2026-06-17T12:00:00.000Z",
}


class CardAlertAttributes(msgspec.Struct, rename="camel", gc=False):
    """What an alert tells: whose credential did it and when (real time); never a number.

    `label` is of the canary that was tried; `lookups`, `missed` and `blockedUntil` are of a credential that was blocked.
    """

    kind: str
    partner_id: str
    client_id: str
    at: str
    label: str | None = None
    lookups: int | None = None
    missed: int | None = None
    blocked_until: str | None = None


CARD_ALERT: Final = Resource("CardAlert", "/api/v1/webhook-events", CardAlertAttributes, EXAMPLE)


async def plant(work: Work, count: int, label: str) -> list[str]:
    """New canaries, as cards' numbers are written. They are shown here and never again; the label is told when one is tried."""
    assert 1 <= count <= COUNT_MAX and 1 <= len(label) <= LABEL_MAX, "a few canaries with a short label"
    numbers = [codes.new() for _ in range(count)]
    await lookup_store.plant(work, label, [codes.index(work, number) for number in numbers])
    return [codes.written(number) for number in numbers]


def alarm(work: Work, asked: Asked, label: str, merchant_id: UUID | None) -> None:
    """Somebody tried a canary, at this merchant where one is known. Their own partner, who may be the one, is not told."""
    caller = asked.caller
    logs.log(request_id=asked.request_id).warning(
        "A gift card number that was never sold was tried.",
        tenant_id=work.tenant.id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
    )
    shown = CardAlertAttributes(
        "canaryUsed", str(caller.partner_id), str(caller.client_id), clock.render(work.real_now), label=label
    )
    events.record(work, replace(alert("gift_card.canary_used", shown), merchant_id=merchant_id))


def alert(topic: str, shown: CardAlertAttributes) -> events.Event:
    """An alert is a subject of its own. It is the operator's: no partner is told, unless the event names one."""
    alert_id = ids.new()
    return events.Event(
        topic=topic,
        subject_type=CARD_ALERT.type,
        subject_id=alert_id,
        sequence=1,
        document=jsonapi.resource(CARD_ALERT, alert_id, shown),
    )
