"""A person is erased while somebody does something to them: one of the two comes first, and nothing of them comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick import activity, rewards
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of
from tests.enrolment.merge_cast import merge
from tests.imports.cast import AT, read, upload
from tests.payments.cast import pay
from tests.privacy.test_erase import erase, everything, open_wallet
from tests.rewards.cast import check_whole

ROUNDS = 6
"""How often each pair meets: now one sets out first, now the other, by a little more each time."""


@dataclass(frozen=True)
class Person:
    """Somebody of whom everything is known, and what is sealed by."""

    number: int
    phone: str
    user_id: str
    wallet_id: str
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Ground:
    """What every race needs."""

    api: Api
    runtime: Runtime
    owner: "asyncpg.Connection[asyncpg.Record]"

    async def person(self, number: int, *, value: int = 500, opened: bool = True) -> Person:
        """A new one, with value where they have a wallet; else it waits for them."""
        phone, external = f"+1202555{number:04}", f"crm-of-{number:04}"
        user_id = await self.api.user(
            phone, email=f"p{number:04}@northwind.example", firstName=f"First{number:04}", externalId=external
        )
        wallet_id = await open_wallet(self.api, user_id) if opened else ""
        given = await self.api.issue(phone, value, message=f"told-to-{number}")
        assert given.status == 200, given.text
        keys = await self.owner.fetch(
            "select c.key_wrapped, r.key_wrapped from customers as c join recipients as r"
            " on r.tenant_id = c.tenant_id and r.id = c.recipient_id where c.id = $1", UUID(user_id),
        )  # fmt: skip
        known = (external, f"p{number:04}@northwind", f"First{number:04}", *(bytes(key).hex() for key in keys[0]))
        return Person(number, phone, user_id, wallet_id, known)

    async def meet(self, rival: Callable[[Person], Awaitable[Any]], *, opened: bool = True) -> list[tuple[int, Any]]:
        """Erase one person after the other while the rival is at it: how that ended each time, and what the rival was told."""
        met, gone = [], []
        for number in range(ROUNDS):
            person = await self.person(number, opened=opened)
            delays = (0.0, 0.003 * number) if number % 2 else (0.003 * number, 0.0)
            erased, told = await asyncio.gather(
                _after(delays[0], lambda who=person: erase(self.api, who.user_id, forfeitValue=True)),  # type: ignore[misc]
                _after(delays[1], lambda who=person: rival(who)),  # type: ignore[misc]
            )
            assert erased.status in (200, 409), erased.text
            met.append((erased.status, told))
            gone += [person] if erased.status == 200 else []
        left = await everything(self.owner, self.api)
        assert [mark for person in gone for mark in person.marks if mark in left or mark.encode().hex() in left] == []
        return met


async def _after(seconds: float, do: Callable[[], Awaitable[Any]]) -> Any:
    await asyncio.sleep(seconds)
    return await do()


@pytest.fixture
async def ground(api: Api, runtime: Runtime, owner: "asyncpg.Connection[asyncpg.Record]") -> Ground:
    return Ground(api, runtime, owner)


def _codes(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


async def test_a_wallet_that_is_opened_meanwhile_is_closed_or_was_never_opened(ground: Ground, auditor: Db) -> None:
    async def opens(person: Person) -> Answer:
        wanted = {"userId": person.user_id, "merchantId": str(ground.api.merchant_id)}
        return await ground.api.post("wallets", document_of("Wallet", **wanted))

    met = await ground.meet(opens, opened=False)
    for erased, told in met:
        assert erased == 200
        assert told.status in (201, 400, 410), told.text
        if told.status == 201:
            wallet = (await ground.api.get(f"wallets/{told.data['id']}")).attributes
            assert (wallet["status"], wallet["balance"]["available"]) == ("closed", 0)
    await check_whole(auditor, ground.api.tenant)


async def test_value_that_is_spent_meanwhile_is_spent_or_forfeited(ground: Ground, auditor: Db) -> None:
    async def pays(person: Person) -> list[Answer]:
        paid = await pay(ground.api, 200, walletId=person.wallet_id)
        if paid.status != 201:
            return [paid]
        refund = await ground.api.post(f"payment-intents/{paid.data['id']}/refund", document_of("Refund", amount=50))
        return [paid, refund]

    for erased, told in await ground.meet(pays):
        assert erased == 200
        assert _codes(told) <= {200, 201, 404, 409, 410, 422}, [answer.text for answer in told]
    await check_whole(auditor, ground.api.tenant)


async def test_whoever_has_value_held_stays_until_the_hold_is_gone(ground: Ground, auditor: Db) -> None:
    async def authorises(person: Person) -> Answer:
        return await pay(ground.api, 200, walletId=person.wallet_id, capture="manual")

    for erased, told in await ground.meet(authorises):
        assert {erased, told.status} != {200, 201}, "held value was forfeited"
        assert told.status < 500, told.text
    await check_whole(auditor, ground.api.tenant)


async def test_a_file_that_names_them_meanwhile_leaves_nothing_of_them(ground: Ground, auditor: Db) -> None:
    async def sends(person: Person) -> str:
        lines = "".join(f"t{person.number}-{n},{AT},100,crm-of-{person.number:04}\n" for n in range(20))
        import_id = await upload(ground.api, f"sourceId,occurredAt,amount,externalId\n{lines}".encode())
        await read(ground.runtime)
        return import_id

    for erased, import_id in await ground.meet(sends):
        assert erased == 200
        shown = (await ground.api.get(f"imports/{import_id}")).attributes
        assert (shown["status"], shown["accepted"], shown["rejected"]) == ("completed", 20, 0)
    while await activity.count_known(ground.runtime):
        pass
    await check_whole(auditor, ground.api.tenant)


async def test_a_batch_to_them_meanwhile_is_given_to_them_or_waits_for_whoever_comes_next(
    ground: Ground, auditor: Db
) -> None:
    async def gives(person: Person) -> Answer:
        wanted = {
            "idempotencyKey": f"batch-{person.number}",
            "recipients": [{"phoneNumber": person.phone, "amount": 70}],
        }
        answer = await ground.api.post("reward-batches", document_of("RewardBatch", **wanted))
        while await rewards.run_batches(ground.runtime):
            pass
        return answer

    for erased, told in await ground.meet(gives):
        assert (erased, told.status) == (200, 202), told.text
        (item,) = (await ground.api.get(f"reward-batches/{told.data['id']}/items")).data
        assert item["attributes"]["status"] in ("done", "succeeded", "issued", "failed"), item
    await check_whole(auditor, ground.api.tenant)


async def test_who_is_merged_meanwhile_is_not_erased_and_who_is_erased_not_merged(ground: Ground, auditor: Db) -> None:
    others = [(await ground.person(100 + number)).user_id for number in range(ROUNDS)]

    async def merges(person: Person) -> Answer:
        return await merge(ground.api, person.user_id, others[person.number])

    for erased, told in await ground.meet(merges):
        assert (erased, told.status) in ((200, 409), (409, 200)), told.text
    await check_whole(auditor, ground.api.tenant)


async def test_who_is_merged_into_them_meanwhile_is_erased_with_them_or_stays_apart(
    ground: Ground, auditor: Db
) -> None:
    others = [await ground.person(100 + number) for number in range(ROUNDS)]

    async def merges(person: Person) -> tuple[Person, Answer]:
        other = others[person.number]
        return other, await merge(ground.api, other.user_id, person.user_id)

    met = await ground.meet(merges)
    left = await everything(ground.owner, ground.api)
    for erased, (other, told) in met:
        now = (await ground.api.get(f"users/{other.user_id}")).attributes["status"]
        assert (erased, told.status, now) in ((200, 200, "erased"), (200, 409, "active")), told.text
        assert now == "active" or not [mark for mark in other.marks if mark in left]
    await check_whole(auditor, ground.api.tenant)


@pytest.mark.parametrize("verb", ["suspend", "close"])
async def test_a_wallet_that_changes_its_state_meanwhile_ends_closed(ground: Ground, auditor: Db, verb: str) -> None:
    async def changes(person: Person) -> tuple[str, Answer]:
        return person.wallet_id, await ground.api.post(f"wallets/{person.wallet_id}/{verb}")

    for erased, (wallet_id, told) in await ground.meet(changes):
        assert erased == 200
        assert told.status in (200, 409, 410), told.text
        assert (await ground.api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"
    await check_whole(auditor, ground.api.tenant)


async def test_two_who_erase_at_once_are_both_answered_and_it_is_told_once(ground: Ground, auditor: Db) -> None:
    async def erases(person: Person) -> Answer:
        return await erase(ground.api, person.user_id, key=f"other-{person.number}", forfeitValue=True)

    met = await ground.meet(erases)
    assert [(erased, told.status) for erased, told in met] == [(200, 200)] * ROUNDS
    events = (await ground.api.get("webhook-events?filter[topic]=user.erased&page[limit]=50")).data
    assert len(events) == ROUNDS
    await check_whole(auditor, ground.api.tenant)
