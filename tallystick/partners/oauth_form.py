"""How a client asks the OAuth endpoints: one form in the body, its credentials in one place (RFC 6749, 2.3.1 and 3.2)."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from tallystick.base import ids
from tallystick.base.http import Headers
from tallystick.base.secrets import well_formed

FORM: Final = b"application/x-www-form-urlencoded"
BODY_MAX: Final = 8_192
PARAMETERS_MAX: Final = 20

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")
CHALLENGE: Final = ("www-authenticate", 'Basic realm="tallystick", charset="UTF-8"')


class OAuthFault(Exception):
    """An error of these endpoints, in the form of RFC 6749, section 5.2. The description never repeats what was sent."""

    def __init__(
        self, error: str, description: str, *, status: int = 400, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(error)
        self.error, self.description, self.status, self.headers = error, description, status, tuple(headers)


@dataclass(frozen=True, slots=True)
class Presented:
    """The credentials that a client presents, not yet looked at."""

    client_id: UUID
    secret: str


def read_form(headers: Headers, query: bytes, body: bytes) -> dict[str, str]:
    """The parameters of the body. Raises OAuthFault. An empty one counts as left out, a repeated one as a fault."""
    if query:
        raise _invalid("Parameters belong in the body, never in the address.")
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != FORM:
        raise _invalid(f"The body is {FORM.decode()}.")
    if b"content-encoding" in headers:
        raise _invalid("The body is sent without a content encoding.")
    if len(body) > BODY_MAX:
        raise _invalid(f"The body is at most {BODY_MAX} bytes.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError:
        raise _invalid(f"The body is not a form in UTF-8 with at most {PARAMETERS_MAX} parameters.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise _invalid("A parameter is sent more than once.")
    return {name: value for name, value in pairs if value}


def presented_by(headers: Headers, form: Mapping[str, str]) -> Presented:
    """The one credential of the request. Raises OAuthFault: for two at once, for none, or for one that cannot be right."""
    given = headers.get(b"authorization")
    in_body = "client_secret" in form or "client_assertion" in form or "client_assertion_type" in form
    if given is not None and in_body:
        raise _invalid("Authenticate in one way only: by the Authorization header or by the body.")
    if given is None:
        if "client_assertion" in form and "client_secret" in form:
            raise _invalid("Authenticate in one way only: by a secret or by an assertion.")
        return _checked(form.get("client_id", ""), form.get("client_secret", ""))
    client_id, secret = _basic(given)
    if "client_id" in form and form["client_id"] != client_id:
        raise _invalid("The body names another client than the Authorization header.")
    return _checked(client_id, secret)


def wanted_scopes(form: Mapping[str, str], allowed: frozenset[str]) -> list[str]:
    """The scopes of a token: those asked for, or all that the client has. Raises OAuthFault when it may not have one."""
    text = form.get("scope")
    if text is None:
        wanted = allowed
    elif _SCOPE.fullmatch(text) is None:
        raise OAuthFault("invalid_scope", "Scopes are names with one space between them.")
    else:
        wanted = frozenset(text.split(" "))
    if not wanted or not wanted <= allowed:
        raise OAuthFault("invalid_scope", "The credential does not carry every scope that is asked for.")
    return sorted(wanted)


def denied() -> OAuthFault:
    """One answer for every client that is not let in, so that nobody learns which part of a credential is right."""
    return OAuthFault(
        "invalid_client", "The client is not known, or its secret is not right.", status=401, headers=[CHALLENGE]
    )


def _invalid(description: str) -> OAuthFault:
    return OAuthFault("invalid_request", description)


def _checked(client_id: str, secret: str) -> Presented:
    found, kind = ids.parse(client_id), well_formed(secret)
    if found is None or kind is None or kind.name != "secret":
        raise denied()
    return Presented(found, secret)


def _basic(header: bytes) -> tuple[str, str]:
    """Client and secret of a Basic header, each form-encoded before they were joined."""
    scheme, _, rest = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise denied()
    try:
        client_id, colon, secret = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
        if not colon:
            raise denied()
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError):
        raise denied() from None
