"""How the cards of a merchant look: a name, a picture, a colour and the terms that are printed on them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

import tallystick.giftcards.design_store as store
from tallystick import audit, merchants
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Caller, Work
from tallystick.giftcards.design_store import Design, Status

NAME_MAX: Final = 100
URL_MAX: Final = 2_000
TERMS_MAX: Final = 5_000
COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")

EXAMPLE: Final = {
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "name": "Winter",
    "imageUrl": "https://images.example/winter.png",
    "backgroundColour": "#0B3D91",
    "terms": "Not redeemable for cash except where the law requires it.",
    "status": "active",
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:00.000Z",
}


class DesignAttributes(msgspec.Struct, rename="camel"):
    """What a partner reads of a design."""

    merchant_id: str
    name: str
    image_url: str | None
    background_colour: str | None
    terms: str | None
    status: str
    created_at: str
    updated_at: str


DESIGN: Final = Resource("GiftCardDesign", "/api/v1/gift-card-designs", DesignAttributes, EXAMPLE)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a design is to be; what is not set stays, None takes it away."""

    name: str | UnsetType = UNSET
    image_url: str | UnsetType | None = UNSET
    background_colour: str | UnsetType | None = UNSET
    terms: str | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class AddDesign:
    """A partner's wish to add a design."""

    asked: Asked
    merchant_id: UUID
    wanted: Changes


@dataclass(frozen=True, slots=True)
class ChangeDesign:
    """A partner's wish to change a design, or to retire it: cards that have it keep it, new ones cannot."""

    asked: Asked
    design_id: UUID
    wanted: Changes


async def add(work: Work, commands: Sequence[AddDesign]) -> list[Answer | Refusal]:
    """Add each design, once for its key."""
    return await idempotency.keyed(
        work,
        "gift-card-designs.create",
        commands,
        _add,
        fingerprint=lambda command: msgspec.json.encode([command.merchant_id, command.wanted]),
        seal=HouseSeal(),
    )


async def change(work: Work, commands: Sequence[ChangeDesign]) -> list[Answer | Refusal]:
    """Change each design, once for its key."""

    async def prepare(work: Work, commands: Sequence[ChangeDesign]) -> None:
        await store.lock(work, list({command.design_id for command in commands}))

    return await idempotency.keyed(
        work,
        "gift-card-designs.change",
        commands,
        _change,
        fingerprint=lambda command: msgspec.json.encode([command.design_id, command.wanted]),
        seal=HouseSeal(),
        prepare=prepare,
    )


async def visible(work: Work, caller: Caller, design_id: UUID) -> Design | None:
    """The design, where the caller may read it: its partner's own, or the whole programme's by agreement, at its merchants."""
    design = (await store.by_ids(work, [design_id])).get(design_id)
    if design is None or (caller.merchant_ids is not None and design.merchant_id not in caller.merchant_ids):
        return None
    return design if caller.sees_programme or design.partner_id == caller.partner_id else None


def missing() -> NotFound:
    """The refusal for a design that is not there, or not for this caller."""
    return NotFound("No gift card design has this id. Verify the id.")


def faults(wanted: Changes) -> list[Refusal]:
    """Everything that is wrong with what a design is to be."""
    name, url, colour, terms = wanted.name, wanted.image_url, wanted.background_colour, wanted.terms
    checks = (
        (not isinstance(name, str) or _is_name(name), "name", f"A name has 1 to {NAME_MAX} printable characters."),
        (
            not isinstance(url, str) or _is_https(url),
            "imageUrl",
            f"A picture is at an https address of at most {URL_MAX} characters, without a user.",
        ),
        (
            not isinstance(colour, str) or COLOUR.fullmatch(colour) is not None,
            "backgroundColour",
            "A colour is written as #RRGGBB.",
        ),
        (
            not isinstance(terms, str) or len(terms) <= TERMS_MAX,
            "terms",
            f"Terms have at most {TERMS_MAX} characters.",
        ),
    )
    return [InvalidRequest(detail, source=attribute(place)) for fine, place, detail in checks if not fine]


def resource(design: Design) -> bytes:
    """The resource object of a design."""
    shown = DesignAttributes(
        merchant_id=str(design.merchant_id),
        name=design.name,
        image_url=design.image_url,
        background_colour=design.background_colour,
        terms=design.terms,
        status=design.status,
        created_at=clock.render(design.created_at),
        updated_at=clock.render(design.updated_at),
    )
    return jsonapi.resource(DESIGN, design.id, shown)


async def _add(work: Work, command: AddDesign) -> Answer | Refusal:
    merchant = (await merchants.by_ids(work, [command.merchant_id])).get(command.merchant_id)
    if merchant is None or merchant.status != "active":
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    wanted = command.wanted
    assert not isinstance(wanted.name, UnsetType), "a new design has a name"
    design = Design(
        id=ids.new(),
        partner_id=command.asked.caller.partner_id,
        merchant_id=merchant.id,
        name=wanted.name,
        image_url=wanted.image_url or None,
        background_colour=wanted.background_colour or None,
        terms=wanted.terms or None,
        status="active",
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, design)
    audit.note(work, command.asked, status=201, resource_id=design.id)
    return Answer(201, jsonapi.document(resource(design)), design.id, f"{DESIGN.path}/{design.id}")


async def _change(work: Work, command: ChangeDesign) -> Answer | Refusal:
    caller = command.asked.caller
    design = await visible(work, caller, command.design_id)
    if design is None or design.partner_id != caller.partner_id:
        return missing()
    named = {name: getattr(command.wanted, name) for name in Changes.__dataclass_fields__}
    changed = replace(design, **{name: value for name, value in named.items() if value is not UNSET})
    if changed != design:
        changed = replace(changed, version=design.version + 1, updated_at=work.now)
        await store.update(work, changed)
    audit.note(work, command.asked, status=200, resource_id=design.id)
    return Answer(200, jsonapi.document(resource(changed)), design.id)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_MAX and name.isprintable() and not name.isspace()


def _is_https(url: str) -> bool:
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or any(mark in url for mark in " \"'<>\\^`{|}"):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
