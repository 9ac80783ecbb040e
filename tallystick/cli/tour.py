"""`tour`: a running demo over HTTP, each step printed as it is asked and answered: a gift card's whole life, a customer who comes
nearer to a reward step by step, and the webhooks that tell of it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from tallystick.base import clock, ids
from tallystick.base.money import Money
from tallystick.cli import demo, tour_of_progress
from tallystick.cli.ground import console, directory, fail, read_settings, say
from tallystick.cli.operating import DataOption

PRICE: Final = 5_000
SPENT: Final = 1_850
RETURNED: Final = 500
LASTS: Final = "P5Y1D"
"""A day longer than what is paid for must last in the United States."""


class Refused(Exception):
    """The house did not answer as it should have."""


@dataclass(frozen=True, slots=True)
class Partner:
    """The demo's credential for its sandbox."""

    session: aiohttp.ClientSession
    base_url: str
    headers: Mapping[str, str]

    async def ask(self, method: str, path: str, kind: str = "", **attributes: Any) -> Any:
        """The resource, or the resources, that the house answers with. Raises Refused."""
        document = {"data": {"type": kind, "attributes": attributes}} if kind else None
        say(f"  {method} {path}" + (f"  {json.dumps(attributes)}" if attributes else ""))
        async with self.session.request(
            method, f"{self.base_url}/api/v1/{path}", json=document, headers=self.headers
        ) as answer:
            body = await answer.json(content_type=None)
            if answer.status >= 300:
                raise Refused(f"{method} {path} was answered {answer.status}: {body['errors'][0]['detail']}")
        return body["data"]


def tour(data: DataOption = None) -> None:
    """Sell a gift card, spend, refund, let it expire; then buy until a threshold is reached: on a running `up --demo`."""
    file = directory(read_settings(), data) / demo.FILE
    credentials = _read(file)
    try:
        asyncio.run(_walk(credentials["baseUrl"], credentials["sandbox"], file.parent))
    except Refused as refused:
        raise fail(str(refused)) from None
    except aiohttp.ClientError as error:
        raise fail(
            f"Nothing answers at {credentials['baseUrl']} ({type(error).__name__}). Start `tallystick up --demo`."
        ) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        credentials: dict[str, Any] = json.loads(file.read_text())
    except OSError:
        raise fail(f"There is no demo in {file.parent}. Start one with `tallystick up --demo`.") from None
    return credentials


async def _walk(base_url: str, sandbox: Mapping[str, str], place: Path) -> None:
    headers = {
        "Client-ID": sandbox["clientId"],
        "Authorization": f"Bearer {sandbox['clientSecret']}",
        "Content-Type": "application/vnd.api+json",
    }
    async with aiohttp.ClientSession() as session:
        partner, deliveries = Partner(session, base_url, headers), tour_of_progress.Deliveries(session, place)
        await deliveries.begin()
        await _live(partner)
        await tour_of_progress.purchases(partner, sandbox["activeWalletPhone"])
        await deliveries.show()
    console.print("\n[dim]`tallystick verify` proves that the books add up.[/dim]")


async def _live(partner: Partner) -> None:
    now = clock.parse_instant((await partner.ask("GET", "sandbox/clock"))["attributes"]["now"])
    _tell("A gift card is sold. Its number is shown this once.")
    card = await partner.ask(
        "POST",
        "gift-cards",
        "GiftCard",
        amount=PRICE,
        idempotencyKey=f"tour-{ids.new()}",
        expiresAt=clock.render(clock.add_duration(now, LASTS)),
    )
    code, currency = card["attributes"]["code"], card["attributes"]["currency"]
    say(f"  → {code}, {Money(PRICE, currency)}, until {card['attributes']['expiresAt']}")

    _tell("Some of it is spent at a second location, by its number.")
    payment = await partner.ask(
        "POST",
        "payment-intents",
        "PaymentIntent",
        amount=SPENT,
        code=code,
        locationId="harbour-street",
        idempotencyKey=f"tour-{ids.new()}",
    )
    paid = payment["attributes"]
    say(f"  → {paid['status']}, tender {Money(paid['tender'], currency)}, discount {Money(paid['discount'], currency)}")
    await _show(partner, card["id"])

    _tell("A part is refunded, into the lot it came from.")
    back = await partner.ask("POST", f"payment-intents/{payment['id']}/refund", "RefundPaymentIntent", amount=RETURNED)
    say(f"  → {Money(back['attributes']['refundedAmount'], currency)} refunded")
    await _show(partner, card["id"])

    _tell("Five years and two days later: the sandbox's clock is moved.")
    await partner.ask("POST", "sandbox/clock/advance", "AdvanceClock", by="P5Y2D")
    await _show(partner, card["id"])

    _tell("Everything that happened to the card, newest first.")
    for each in await partner.ask("GET", f"gift-cards/{card['id']}/activities"):
        line = each["attributes"]
        say(f"  {line['at']}  {line['kind']:10} {line['amount']:>6}  leaves {Money(line['balanceAfter'], currency)}")


async def _show(partner: Partner, card_id: str) -> None:
    card = (await partner.ask("GET", f"gift-cards/{card_id}"))["attributes"]
    say(f"  → {card['status']}, {Money(card['balance']['available'], card['currency'])} to be spent")


def _tell(sentence: str) -> None:
    console.print(f"\n[bold]{sentence}[/bold]")
