"""Who is calling: a client's secret or an access token becomes a Caller, and is believed for some seconds.

What is remembered is only what was let in; a refusal is never remembered. So a new credential works at once, and a revoked one
ends in every process when its seconds are over.
"""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import tallystick.partners.door_store as door_store
import tallystick.partners.store as store
from tallystick.base import ids, logs
from tallystick.base.clock import Clock
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import AccessNotApproved, Unauthorized, Unavailable, header
from tallystick.base.keys import MasterKeys
from tallystick.base.secrets import well_formed
from tallystick.base.work import Caller, Runtime
from tallystick.partners.model import Holder

KEPT_MAX: Final = 10_000
"""Credentials that one process remembers; the ones that came first make room."""

TOKENS_AT_ONCE: Final = 1_000
TOKENS_KEPT: Final = timedelta(hours=1)

MISSING: Final = (
    "Send Client-ID and Authorization: Bearer <client secret>, or Authorization: Bearer <access token> of /oauth/token."
)
WRONG: Final = (
    "The credential is unknown, has expired or was revoked. Verify Client-ID and secret, or get a new access token."
)

# RFC 6750, section 3: no error code where no credential was sent.
_ASKED: Final = (("www-authenticate", 'Bearer realm="tallystick"'),)
_DENIED: Final = (("www-authenticate", 'Bearer realm="tallystick", error="invalid_token"'),)

_BEARER: Final = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)


class _Kept(NamedTuple):
    caller: Caller
    until: float
    """By the machine's own clock, which no one sets."""


class Authenticator:
    """One for each process. Secrets themselves are not kept: their place is a hash under a key of this process alone."""

    def __init__(
        self,
        pool: Pool,
        keys: MasterKeys,
        clock: Clock,
        cache_seconds: float,
        *,
        kept_max: int = KEPT_MAX,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        assert 0 <= cache_seconds <= 30, "a revocation holds within 30 seconds"
        self._pool, self._keys, self._clock, self._ticks = pool, keys, clock, ticks
        self._seconds, self._kept_max = cache_seconds, kept_max
        self._hash = hashlib.blake2b(key=os.urandom(32), digest_size=16)
        self._kept: dict[tuple[str | None, bytes], _Kept] = {}
        self._looking: dict[tuple[str | None, bytes], asyncio.Task[Caller]] = {}
        self._used: dict[UUID, asyncio.Task[None]] = {}

    def cached(self, client_id: str | None, authorization: str | None) -> Caller | None:
        """The caller where these two headers were let in some seconds ago; None: ask `look_up`."""
        if authorization is None:
            return None
        kept = self._kept.get(self._place(client_id, authorization))
        return kept.caller if kept is not None and self._ticks() < kept.until else None

    async def look_up(self, client_id: str | None, authorization: str | None) -> Caller:
        """The caller. Raises Unauthorized, AccessNotApproved, or Unavailable. Those who ask the same at once share a look."""
        if authorization is None:
            raise missing()
        place = self._place(client_id, authorization)
        looking = self._looking.get(place)
        if looking is None:
            looking = asyncio.create_task(self._look(place, client_id, authorization))
            self._looking[place] = looking
            looking.add_done_callback(lambda done: self._looked(place, done))
        return await asyncio.shield(looking)

    async def close(self) -> None:
        """Finish what is written in the background."""
        if running := [*self._looking.values(), *self._used.values()]:
            await asyncio.wait(running)

    def _place(self, client_id: str | None, authorization: str) -> tuple[str | None, bytes]:
        keyed = self._hash.copy()
        keyed.update(authorization.encode("utf-8", "surrogatepass"))
        return client_id, keyed.digest()

    def _looked(self, place: tuple[str | None, bytes], done: "asyncio.Task[Caller]") -> None:
        del self._looking[place]
        if not done.cancelled():
            done.exception()  # seen, also where everyone who asked has gone away

    async def _look(self, place: tuple[str | None, bytes], client_id: str | None, authorization: str) -> Caller:
        self._kept.pop(place, None)
        since, now = self._ticks(), self._clock()
        holder = await _presented(self._pool, self._keys, client_id, authorization, now)
        seconds = self._seconds if holder.until is None else min(self._seconds, (holder.until - now).total_seconds())
        if seconds > 0:
            self._kept[place] = _Kept(holder.caller, since + seconds)
            if len(self._kept) > self._kept_max:
                del self._kept[next(iter(self._kept))]
        self.used(holder, now)
        return holder.caller

    def used(self, holder: Holder, now: datetime) -> None:
        """Remember, in the background and once a day, that a secret is in use."""
        if holder.last_used_on == now.date() or holder.secret_id in self._used:
            return
        writing = asyncio.create_task(self._write_used(holder.secret_id, now.date()))
        self._used[holder.secret_id] = writing
        writing.add_done_callback(lambda _: self._used.pop(holder.secret_id))

    async def _write_used(self, secret_id: UUID, day: date) -> None:
        try:
            async with self._pool.lend() as db:
                await store.used_on(db, secret_id, day)
        except (*LOST, Unavailable) as error:
            logs.log().warning("The last use of a credential is written later.", error=type(error).__name__)


async def holder_of_secret(pool: Pool, keys: MasterKeys, client_id: UUID, secret: str, now: datetime) -> Holder:
    """Who holds this client secret. Raises Unauthorized, AccessNotApproved, or Unavailable."""
    async with pool.lend() as db:
        holder = await door_store.by_secret(db, keys.secret_digests(secret))
    return _let_in(holder, client_id, now)


async def holder_of_token(pool: Pool, keys: MasterKeys, client_id: UUID | None, token: str, now: datetime) -> Holder:
    """Who holds this access token; of this client, unless None. Raises as `holder_of_secret`."""
    async with pool.lend() as db:
        holder = await door_store.by_token(db, keys.secret_digests(token))
    return _let_in(holder, client_id, now)


async def forget_expired_tokens(runtime: Runtime) -> bool:
    """One step of the loop: delete tokens that nobody can use any more; whether there may be others."""
    async with runtime.pool.lend() as db:
        deleted = await door_store.delete_tokens(db, runtime.clock() - TOKENS_KEPT, TOKENS_AT_ONCE)
    return deleted == TOKENS_AT_ONCE


def missing() -> Unauthorized:
    """No credential was sent that this door knows."""
    return Unauthorized(MISSING, source=header("Authorization"), headers=_ASKED)


def wrong() -> Unauthorized:
    """One sentence for every credential that opens nothing, so that nobody learns which part of it is right."""
    return Unauthorized(WRONG, source=header("Authorization"), headers=_DENIED)


async def _presented(pool: Pool, keys: MasterKeys, client_id: str | None, authorization: str, now: datetime) -> Holder:
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None:
        raise missing()
    named = None if client_id is None else ids.parse(client_id.strip())
    kind = well_formed(bearer[1])
    # An operator's secret opens /admin and nothing else.
    if kind is None or kind.name == "operator" or (client_id is not None and named is None):
        raise wrong()
    if kind.name == "token":
        return await holder_of_token(pool, keys, named, bearer[1], now)
    if named is None:
        raise missing()
    return await holder_of_secret(pool, keys, named, bearer[1], now)


def _let_in(holder: Holder | None, client_id: UUID | None, now: datetime) -> Holder:
    if holder is None or (client_id is not None and holder.caller.client_id != client_id):
        raise wrong()
    if holder.ended or (holder.until is not None and now >= holder.until):
        raise wrong()
    if not holder.approved:
        raise AccessNotApproved(
            "The partner is suspended, or its agreement with the programme has ended. Ask the operator."
        )
    return holder
