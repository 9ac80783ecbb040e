"""Codes for the till over HTTP: a fresh one to show, as digits and as pictures of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

import tallystick.wallets.store as store
from tallystick import audit
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.errors import IdempotencyConflict, InvalidState, NotFound, RateLimited, Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import Call, Reply, Resource, Route, Takes
from tallystick.base.work import Asked, Work
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.wallets import resource, symbols, till_codes
from tallystick.wallets.actions import missing, own
from tallystick.wallets.till_codes import Drawn

EXAMPLE: Final[dict[str, Any]] = {
    "code": "749201730658214970",
    "expiresAt": "2026-03-02T09:01:00.000Z",
    "barcode": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 154 40"><path d="M10 0h2v40h-2z"/></svg>',
    "qr": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 29 29"><path stroke="#000" d="M4 4.5h7"/></svg>',
}

SPENDABLE: Final = ("active", "closing")


class TillCodeAttributes(msgspec.Struct, rename="camel", gc=False):
    """A code to show at a till: good once, until `expiresAt`; the same as a barcode and a QR code, each an SVG picture."""

    code: str
    expires_at: str
    barcode: str
    qr: str


TILL_CODE: Final = Resource("TillCode", "/api/v1/wallets/{id}/till-codes", TillCodeAttributes, EXAMPLE)


@dataclass(frozen=True, slots=True)
class DrawTillCode:
    """A partner's wish for a code that its user shows at a till."""

    asked: Asked
    wallet_id: UUID


async def draw_till_code(call: Call) -> Reply:
    """Draw a code that the holder shows at a till: good for a minute, and once."""
    command = DrawTillCode(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(draw, call.caller.tenant, command))


async def draw(work: Work, commands: Sequence[DrawTillCode]) -> list[Answer | Refusal]:
    """A fresh code for each command. Those that were drawn before stay good for their minute."""

    async def prepare(work: Work, commands: Sequence[DrawTillCode]) -> None:
        await store.lock(work, list({command.wallet_id for command in commands}))

    return await idempotency.keyed(
        work,
        "wallets.till-codes",
        commands,
        _draw,
        fingerprint=lambda command: command.wallet_id.bytes,
        seal=HouseSeal(),
        prepare=prepare,
    )


async def _draw(work: Work, command: DrawTillCode) -> Answer | Refusal:
    wallet = await own(work, command.asked, command.wallet_id)
    if isinstance(wallet, Refusal):
        return wallet
    if wallet.status not in SPENDABLE:
        return InvalidState(f"The wallet is {wallet.status}; a code is drawn while it is {' or '.join(SPENDABLE)}.")
    drawn = await till_codes.draw(work, wallet.id)
    if isinstance(drawn, datetime):
        wait = max(1, math.ceil((drawn - work.now).total_seconds()))
        return RateLimited(
            f"The wallet has {till_codes.LIVE_MAX} codes that are good still; use one, or try again in {wait} seconds.",
            headers=[("retry-after", str(wait))],
        )
    audit.note(work, command.asked, status=201, resource_id=wallet.id)
    return Answer(201, _document(drawn), wallet.id)


def _document(drawn: Drawn) -> bytes:
    shown = TillCodeAttributes(
        code=drawn.code,
        expires_at=clock.render(drawn.expires_at),
        barcode=symbols.barcode(drawn.code),
        qr=symbols.qr(drawn.code),
    )
    return jsonapi.document(jsonapi.resource(TILL_CODE, ids.new(), shown))


def routes() -> tuple[Route, ...]:
    """What codes for the till offer over HTTP."""
    return (
        Route(
            "POST", f"{resource.WALLET.path}/{{id}}/till-codes", draw_till_code, "wallets:write",
            "Draw a code that the holder shows at a till",
            takes=Takes(NoAttributes, ("TillCode",), optional=True), gives=TILL_CODE, status=201, keyed=True,
            errors=(NotFound, InvalidState, RateLimited, IdempotencyConflict),
        ),
    )  # fmt: skip
