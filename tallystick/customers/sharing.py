"""What a customer lets a partner send of them, and the payment cards that they are known by to that partner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args
from uuid import UUID

import msgspec

from tallystick import audit
from tallystick.base import clock, idempotency, jsonapi
from tallystick.base.errors import Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Work
from tallystick.customers import actions
from tallystick.customers.lookup import DataKind, token_index
from tallystick.customers.model import not_active

TOKENS_MAX: Final = 20

STANDING: Final = """
select kind, given_at from data_permissions
where tenant_id = $1 and customer_id = $2 and partner_id = $3 and withdrawn_at is null
order by kind
"""

# What stands already keeps its date; what was withdrawn is given anew.
GIVE: Final = """
insert into data_permissions as p (tenant_id, customer_id, partner_id, kind, given_at)
select $1, $2, $3, given.kind, $5 from unnest($4::text[]) as given (kind) order by given.kind
on conflict on constraint data_permissions_pkey do update set given_at = excluded.given_at, withdrawn_at = null
where p.tenant_id = $1 and p.withdrawn_at is not null
"""

WITHDRAW: Final = """
update data_permissions set withdrawn_at = $5
where tenant_id = $1 and customer_id = $2 and partner_id = $3 and kind <> all($4::text[]) and withdrawn_at is null
"""

TOKENS: Final = """
select token_index from card_tokens where tenant_id = $1 and customer_id = $2 and partner_id = $3 order by token_index
"""

ADD_TOKENS: Final = """
insert into card_tokens (tenant_id, token_index, partner_id, customer_id, added_at)
select $1, added.token_index, $3, $2, $5 from unnest($4::bytea[]) as added (token_index) order by added.token_index
on conflict on constraint card_tokens_pkey do nothing
"""

DROP_TOKENS: Final = """
delete from card_tokens
where tenant_id = $1 and customer_id = $2 and partner_id = $3 and token_index <> all($4::bytea[])
"""

# Whoever waits for a customer to become known looks at those who changed.
TOUCH: Final = "update customers set updated_at = $3 where tenant_id = $1 and id = $2"


class CardTokenTaken(Refusal):
    code, status, title = "CardTokenTaken", 409, "Another user of yours has this card."


@dataclass(frozen=True, slots=True)
class Share:
    """What of a customer's data the asking partner may send from now on, all of it; and by which card tokens it knows them.

    None leaves the one or the other as it is.
    """

    asked: Asked
    user_id: UUID
    permissions: tuple[DataKind, ...] | None = None
    card_tokens: tuple[str, ...] | None = None


class PermissionAttributes(msgspec.Struct, rename="camel", gc=False):
    """A kind of data that the customer permitted, and since when."""

    kind: DataKind
    given_at: str


class SharingAttributes(msgspec.Struct, rename="camel", gc=False):
    """What you may send of a user, and how many payment cards you know them by. Tokens are never shown again."""

    permissions: list[PermissionAttributes]
    card_token_count: int


SHARING: Final = Resource(
    "UserSharing",
    "/api/v1/users/{id}/sharing",
    SharingAttributes,
    {"permissions": [{"kind": "transactions", "givenAt": "2026-06-17T12:00:00.000Z"}], "cardTokenCount": 1},
)
KINDS: Final = get_args(DataKind)


async def share(work: Work, commands: Sequence[Share]) -> list[Answer | Refusal]:
    """What stands for each command, once for its key."""

    async def prepare(work: Work, commands: Sequence[Share]) -> None:
        await actions.hold(work, list({command.user_id for command in commands}))

    return await idempotency.keyed(
        work,
        "users.share",
        commands,
        _share,
        fingerprint=lambda each: msgspec.json.encode([each.user_id, each.permissions, _hidden(work, each)]),
        seal=HouseSeal(),
        prepare=prepare,
    )


async def shown(work: Work, asked: Asked, user_id: UUID) -> bytes | None:
    """What stands between the asking partner and a user, as a document; None where it may not see them."""
    if await actions.visible(work, asked, user_id) is None:
        return None
    return await _document(work, asked, user_id)


def _hidden(work: Work, command: Share) -> list[bytes] | None:
    """The tokens as their keyed indexes: a fingerprint is kept for ever."""
    if command.card_tokens is None:
        return None
    return sorted(token_index(work, command.asked.caller.partner_id, each) for each in command.card_tokens)


async def _share(work: Work, command: Share) -> Answer | Refusal:
    asked, user_id = command.asked, command.user_id
    customer = await actions.visible(work, asked, user_id)
    if customer is None:
        return actions.missing()
    if customer.status != "active":
        return not_active(customer)
    place = (work.tenant.id, user_id, asked.caller.partner_id)
    if command.card_tokens is not None:
        indexes = sorted({token_index(work, asked.caller.partner_id, each) for each in command.card_tokens})
        before = {row[0] for row in await work.db.rows(TOKENS, *place)}
        await work.db.run(ADD_TOKENS, *place, indexes, work.now)
        now = {row[0] for row in await work.db.rows(TOKENS, *place)}
        if not now.issuperset(indexes):
            await work.db.run(DROP_TOKENS, *place, sorted(before))
            return _taken()
        await work.db.run(DROP_TOKENS, *place, indexes)
        await work.db.run(TOUCH, work.tenant.id, user_id, work.now)
    if command.permissions is not None:
        await work.db.run(WITHDRAW, *place, command.permissions, work.now)
        await work.db.run(GIVE, *place, command.permissions, work.now)
    audit.note(work, asked, status=200, resource_id=user_id)
    return Answer(200, await _document(work, asked, user_id), user_id)


async def _document(work: Work, asked: Asked, user_id: UUID) -> bytes:
    return jsonapi.document(await resource(work, asked, user_id))


async def resource(work: Work, asked: Asked, user_id: UUID) -> bytes:
    """The resource object of what stands between the asking partner and a user."""
    place = (work.tenant.id, user_id, asked.caller.partner_id)
    rows = await work.db.rows(STANDING, *place)
    count = len(await work.db.rows(TOKENS, *place))
    permissions = [_permission(row[0], row[1]) for row in rows]
    return jsonapi.resource(SHARING, user_id, SharingAttributes(permissions, count))


def _permission(kind: DataKind, given_at: datetime) -> PermissionAttributes:
    return PermissionAttributes(kind, clock.render(given_at))


def _taken() -> CardTokenTaken:
    return CardTokenTaken(
        "A card is one user's. Merge the two users if they are one, or leave the token out.",
        source=attribute("cardTokens"),
    )
