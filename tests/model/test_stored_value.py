"""Whatever is asked in whatever order, the house answers as the model: balances, states and refusals."""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join
from tests.model import model
from tests.model.model import Holder, Intent
from tests.rewards.cast import check_whole, configure

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "20"))
"""More for a long run: each example is a programme of its own with up to forty requests."""

VERBS = (
    "give", "card", "load", "freeze", "unfreeze", "activate", "cancel_card", "transfer", "adjust", "replace", "suspend", "resume",
    "pay", "pay", "pay", "pay", "capture", "capture", "cancel", "increase", "refund", "refund", "reverse", "wait",
    "cash_out", "charge_back", "merge",
)  # fmt: skip
PHONES = ("+12025550121", "+12025550122", "+12025550123")


@dataclass(frozen=True)
class Step:
    """A request: numbers stand for one of what there is, modulo its count."""

    verb: str
    first: int
    second: int
    amount: int
    flag: bool
    other: bool


STEPS = st.builds(
    Step,
    st.sampled_from(VERBS),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(1, 120),
    st.booleans(),
    st.booleans(),
)


@dataclass
class Twins:
    """The house and the model, side by side."""

    api: Api
    wallets: list[tuple[str, Holder]] = field(default_factory=list)
    cards: list[tuple[str, Holder]] = field(default_factory=list)
    intents: list[tuple[str, Intent]] = field(default_factory=list)
    references: dict[str, Intent | None] = field(default_factory=dict)
    """Of tills: the payment of each; None: reversed before one came."""
    reversed: set[str] = field(default_factory=set)
    now: int = 0

    async def begin(self) -> None:
        for phone in PHONES:
            self.wallets.append((await self.api.wallet(phone), Holder("wallet", "active")))

    async def step(self, step: Step) -> None:
        event(step.verb)
        if step.verb in ("give", "suspend", "resume"):
            await self._wallet(step)
        elif step.verb == "merge":
            await self._merge(step)
        elif step.verb == "card":
            await self._card(step)
        elif step.verb == "pay":
            await self._pay(step)
        elif step.verb in ("capture", "cancel", "increase", "refund"):
            await self._change_payment(step)
        elif step.verb == "reverse":
            await self._reverse(step)
        elif step.verb == "wait":
            self.now += 1 + step.first
            await self._pass_time(f"P{1 + step.first}D")
        else:
            await self._change_card(step)

    async def _pass_time(self, by: str) -> None:
        """The clock moves, and what fell due is done; also what a payment let go of that had expired meanwhile."""
        answer = await self.api.post("sandbox/clock/advance", document_of("AdvanceClock", by=by))
        assert answer.status == 200, answer.text
        holders = [each for _, each in (*self.wallets, *self.cards)]
        model.pass_time(self.now, holders, [each for _, each in self.intents])

    async def _wallet(self, step: Step) -> None:
        number = step.first % len(self.wallets)
        wallet_id, wallet = self.wallets[number]
        if step.verb == "give":
            if wallet.successor is not None:
                return  # rewards for a phone without a wallet wait, which is another story
            self._same(await self.api.issue(PHONES[number], step.amount), model.give(wallet, step.amount))
        else:
            verb = model.suspend if step.verb == "suspend" else model.resume
            self._same(await self.api.post(f"wallets/{wallet_id}/{step.verb}"), verb(wallet))

    async def _merge(self, step: Step) -> None:
        (wallet_id, wallet), (into_id, into) = (self.wallets[n % len(self.wallets)] for n in (step.first, step.second))
        user_id, into_user = [
            (await self.api.get(f"wallets/{each}")).attributes["userId"] for each in (wallet_id, into_id)
        ]
        sent = document_of("MergeUser", intoUserId=into_user)
        self._same(await self.api.post(f"users/{user_id}/merge", sent), model.merge(wallet, into))

    async def _card(self, step: Step) -> None:
        value_class = "promotional" if step.flag else "paid"
        attributes = {"amount": step.amount, "valueClass": value_class, "activate": step.other}
        expires = self.now + step.second if step.flag and step.second else model.FOREVER
        if expires != model.FOREVER:
            clock = (await self.api.get("sandbox/clock")).attributes["now"]
            attributes["expiresAt"] = (datetime.fromisoformat(clock) + timedelta(days=step.second)).isoformat()
        answer = await self.api.post("gift-cards", document_of("GiftCard", idempotencyKey=str(ids.new()), **attributes))
        self._same(answer, model.MADE)
        card = Holder("card", "active" if step.other else "pending", value_class, expires, was_active=step.other)
        card.add((expires, value_class), step.amount)
        self.cards.append((answer.data["id"], card))

    async def _change_card(self, step: Step) -> None:
        if not self.cards:
            return
        card_id, card = self.cards[step.first % len(self.cards)]
        path = f"gift-cards/{card_id}"
        if step.verb == "load":
            sent = document_of("LoadGiftCard", amount=step.amount)
            self._same(await self.api.post(f"{path}/load", sent), model.load(self.now, card, step.amount))
        elif step.verb == "freeze":
            sent = document_of("FreezeGiftCard", reason="lost")
            self._same(await self.api.post(f"{path}/freeze", sent), model.freeze(self.now, card))
        elif step.verb == "adjust":
            amount, reason = (step.amount, "complimentary") if step.flag else (-step.amount, "support_issue")
            sent = document_of("AdjustGiftCard", amount=amount, reason=reason)
            self._same(await self.api.post(f"{path}/adjust", sent), model.adjust(self.now, card, amount))
        elif step.verb == "replace":
            answer = await self.api.post(f"{path}/replace", document_of("ReplaceGiftCard", reason="lost"))
            new = model.replace(self.now, card)
            self._same(answer, model.MADE if isinstance(new, Holder) else new)
            if isinstance(new, Holder):
                self.cards.append((answer.data["id"], new))
        elif step.verb == "cash_out":
            self._same(await self.api.post(f"{path}/cash-out"), model.cash_out(self.now, card))
        elif step.verb == "charge_back":
            sent = document_of("ChargeBackGiftCard", externalReference="bank-1")
            self._same(await self.api.post(f"{path}/charge-back", sent), model.charge_back(self.now, card))
        elif step.verb == "cancel_card":
            sent = document_of("CancelGiftCard", reason="customer_request", refund=True)
            self._same(await self.api.post(f"{path}/cancel", sent), model.cancel_card(self.now, card))
        elif step.verb == "transfer":
            wallet_id, wallet = self.wallets[step.second % len(self.wallets)]
            some = {"amount": step.amount} if step.flag else {}
            sent = document_of("TransferGiftCard", walletId=wallet_id, **some)
            expected = model.transfer(self.now, card, wallet, some.get("amount"))
            self._same(await self.api.post(f"{path}/transfer", sent), expected)
        else:
            verb = model.activate if step.verb == "activate" else model.unfreeze
            self._same(await self.api.post(f"{path}/{step.verb}"), verb(self.now, card))

    async def _pay(self, step: Step) -> None:
        holders = [*self.wallets, *self.cards]
        chosen = [holders[step.first % len(holders)]]
        if step.other:
            chosen.append(holders[step.second % len(holders)])
        sources = [{"walletId" if each.kind == "wallet" else "giftCardId": id_} for id_, each in chosen]
        manual, partial = step.flag, step.second % 2 == 0
        sent = document_of(
            "PaymentIntent",
            amount=step.amount,
            sources=sources,
            capture="manual" if manual else "automatic",
            allowPartial=partial,
            idempotencyKey=str(ids.new()),
            **({"externalReference": reference} if (reference := self._reference(step)) else {}),
        )
        answer = await self.api.post("payment-intents", sent)
        if reference in self.references:
            self._same(answer, (409, "PaymentReversed" if reference in self.reversed else "DuplicateReference"))
            return
        made = model.pay(self.now, [each for _, each in chosen], step.amount, manual=manual, partial=partial)
        if isinstance(made, Intent):
            if reference:
                self.references[reference] = made
            self._same(answer, model.MADE)
            self.intents.append((answer.data["id"], made))
            _same_payment(answer.attributes, made)
        else:
            self._same(answer, made)

    def _reference(self, step: Step) -> str | None:
        """A few references, so that some are used again, and some are reversed before a payment comes."""
        return f"till-{step.amount % 12}" if step.amount % 3 == 0 else None

    async def _reverse(self, step: Step) -> None:
        reference = f"till-{step.amount % 12}"
        answer = await self.api.post(
            "payment-intents/reverse", document_of("ReversePayment", externalReference=reference)
        )
        intent = self.references.setdefault(reference, None)
        expected = model.OK if intent is None else model.reverse(self.now, intent)
        self._same(answer, expected)
        if expected == model.OK:
            self.reversed.add(reference)

    async def _change_payment(self, step: Step) -> None:
        if not self.intents:
            return
        intent_id, intent = self.intents[step.first % len(self.intents)]
        amount = step.amount if step.flag or step.verb == "increase" else None
        path = f"payment-intents/{intent_id}/{step.verb}"
        kind = {"capture": "Capture", "refund": "Refund", "increase": "Increase"}.get(step.verb)
        if kind is None:
            answer, expected = await self.api.post(path), model.cancel(intent)
        else:
            sent = None if amount is None else document_of(f"{kind}PaymentIntent", amount=amount)
            answer = await self.api.post(path, sent)
            if step.verb == "capture":
                expected = model.capture(intent, amount)
            elif step.verb == "refund":
                expected = model.refund(self.now, intent, amount)
            else:
                expected = model.increase(self.now, intent, step.amount)
        self._same(answer, expected)
        if expected == model.OK:
            _same_payment(answer.attributes, intent)

    def _same(self, answer: Answer, expected: model.Answer) -> None:
        code = answer.codes[0] if answer.status >= 400 else None
        assert (answer.status, code) == expected, answer.text
        event(f"{answer.status} {code}")

    async def compare(self) -> None:
        await self._pass_time("PT1S")
        for path, holders in (("wallets", self.wallets), ("gift-cards", self.cards)):
            for id_, holder in holders:
                shown: Any = (await self.api.get(f"{path}/{id_}")).attributes
                balance = shown["balance"]
                found = (shown["status"], balance["available"], balance["held"])
                assert found == (holder.shown(self.now), holder.available, holder.reserved), (path, id_)
        for id_, intent in self.intents:
            _same_payment((await self.api.get(f"payment-intents/{id_}")).attributes, intent)


def _same_payment(shown: Any, intent: Intent) -> None:
    names = ("status", "authorizedAmount", "capturedAmount", "refundedAmount", "tender")
    expected = (intent.status, intent.authorized, intent.captured, intent.refunded, intent.tender)
    assert tuple(shown[name] for name in names) == expected


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=12, max_size=40))
async def test_the_house_answers_as_the_model(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db, steps: list[Step]
) -> None:
    twins = Twins(await join(runtime, session, base_url))
    await configure(runtime, twins.api, region="US-CA")
    await twins.begin()
    for step in steps:
        await twins.step(step)
        await twins.compare()
    await check_whole(auditor, twins.api.tenant)
