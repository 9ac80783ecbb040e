"""OAuth 2: access tokens for a secret (RFC 6749, 4.4), their end (RFC 7009), what they are (RFC 7662), where all is (RFC 8414).

Tokens are opaque, live for a quarter of an hour in real time, and end with the secret that minted them. These pages speak
forms and plain JSON, not JSON:API.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

import tallystick.partners.door_store as door_store
from tallystick.base import ids
from tallystick.base.clock import Clock
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import AccessNotApproved, Unauthorized, Unavailable
from tallystick.base.http import Headers, Page
from tallystick.base.keys import MasterKeys
from tallystick.base.ports import LogEntry
from tallystick.base.secrets import new_token, well_formed
from tallystick.base.work import Caller
from tallystick.partners.authentication import holder_of_secret, holder_of_token
from tallystick.partners.limits import Limiter
from tallystick.partners.model import Holder
from tallystick.partners.oauth_form import OAuthFault, denied, presented_by, read_form, wanted_scopes
from tallystick.partners.scopes import SCOPES

TOKEN_LIFE: Final = timedelta(minutes=15)
AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post")
NO_STORE: Final = (("cache-control", "no-store"), ("pragma", "no-cache"))
JSON: Final = ("content-type", "application/json")

Answered = tuple[int, list[tuple[str, str]], bytes]
Form = Mapping[str, str]

_Outcome = tuple[int, Any, Sequence[tuple[str, str]], str | None]
"""Status, document, more headers, and the error's name."""
_DONE: Final[_Outcome] = (200, None, (), None)


@dataclass(slots=True)
class _Asking:
    """One request on its way: what is known of it for the log."""

    request_id: UUID = field(default_factory=ids.new)
    began: int = field(default_factory=time.perf_counter_ns)
    caller: Caller | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)


