"""The tour's second part: purchases move a customer towards a reward, and every event of it arrives at the demo's sink."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from tallystick.base import ids
from tallystick.base.money import Money
from tallystick.cli import demo_sink
from tallystick.cli.ground import console, say

RULE: Final = "The tour's coffee club"
TARGET: Final = 3_000
REWARD: Final = 300
PURCHASES: Final = (900, 1_300, 1_250)
BAR: Final = 24
ARRIVE_SECONDS: Final = 3.0
QUIET_SECONDS: Final = 0.6


class Asking(Protocol):
    """Whoever asks the house on the demo's behalf."""

    async def ask(self, method: str, path: str, kind: str = "", **attributes: Any) -> Any: ...


async def purchases(partner: Asking, phone: str) -> None:
    """Buy until the rule's reward is given, and show after each purchase how far the customer is."""
    console.print("\n[bold]A rule: spend 30.00, get 3.00. It begins again when it is reached.[/bold]")
    rule = await _rule(partner)
    for number, amount in enumerate(PURCHASES, 1):
        console.print(f"\n[bold]Purchase {number} of {len(PURCHASES)}.[/bold]")
        now = (await partner.ask("GET", "sandbox/clock"))["attributes"]["now"]
        await partner.ask(
            "POST",
            "external-transactions",
            "ExternalTransaction",
            type="Purchase",
            source={"id": f"tour-{ids.new()}", "createdAt": now},
            customer={"phoneNumber": phone},
            amount=amount,
        )
        for progress in await partner.ask("GET", f"threshold-progress?filter[thresholdId]={rule['id']}"):
            say(f"  → {_bar(progress['attributes'])}")


async def _rule(partner: Asking) -> Any:
    """The tour's rule: made by the first tour, and the same ever after."""
    for each in await partner.ask("GET", "thresholds?filter[status]=active&page[limit]=50"):
        if each["attributes"]["name"] == RULE:
            return each
    made = await partner.ask(
        "POST",
        "thresholds",
        "Threshold",
        name=RULE,
        metric="spend",
        repeat="repeating",
        steps=[{"target": TARGET, "reward": {"type": "walletCredit", "amount": REWARD}}],
    )
    return await partner.ask("POST", f"thresholds/{made['id']}/publish")


def _bar(progress: Mapping[str, Any]) -> str:
    percent = progress["percent"]
    full = BAR * percent // 100
    spent, target = (Money(progress[name], "USD") for name in ("current", "target"))
    cycle = f", round {progress['cycle']}" if progress["cycle"] > 1 else ""
    return f"{'█' * full}{'░' * (BAR - full)} {percent:>3} %  {spent} of {target}{cycle}"


class Deliveries:
    """What arrives at the demo's sink, from now on."""

    def __init__(self, session: aiohttp.ClientSession, place: Path) -> None:
        self._session, self._place, self._seen = session, place, -1
        self.url = ""

    async def begin(self) -> None:
        """Remember what is there already; without a sink there is nothing to show."""
        try:
            self.url = json.loads((self._place / demo_sink.FILE).read_text())["url"].rstrip("/")
        except (OSError, ValueError, KeyError):
            return
        found = await self._all()
        self._seen = max((each["number"] for each in found), default=0) if self.url else -1

    async def show(self) -> None:
        """Print what has arrived since, once nothing more comes."""
        if not self.url:
            return
        console.print("\n[bold]Meanwhile all of it arrived at the sink by webhook, signed and verified.[/bold]")
        for each in await self._arrived():
            mark = "verified" if each["verified"] else f"not verified: {each['why']}"
            say(f"  {each['at'][11:23]}  {each['topic']:28}  #{each['sequence']}  {mark}")
        say(f"  → {self.url} shows them live")

    async def _arrived(self) -> Sequence[Mapping[str, Any]]:
        deadline, count, since = time.monotonic() + ARRIVE_SECONDS, -1, time.monotonic()
        while True:
            new = [each for each in await self._all() if each["number"] > self._seen]
            now = time.monotonic()
            if len(new) != count:
                count, since = len(new), now
            if now >= deadline or (count > 0 and now - since >= QUIET_SECONDS):
                return new
            await asyncio.sleep(0.1)

    async def _all(self) -> Sequence[Mapping[str, Any]]:
        try:
            async with self._session.get(f"{self.url}/deliveries", timeout=aiohttp.ClientTimeout(5)) as answer:
                found: list[Mapping[str, Any]] = (await answer.json())["deliveries"]
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            self.url = ""
            return []
