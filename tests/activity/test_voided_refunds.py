"""A refund by mistake is voided: as if it had never been, in whatever order it is told, and nothing is given twice for it."""

import asyncio
import itertools
from typing import Any

import pytest

from tallystick import activity
from tallystick.activity import Item, RecordActivity, Recorded
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.cli.proofs_of_thresholds import PROOFS_OF_THRESHOLDS
from tests.activity.cast import progress_of, purchase, recorded, send, standing, told, transaction
from tests.activity.test_undo import Told, outcomes, pay, spent, void
from tests.api import Api, document_of
from tests.rewards.cast import balance, check_whole, feed
from tests.thresholds.cast import rule, step


@pytest.fixture
async def wallet(api: Api) -> str:
    return await api.wallet()


@pytest.fixture
async def user(api: Api, wallet: str) -> str:
    return str((await api.get(f"wallets/{wallet}")).attributes["userId"])


async def test_a_voided_refund_is_as_if_it_had_never_been(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    club = await rule(api, steps=[step(1000, 500)], budgets=[{"scope": "rule", "amount": 500}])
    await send(api, purchase("a", 1000, user=user))
    await send(api, transaction("Refund", "r", 300, linkedExternalTransactionId="a"))
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 500, 500, None)]
    await void(api, "r")
    again: list[Told] = [(1000, 1, "returned", 500, 500, None), (1000, 2, "given", 500, 0, None)]
    assert await outcomes(runtime, api) == again
    assert (await balance(api, wallet))["available"] == 500
    assert await spent(runtime, api) == [("rule", 1, 500)]
    assert await progress_of(runtime, api, club, user) == (1000, 0)
    answer = await send(api, transaction("Void", "once more", linkedExternalTransactionId="r"))
    assert answer.attributes["linkedId"] is not None
    assert await standing(runtime, api, "a") == (0, 0, False)
    assert await outcomes(runtime, api) == again, "a refund is voided once"
    await check_whole(auditor, api.tenant)


async def test_what_a_voided_refund_took_back_is_owed_no_more(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await send(api, purchase("a", 1000, user=user))
    await pay(api, 500, walletId=wallet)
    await send(api, transaction("Refund", "r", 1000, linkedExternalTransactionId="a"))
    assert (await balance(api, wallet))["owed"] == 500
    await void(api, "r")
    assert await balance(api, wallet) == {"available": 0, "pending": 0, "held": 0, "owed": 0}
    await check_whole(auditor, api.tenant)


async def test_who_buys_again_before_the_refund_is_voided_is_rewarded_once(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await send(api, purchase("a", 1000, user=user))
    await send(api, transaction("Refund", "r", 1000, linkedExternalTransactionId="a"))
    await send(api, purchase("b", 1000, user=user))
    await void(api, "r")
    assert [each[2] for each in await outcomes(runtime, api)] == ["returned", "given"]
    assert (await balance(api, wallet))["available"] == 500
    await check_whole(auditor, api.tenant)


async def test_a_voided_refund_gives_no_more_of_what_is_kept(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)], refundPolicy="unspent_only")
    await send(api, purchase("a", 1000, user=user))
    await pay(api, 300, walletId=wallet)
    await send(api, transaction("Refund", "r", 1000, linkedExternalTransactionId="a"))
    await void(api, "r")
    assert await outcomes(runtime, api) == [(1000, 1, "kept", 500, 200, None)]
    assert (await balance(api, wallet))["available"] == 0
    await check_whole(auditor, api.tenant)


@pytest.mark.parametrize("order", list(itertools.permutations(("p", "r", "v", "s"))))
@pytest.mark.parametrize("cut", range(4))
async def test_a_refund_is_voided_in_whatever_order_it_is_told(
    runtime: Runtime, api: Api, order: tuple[str, ...], cut: int
) -> None:
    """The others of its batch are of no consequence either; 0: each comes alone."""
    lines = (Item(1000, quantity=3),)
    all_of_it = {
        "p": told(api, "p", user=await api.user(), items=lines),
        "r": told(api, "r", type="Refund", amount=300, linked_source_id="p", items=(Item(300),)),
        "v": told(api, "v", type="Void", amount=0, linked_source_id="r"),
        "s": told(api, "s", type="Refund", amount=200, linked_source_id="p"),
    }
    club = await rule(api)
    commands = [all_of_it[name] for name in order]
    for group in [commands[:cut], commands[cut:]] if cut else [[each] for each in commands]:
        await recorded(runtime, api, *group)
    assert await standing(runtime, api, "p") == (200, 0, False)
    assert await standing(runtime, api, "r") == (0, 0, True)
    assert await progress_of(runtime, api, club, str(all_of_it["p"].identity and all_of_it["p"].identity.value)) == (
        800,
        0,
    )