class OAuth:
    """The endpoints, each as a verb of a client that was let in."""

    def __init__(
        self,
        pool: Pool,
        keys: MasterKeys,
        clock: Clock,
        limiter: Limiter,
        issuer: str,
        log: Callable[[LogEntry], None],
    ) -> None:
        self._pool, self._keys, self._clock, self._limiter, self._log = pool, keys, clock, limiter, log
        self._issuer = issuer.rstrip("/")

    async def metadata(self, _headers: Headers, _query: bytes, _body: bytes) -> Answered:
        """Where everything is (RFC 8414). Needs no credential."""
        shown = {
            "issuer": self._issuer,
            "token_endpoint": f"{self._issuer}/oauth/token",
            "token_endpoint_auth_methods_supported": AUTH_METHODS,
            "revocation_endpoint": f"{self._issuer}/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
            "introspection_endpoint": f"{self._issuer}/oauth/introspect",
            "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "scopes_supported": list(SCOPES),
        }
        return 200, [JSON, ("cache-control", "public, max-age=300")], msgspec.json.encode(shown)

    async def token(self, holder: Holder, form: Form) -> Any:
        """A fresh token. It never outlives its secret, and there is nothing to refresh it with."""
        grant = form.get("grant_type")
        if grant is None:
            raise OAuthFault("invalid_request", "Say grant_type=client_credentials.")
        if grant != "client_credentials":
            raise OAuthFault("unsupported_grant_type", "The only grant is client_credentials.")
        scopes = wanted_scopes(form, holder.caller.scopes)
        now = self._clock()
        ends = now + TOKEN_LIFE if holder.until is None else min(now + TOKEN_LIFE, holder.until)
        token = new_token(holder.caller.tenant.environment)
        async with self._pool.lend() as db:
            await door_store.insert_token(db, self._keys.secret_digest(token), holder, scopes, now, ends)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": max(0, int((ends - now).total_seconds())),
            "scope": " ".join(scopes),
        }

    async def revoke(self, holder: Holder, form: Form) -> Any:
        """End one of the client's own tokens. Another's, and one that never was, are answered alike: there is nothing to end."""
        token = _token(form)
        kind = well_formed(token)
        if kind is not None and kind.name == "secret":
            raise OAuthFault("unsupported_token_type", "A client secret is revoked at /api/v1/credentials, not here.")
        if kind is not None:
            async with self._pool.lend() as db:
                await door_store.revoke_token(
                    db, self._keys.secret_digests(token), holder.caller.client_id, self._clock()
                )
        return None

    async def introspect(self, holder: Holder, form: Form) -> Any:
        """What one of the client's own tokens is, while it opens the door; of any other nothing is told."""
        token = _token(form)
        kind = well_formed(token)
        if kind is None or kind.name != "token":
            return {"active": False}
        try:
            found = await holder_of_token(self._pool, self._keys, holder.caller.client_id, token, self._clock())
        except (Unauthorized, AccessNotApproved):
            return {"active": False}
        assert found.issued_at is not None, "a token was issued at some time"
        assert found.until is not None, "a token ends at some time"
        client_id = str(found.caller.client_id)
        return {
            "active": True,
            "scope": " ".join(sorted(found.caller.scopes)),
            "client_id": client_id,
            "sub": client_id,
            "iss": self._issuer,
            "token_type": "Bearer",
            "iat": _seconds(found.issued_at),
            "exp": _seconds(found.until),
        }

    def page(self, path: str, act: Callable[[Holder, Form], Awaitable[Any]]) -> Page:
        """The verb as a page: the form read, the client let in, its rate taken, the answer written, the request logged."""

        async def answer(headers: Headers, query: bytes, body: bytes) -> Answered:
            asking, at = _Asking(), self._clock()
            status, shown, extra, code = _DONE
            try:
                form = read_form(headers, query, body)
                shown = await act(await self._let_in(asking, headers, form), form)
            except OAuthFault as fault:
                status, shown, extra, code = _told(fault)
            except (*LOST, Unavailable):
                status, shown, extra, code = _told(_away())
            self._note(asking, at, path, status, code)
            sent = [("request-id", str(asking.request_id)), *NO_STORE, *asking.headers, *extra]
            return (status, sent, b"") if shown is None else (status, [JSON, *sent], msgspec.json.encode(shown))

        return answer

    async def _let_in(self, asking: _Asking, headers: Headers, form: Form) -> Holder:
        presented = presented_by(headers, form)
        try:
            holder = await holder_of_secret(
                self._pool, self._keys, presented.client_id, presented.secret, self._clock()
            )
        except Unauthorized:
            raise denied() from None
        except AccessNotApproved as refusal:
            raise OAuthFault("unauthorized_client", refusal.detail) from None
        asking.caller = holder.caller
        taken = self._limiter.take(holder.caller)
        asking.headers.extend(taken.headers)
        if taken.refused is not None:
            raise OAuthFault("temporarily_unavailable", taken.refused.detail, status=429, headers=taken.refused.headers)
        return holder

    def _note(self, asking: _Asking, at: datetime, path: str, status: int, code: str | None) -> None:
        self._log(
            LogEntry(
                at=at,
                request_id=asking.request_id,
                caller=asking.caller,
                method="POST",
                route=path,
                status=status,
                code=code,
                resource_id=None,
                replayed=False,
                latency_us=(time.perf_counter_ns() - asking.began) // 1000,
            )
        )


def oauth_pages(
    pool: Pool,
    keys: MasterKeys,
    clock: Clock,
    limiter: Limiter,
    issuer: str,
    log: Callable[[LogEntry], None],
) -> Mapping[tuple[str, str], Page]:
    """The pages by method and path. `issuer` is the address that partners reach; `log` takes a value for each request."""
    oauth = OAuth(pool, keys, clock, limiter, issuer, log)
    verbs = {
        "/oauth/token": oauth.token,
        "/oauth/revoke": oauth.revoke,
        "/oauth/introspect": oauth.introspect,
    }
    pages: dict[tuple[str, str], Page] = {("GET", "/.well-known/oauth-authorization-server"): oauth.metadata}
    for path, verb in verbs.items():
        pages["POST", path] = oauth.page(path, verb)
        pages.update(((method, path), only_post) for method in ("GET", "PUT", "PATCH", "DELETE"))
    return pages


async def only_post(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
    """The answer to every other method."""
    fault = OAuthFault("invalid_request", "Use POST, with the parameters in the body.", status=405)
    return 405, [JSON, ("allow", "POST"), *NO_STORE], msgspec.json.encode(_told(fault)[1])


def _token(form: Form) -> str:
    token = form.get("token")
    if token is None:
        raise OAuthFault("invalid_request", "Name the token.")
    return token


def _told(fault: OAuthFault) -> _Outcome:
    return fault.status, {"error": fault.error, "error_description": fault.description}, fault.headers, fault.error


def _away() -> OAuthFault:
    return OAuthFault(
        "temporarily_unavailable",
        "The service cannot answer just now; try again shortly.",
        status=503,
        headers=[("retry-after", "1")],
    )


def _seconds(instant: datetime) -> int:
    return int(instant.astimezone(UTC).timestamp())
