"""The demo's endpoint: made, pinged and enabled over HTTP as a partner would, and led to wherever the sink listens this time."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from tallystick.base import ids
from tallystick.cli import demo
from tallystick.cli.processes import listen
from tallystick.cli.sink import Sink

FILE: Final = "demo-sink.json"
HOST: Final = "127.0.0.1"
NETWORK: Final = f"{HOST}/32"
"""What the demo's house may send webhooks to although it is this machine."""
DESCRIPTION: Final = "The demo's sink on this machine"


class NotConnected(Exception):
    """The sink runs, but nothing is sent there; the message says why."""


def where(place: Path) -> socket.socket:
    """A listening socket for it: at the port of last time, if that is free. Raises OSError where nothing can listen."""
    try:
        return listen(HOST, urlsplit(_kept(place).get("url", "")).port or 0, exact=True)
    except (OSError, ValueError):
        return listen(HOST, 0, exact=True)


async def connect(sink: Sink, url: str, place: Path, base_url: str, credentials: Mapping[str, str]) -> None:
    """See to it that the sandbox has an endpoint for the sink, and that it is on. Raises NotConnected."""
    headers = {
        "Client-ID": credentials["clientId"],
        "Authorization": f"Bearer {credentials['clientSecret']}",
        "Content-Type": "application/vnd.api+json",
    }
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(30)) as session:
        partner = _Partner(session, f"{base_url}/api/v1")
        try:
            await _connect(partner, sink, url, place)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NotConnected(f"{type(error).__name__}.") from None


async def _connect(partner: "_Partner", sink: Sink, url: str, place: Path) -> None:
    kept = _kept(place)
    status, found = await partner.ask("GET", f"webhooks/{kept.get('webhookId', ids.new())}")
    if status == 404:
        kept = await _make(partner, url)
        demo.write(place / FILE, kept)
    elif status >= 300:
        raise NotConnected(_why(found))
    sink.secrets = (kept["secret"],)
    webhook = f"webhooks/{kept['webhookId']}"
    if kept["url"] != url:
        await partner.require("PATCH", webhook, "Webhook", url=url)
        demo.write(place / FILE, {**kept, "url": url})
    pinged = (await partner.require("POST", f"{webhook}/ping"))["data"]["attributes"]
    if pinged["fault"] is not None:
        raise NotConnected(f"It did not answer a ping ({pinged['fault']}).")
    if (await partner.require("GET", webhook))["data"]["attributes"]["status"] == "disabled":
        await partner.require("POST", f"{webhook}/enable")


async def _make(partner: "_Partner", url: str) -> dict[str, str]:
    """A new endpoint; one whose secret was lost with its file goes, for nobody could verify what it sends."""
    for each in (await partner.require("GET", "webhooks?page[limit]=50"))["data"]:
        if each["attributes"]["description"] == DESCRIPTION:
            await partner.require("DELETE", f"webhooks/{each['id']}")
    wanted = {"url": url, "topics": ["*"], "description": DESCRIPTION}
    made = (await partner.require("POST", "webhooks", "Webhook", **wanted))["data"]
    return {"url": url, "webhookId": made["id"], "secret": made["attributes"]["secret"]}


class _Partner:
    """The demo's partner, asking its own house."""

    def __init__(self, session: aiohttp.ClientSession, api: str) -> None:
        self._session, self._api = session, api

    async def ask(self, method: str, path: str, kind: str = "", **attributes: Any) -> tuple[int, Any]:
        """The status, and the document."""
        document = {"data": {"type": kind, "attributes": attributes}} if kind else None
        key = {"Idempotency-Key": str(ids.new())} if method != "GET" else {}
        async with self._session.request(method, f"{self._api}/{path}", json=document, headers=key) as answer:
            return answer.status, None if answer.status == 204 else await answer.json(content_type=None)

    async def require(self, method: str, path: str, kind: str = "", **attributes: Any) -> Any:
        """The document. Raises NotConnected."""
        status, document = await self.ask(method, path, kind, **attributes)
        if status >= 300:
            raise NotConnected(_why(document))
        return document


def _why(document: Any) -> str:
    return " ".join(each["detail"] for each in document["errors"])


def _kept(place: Path) -> dict[str, str]:
    """What was kept of the endpoint; nothing, where it is not there or cannot be read."""
    try:
        kept = json.loads((place / FILE).read_text())
        return {name: str(kept[name]) for name in ("url", "webhookId", "secret")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
