"""Short messages go out by a signed POST to the operator's gateway. Failures of the outside are values."""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Final

import aiohttp
import msgspec

from tallystick.messages.model import Outgoing, Verdict

SECONDS: Final = 10.0
"""How long one whole POST may take."""

REFUSED_FOR_GOOD: Final = frozenset({400, 404, 410, 413, 422})
"""What a gateway answers when it will never take a message. 401 and 403 are the operator's to mend, so they are tried again."""


class _Body(msgspec.Struct):
    id: str
    kind: str
    to: str
    text: str


class Gateway:
    """The operator's SMS gateway: one signed POST of `{id, kind, to, text}` for each message; any 2xx means taken.

    Signed as Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64 of HMAC-SHA256 over
    "id.timestamp.body">`.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self._url, self._secret = url, secret
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Outgoing, now: datetime) -> Verdict:
        body = msgspec.json.encode(_Body(str(message.id), message.kind, message.letter.to, message.letter.text))
        if self._session is None:
            # No cookies are kept, and no proxy is taken from the environment: the address is exactly what the operator set.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(
                self._url, data=body, headers=self._headers(message, body, now), allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return "later"
        if 200 <= status < 300:
            return "sent"
        return "never" if status in REFUSED_FOR_GOOD else "later"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _headers(self, message: Outgoing, body: bytes, now: datetime) -> dict[str, str]:
        stamp = str(int(now.timestamp()))
        signed = b".".join((str(message.id).encode(), stamp.encode(), body))
        signature = base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest()).decode()
        return {
            "content-type": "application/json",
            "webhook-id": str(message.id),
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature}",
        }
