"""Operators: who they are, how they come to be, and the door of /admin, which opens to nobody else.

An operator belongs to no tenant and no partner. Verbs take the connection of an open transaction; `now` is real time.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.partners.operator_store as operator_store
from tallystick.base import ids
from tallystick.base.db import Db, Pool
from tallystick.base.errors import InvalidRequest, NotFound, Unauthorized, attribute, header
from tallystick.base.keys import MasterKeys
from tallystick.base.secrets import new_operator_secret, well_formed
from tallystick.base.work import NOBODY, OPERATOR, Caller, Tenant
from tallystick.partners.model import NAME_MAX
from tallystick.partners.operator_store import AgreementBooks, Operator

PER_MINUTE: Final = 600
BURST: Final = 100
EMAIL_MAX: Final = 254
AGREEMENTS_MAX: Final = 1_000
"""Agreements of one partner that are looked at together."""

MISSING: Final = "Send Authorization: Bearer <operator's secret>. Nothing else opens this door."
WRONG: Final = "The secret is unknown or was revoked, or is none of an operator."

_BEARER: Final = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_ASKED: Final = (("www-authenticate", 'Bearer realm="tallystick admin"'),)
_DENIED: Final = (("www-authenticate", 'Bearer realm="tallystick admin", error="invalid_token"'),)


class OperatorDoor:
    """Lets operators in. Nothing is remembered: a revoked secret ends with the next request."""

    def __init__(self, pool: Pool, keys: MasterKeys) -> None:
        self._pool, self._keys = pool, keys

    def cached(self, client_id: str | None, authorization: str | None) -> Caller | None:  # noqa: ARG002 - the door's shape
        """Nobody is believed without a look."""
        return None

    async def look_up(self, client_id: str | None, authorization: str | None) -> Caller:  # noqa: ARG002 - the door's shape
        """The operator as a caller. Raises Unauthorized, in one sentence whatever is wrong, or Unavailable."""
        bearer = None if authorization is None else _BEARER.fullmatch(authorization)
        if bearer is None:
            raise Unauthorized(MISSING, source=header("Authorization"), headers=_ASKED)
        kind = well_formed(bearer[1])
        operator = None
        if kind is not None and kind.name == "operator":
            async with self._pool.lend() as db:
                operator = await operator_store.by_digest(db, self._keys.secret_digests(bearer[1]))
        if operator is None or operator.status != "active":
            raise Unauthorized(WRONG, source=header("Authorization"), headers=_DENIED)
        return _caller(operator)


async def add_operator(db: Db, keys: MasterKeys, name: str, email: str | None, now: datetime) -> tuple[Operator, str]:
    """A new operator and the secret, which is shown this once."""
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise InvalidRequest(f"A name is 1 to {NAME_MAX} printable characters.", source=attribute("name"))
    if email is not None and (len(email) > EMAIL_MAX or not email.isprintable() or _EMAIL.fullmatch(email) is None):
        raise InvalidRequest("This is not an e-mail address.", source=attribute("email"))
    secret = new_operator_secret()
    operator = Operator(ids.new(), name, email, secret[-4:], "active", now, None)
    await operator_store.insert(db, operator, keys.secret_digest(secret))
    return operator, secret


async def list_operators(db: Db) -> list[Operator]:
    """Every operator there ever was, oldest first."""
    return await operator_store.listed(db)


async def revoke_operator(db: Db, operator_id: UUID, now: datetime) -> Operator:
    """The operator is let in no more, at once."""
    revoked = await operator_store.revoke(db, operator_id, now)
    if revoked is None:
        raise NotFound("There is no such operator.")
    return revoked


async def find_agreement(db: Db, agreement_id: UUID) -> AgreementBooks | None:
    """The agreement with this id, with the books of its programme."""
    found, _ = await operator_store.agreed(db, 0, 1, agreement_id=agreement_id)
    return found[0] if found else None


async def agreements_of(db: Db, partner_id: UUID) -> Sequence[AgreementBooks]:
    """The agreements of a partner, oldest first."""
    found, _ = await operator_store.agreed(db, 0, AGREEMENTS_MAX, partner_id=partner_id)
    return found


def _caller(operator: Operator) -> Caller:
    return Caller(
        tenant=Tenant(NOBODY, NOBODY, "production"),
        partner_id=NOBODY,
        client_id=operator.id,
        scopes=frozenset({OPERATOR}),
        merchant_ids=(),
        sees_programme=False,
        rate_per_minute=PER_MINUTE,
        rate_burst=BURST,
    )
