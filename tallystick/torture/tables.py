"""A table: the cards, wallets and payments of one race, what is done with them, and the book that is kept of the answers."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Any

from tallystick.torture.counting import Book, Line, Seen
from tallystick.torture.tills import Answer, Tills

ACTIVITIES_MAX = 200


class Table:
    """One race. `name` begins every key and reference, so that no two tables share one."""

    def __init__(self, tills: Tills, name: str, chance: random.Random, phones: "itertools.count[int]") -> None:
        self._tills, self.name, self.chance, self._phones = tills, name, chance, phones
        self.book = Book()
        self._cards: set[str] = set()
        self._wallets: set[str] = set()
        self._numbers = itertools.count()

    def key(self) -> str:
        """A new key, or a new reference."""
        return f"{self.name}-{next(self._numbers)}"

    async def card(self, amount: int, key: str | None = None, **more: object) -> str:
        """A new card."""
        key = key or self.key()
        wish = {"amount": amount, "idempotencyKey": key, **more}
        made = self._made(await self._tills.race("issue a card", "gift-cards", "GiftCard", wish))
        self._cards.add(made)
        self.book.issued(made, amount, key)
        return made

    async def wallet(self) -> tuple[str, str]:
        """A new user and their empty wallet: both ids."""
        phone = f"+1{2_000_000_000 + next(self._phones)}"
        user = {"phoneNumber": phone, "phoneVerified": True}
        user_id = self._made(await self._tills.post("users", "User", user, self.key()))
        key = self.key()
        wish = {"userId": user_id, "merchantId": self._tills.merchant_id}
        wallet_id = self._made(await self._tills.post("wallets", "Wallet", wish, key))
        self._wallets.add(wallet_id)
        self.book.issued(wallet_id, 0, key)
        return user_id, wallet_id

    async def pay(
        self,
        holders: Sequence[str],
        amount: int,
        *,
        key: str | None = None,
        reference: str | None = None,
        **more: object,
    ) -> Answer:
        """Pay from cards and wallets; more of the wish by name."""
        key = key or self.key()
        sources = [{"walletId" if each in self._wallets else "giftCardId": each} for each in holders]
        wish = {"amount": amount, "idempotencyKey": key, "sources": sources, **more}
        if reference is not None:
            wish["externalReference"] = reference
        kind = "authorise" if more.get("capture") == "manual" else "pay"
        answer = await self._tills.race(kind, "payment-intents", "PaymentIntent", wish)
        if answer.done:
            self.book.paid(holders, key, reference, answer)
        return answer

    async def hold(self, holder: str, amount: int) -> str:
        """A payment that holds; its id. It is needed, so a refusal is an error."""
        return self._made(await self.pay([holder], amount, capture="manual"))

    async def taken(self, holder: str, amount: int) -> str:
        """A payment that took; its id."""
        return self._made(await self.pay([holder], amount))

    async def capture(self, intent_id: str, amount: int | None = None, key: str | None = None) -> Answer:
        """Take what is held."""
        key = key or self.key()
        answer = await self._change("capture", intent_id, {} if amount is None else {"amount": amount}, key)
        if answer.done:
            self.book.captured(intent_id, key, answer, whole=amount is None)
        return answer

    async def increase(self, intent_id: str, amount: int) -> Answer:
        """Hold more."""
        key = self.key()
        answer = await self._change("increase", intent_id, {"amount": amount}, key)
        if answer.done:
            self.book.increased(intent_id, key, amount, answer)
        return answer

    async def cancel(self, intent_id: str) -> Answer:
        """Let go."""
        key = self.key()
        answer = await self._change("cancel", intent_id, {}, key)
        if answer.done:
            self.book.cancelled(intent_id, key, answer)
        return answer

    async def refund(self, intent_id: str, amount: int, key: str | None = None) -> Answer:
        """Give back."""
        key = key or self.key()
        answer = await self._change("refund", intent_id, {"amount": amount}, key)
        if answer.done:
            self.book.refunded(intent_id, key, amount)
        return answer

    async def reverse(self, reference: str) -> Answer:
        """Take back by the till's own reference."""
        wish = {"externalReference": reference}
        answer = await self._tills.race("reverse", "payment-intents/reverse", "ReversePayment", wish, self.key())
        if answer.done:
            self.book.reversed(reference, answer.attributes["paymentIntentId"])
        return answer

    async def freeze(self, card: str) -> Answer:
        """Freeze a card."""
        return await self._life("freeze", card, {"reason": "lost"})

    async def unfreeze(self, card: str) -> Answer:
        """Let a card be used again."""
        return await self._life("unfreeze", card, {"reason": "found"})

    async def replace(self, card: str) -> Answer:
        """Replace a card; the new one is counted with it."""
        answer = await self._life("replace", card, {"reason": "lost"})
        if answer.done:
            self._cards.add(str(answer.id))
            self.book.link(card, str(answer.id))
        return answer

    async def transfer(self, card: str, wallet_id: str, amount: int, key: str | None = None) -> Answer:
        """Move value to a wallet."""
        key = key or self.key()
        answer = await self._life("transfer", card, {"walletId": wallet_id, "amount": amount}, key)
        if answer.done:
            self.book.moved(key, card, wallet_id, amount)
        return answer

    async def merge(self, user_id: str, into: str) -> Answer:
        """Merge a user into another."""
        return await self._tills.race("merge", f"users/{user_id}/merge", "MergeUser", {"intoUserId": into}, self.key())

    async def advance(self, by: str) -> None:
        """Move the sandbox's clock on, and wait until what fell due is done."""
        self.book.clock_moved = True
        wish = {"by": by}
        answer = await self._tills.race("move the clock", "sandbox/clock/advance", "AdvanceClock", wish, self.key())
        if not answer.done:
            self.book.differences.append(f"{self.name}: the clock was not moved: {answer.code}")

    async def now(self) -> str:
        """The sandbox's time."""
        return str((await self._tills.get("sandbox/clock"))["attributes"]["now"])

    def expect(self, *, refused: Answer, because: str) -> None:
        """Whatever took value here was wrong."""
        if refused.done:
            self.book.differences.append(f"{self.name}: paid although {because}")

    async def count(self) -> list[str]:
        """Look at everything once more, and compare."""
        holders = {each: await self._card(each) for each in sorted(self._cards)}
        holders |= {each: await self._wallet(each) for each in sorted(self._wallets)}
        paths = [f"payment-intents/{each}" for each in self.book.payments]
        shown = await asyncio.gather(*(self._tills.get(path) for path in paths))
        found = {each["id"]: each["attributes"] for each in shown}
        return [f"{self.name}: {each}" for each in self.book.count(holders, found)]

    def _made(self, answer: Answer) -> str:
        if not answer.done:
            raise Refused(f"{self.name}: what the race needs was refused: {answer.code}")
        return str(answer.id)

    async def _change(self, verb: str, intent_id: str, wish: dict[str, object], key: str) -> Answer:
        path = f"payment-intents/{intent_id}/{verb}"
        return await self._tills.race(verb, path, f"{verb.title()}PaymentIntent", wish, key)

    async def _life(self, verb: str, card: str, wish: dict[str, object], key: str | None = None) -> Answer:
        path = f"gift-cards/{card}/{verb}"
        return await self._tills.race(verb, path, f"{verb.title()}GiftCard", wish, key or self.key())

    async def _card(self, card: str) -> Seen:
        shown = (await self._tills.get(f"gift-cards/{card}"))["attributes"]
        lines: list[Any] = await self._tills.get(f"gift-cards/{card}/activities?page[limit]={ACTIVITIES_MAX}")
        told = sorted((each["attributes"] for each in lines), key=lambda each: int(each["sequence"]))
        history = [Line(each["sequence"], each["kind"], each["amount"], each["balanceAfter"]) for each in told]
        return Seen(shown["status"], shown["balance"]["available"], shown["balance"]["held"], history)

    async def _wallet(self, wallet_id: str) -> Seen:
        shown = (await self._tills.get(f"wallets/{wallet_id}"))["attributes"]
        return Seen(shown["status"], shown["balance"]["available"], shown["balance"]["held"])


class Refused(Exception):
    """What a race needs before it can begin was refused; the message says what and why."""
