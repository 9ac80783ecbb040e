"""The systems as they knock: their documents, signed as each of them signs, sent over real HTTP."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.api import SETTINGS, Answer, Api, document_of

DOCUMENTS = Path(__file__).parent / "documents"

SECRETS = {
    "square": "Ibxx_5AKakO-3qeNVR61Dw",
    "shopify": "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",
    "lightspeed": "kQ0wX9dS7bV4hT2nR6yJ8mLz",
}
ACCOUNTS = {"square": "MLUNA4F7Q2ZX1", "shopify": "cafe-luna.myshopify.com", "lightspeed": "cafeluna"}


def document(name: str) -> Any:
    """One of the documents, to be changed at will."""
    return json.loads((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))


@dataclass
class Shop:
    """A system that sends to one integration."""

    api: Api
    system: str
    id: str
    url: str
    secret: str
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, told: Any) -> bytes:
        """The document as the system writes it."""
        if isinstance(told, bytes):
            return told
        text = json.dumps(told, ensure_ascii=False)
        if self.system == "lightspeed":
            fields = {"payload": text, "domain_prefix": "cafeluna", "environment": "prod", "type": "sale.update"}
            return urlencode(fields).encode()
        return text.encode()

    def signed(self, body: bytes, topic: str | None) -> dict[str, str]:
        """The headers that the system sends with it."""
        message = self.url.encode() + body if self.system == "square" else body
        mac = hmac.new(self.secret.encode(), message, hashlib.sha256)
        written = base64.b64encode(mac.digest()).decode()
        if self.system == "square":
            return {"Content-Type": "application/json", "X-Square-HmacSha256-Signature": written}
        if self.system == "shopify":
            return {
                "Content-Type": "application/json",
                "X-Shopify-Topic": topic or "orders/paid",
                "X-Shopify-Shop-Domain": "Cafe-Luna.myshopify.com",
                "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
                "X-Shopify-Hmac-Sha256": written,
            }
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Signature": f"signature={mac.hexdigest()},algorithm=HMAC-SHA256",
        }

    async def send(self, told: Any, topic: str | None = None, **changed: str) -> Answer:
        """Send a document, signed; `changed` headers replace the system's own."""
        body = self.body(told)
        return await self.post(body, self.signed(body, topic) | changed)

    async def post(self, body: bytes, headers: dict[str, str], path: str | None = None) -> Answer:
        """Send exactly this."""
        address = self.api.base_url + (path or f"/in/{self.id}")
        async with self.api.session.post(address, data=BytesIO(body), headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def shown(self) -> Any:
        """The integration as its partner reads it."""
        return (await self.api.get(f"integrations/{self.id}")).attributes

    async def faults(self, **query: str) -> list[Any]:
        """Its faults as its partner reads them."""
        asked = "".join(f"?filter[{name}]={value}" for name, value in query.items())
        return list((await self.api.get(f"integrations/{self.id}/faults{asked}")).data)


def wish(system: str, /, **more: Any) -> Any:
    """The document that connects an account."""
    attributes = {
        "system": system,
        "account": ACCOUNTS[system],
        "name": f"Café Luna on {system}",
        "signingSecret": SECRETS[system],
        **more,
    }
    return document_of("Integration", **attributes)


async def connect(api: Api, system: str, **more: Any) -> Shop:
    """Connect an account; the system that sends to it."""
    answer = await api.post("integrations", wish(system, **more))
    assert answer.status == 201, answer.text
    shown = answer.attributes
    assert shown["receivingUrl"] == f"{SETTINGS.base_url}/in/{answer.data['id']}"
    return Shop(api, system, answer.data["id"], shown["receivingUrl"], more.get("signingSecret", SECRETS[system]))


async def activities(api: Api) -> list[Any]:
    """What was recorded of transactions, oldest first."""
    answer = await api.get("external-transactions?page[limit]=50")
    assert answer.status == 200, answer.text
    return list(reversed(answer.data))