@pytest.mark.parametrize("wrong", [("v",), ("r",), ("v", "r")], ids=" and ".join)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "one after the other"])
async def test_a_rejected_void_of_a_refund_lets_that_take_back_again(
    runtime: Runtime, api: Api, wrong: tuple[str, ...], split: bool
) -> None:
    """And a refund that is rejected takes nothing back, voided or not."""
    club, user = await rule(api), await api.user()
    imports = dict.fromkeys(wrong, ids.new()) if not split else {name: ids.new() for name in wrong}
    of: dict[str, dict[str, Any]] = {
        name: {"attribution": "reconciled", "import_id": imports[name]} if name in wrong else {} for name in ("r", "v")
    }
    await recorded(runtime, api, told(api, "p", user=user))
    await recorded(runtime, api, told(api, "r", type="Refund", amount=300, linked_source_id="p", **of["r"]))
    await recorded(runtime, api, told(api, "v", type="Void", amount=0, linked_source_id="r", **of["v"]))
    assert await progress_of(runtime, api, club, user) == (1000, 0)
    for import_id in dict.fromkeys(imports.values()):
        async with runtime.work(api.tenant) as work:
            await activity.release(work, told(api).asked, import_id, reject=True)
    left = 300 if wrong == ("v",) else 0
    assert await standing(runtime, api, "p") == (left, 0, False)
    assert (await standing(runtime, api, "r"))[2] == ("v" not in wrong)
    assert await progress_of(runtime, api, club, user) == (1000 - left, 0)


async def test_twins_that_void_one_refund_at_the_same_time_give_back_once(runtime: Runtime, api: Api) -> None:
    club, user = await rule(api), await api.user()
    await recorded(runtime, api, told(api, "p", user=user))
    await recorded(runtime, api, told(api, "r", type="Refund", amount=300, linked_source_id="p"))
    voids = [told(api, f"v{n}", type="Void", amount=0, linked_source_id="r") for n in range(4)]
    others = [told(api, f"s{n}", type="Refund", amount=10, linked_source_id="p") for n in range(4)]
    await asyncio.gather(*(_sure(runtime, api, each) for each in (*voids, *others)))
    assert await standing(runtime, api, "p") == (40, 0, False)
    assert await progress_of(runtime, api, club, user) == (960, 0)


async def _sure(runtime: Runtime, api: Api, command: RecordActivity) -> None:
    """Accept it as the house does: anew, where others were in the way."""
    (outcome,) = await run_batch(runtime, activity.accept, api.tenant, [command])
    assert isinstance(outcome, Recorded), outcome


async def test_a_refund_that_was_voided_is_no_return_that_is_told_of(runtime: Runtime, api: Api) -> None:
    document = document_of("MerchantConfiguration", returnCountSignal=2)
    assert (await api.patch(f"merchants/{api.merchant_id}/configuration", document)).status == 200
    user = await api.user()
    for name in ("a", "b", "c"):
        await recorded(runtime, api, told(api, name, user=user))
        refund = {"type": "Refund", "amount": 300, "linked_source_id": name, "user": user}
        await recorded(runtime, api, told(api, f"{name}-r", **refund))
        await recorded(runtime, api, told(api, f"{name}-v", type="Void", amount=0, linked_source_id=f"{name}-r"))
    for name in ("b", "c"):
        assert [each for each in await feed(api) if each["topic"] == "customer.returns_suspicious"] == []
        await recorded(runtime, api, told(api, f"{name}-s", type="Refund", amount=1, linked_source_id=name))
    (told_of,) = (each for each in await feed(api) if each["topic"] == "customer.returns_suspicious")
    assert told_of["document"]["attributes"]["returns"] == 2


async def test_what_is_stored_of_voided_refunds_is_proved_whole(runtime: Runtime, api: Api, auditor: Db) -> None:
    """Also of those that took nothing back, and of budgets whose periods begin together."""
    user = await api.user()
    budgets = [{"scope": "rule", "amount": 9000, "period": period} for period in ("day", "month", "year")]
    await rule(api, steps=[step(1000, 500)], budgets=budgets, caps={"customerDayCount": 3, "customerCount": 3})
    await recorded(
        runtime, api, told(api, "p", user=user), told(api, "strange", type="Refund", linked_source_id="none")
    )
    await recorded(runtime, api, told(api, "r", type="Refund", amount=300, linked_source_id="p"))
    await recorded(runtime, api, *(told(api, f"v{n}", type="Void", amount=0, linked_source_id="r") for n in range(2)))
    await recorded(runtime, api, told(api, "w", type="Void", amount=0, linked_source_id="strange"))
    for name, sql in PROOFS_OF_THRESHOLDS.items():
        found = await auditor.rows(
            f"select sentence from ({sql}) as f (tenant, id, sentence) where tenant = $1", api.tenant.id
        )
        assert list(found) == [], name
