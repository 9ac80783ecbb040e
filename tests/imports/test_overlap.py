"""Two chunks of a file under way at once: what comes of it is what would come of one after the other."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tallystick import activity
from tallystick.activity.model import RecordActivity
from tallystick.base.ahead import one_ahead
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Work
from tallystick.imports import carrying, running
from tallystick.imports.chunks import Pace
from tests.api import Api
from tests.governance.cast import agree, line
from tests.imports.cast import AT, HEAD, read, rejections, sent, shown, upload
from tests.rewards.cast import balance, check_whole
from tests.thresholds.cast import rule, step

LINKED = "sourceId,occurredAt,amount,userId,type,linkedSourceId\n"


class Twos(Pace):
    """Chunks of two lines."""

    def __init__(self) -> None:
        self.size, self.faults = 2, 0

    def took(self, count: int, seconds: float) -> None:
        pass


@pytest.fixture
def by_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "Pace", Twos)


async def progress(api: Api, threshold: str) -> int:
    (found,) = (await api.get(f"threshold-progress?filter[thresholdId]={threshold}")).data
    total: int = found["attributes"]["total"]
    return total


@pytest.mark.usefixtures("by_twos")
async def test_a_line_that_fails_by_a_fault_of_ours_is_left_behind_alone(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, auditor: Db
) -> None:
    user = await api.user()
    club = await rule(api, steps=[step(100_000, 50)])
    real = activity.land

    async def land(work: Work, commands: Sequence[RecordActivity]) -> Any:
        if any(command.source_id == "s5" for command in commands):
            raise ZeroDivisionError
        return await real(work, commands)

    monkeypatch.setattr(activity, "land", land)
    done = await sent(api, runtime, HEAD + "".join(f"s{n},{AT},100,{user}\n" for n in range(11)))
    assert (done["status"], done["accepted"], done["duplicates"], done["rejected"]) == ("completed", 10, 0, 1)
    assert await rejections(api, done["id"]) == [(7, "UnexpectedError")]
    assert await progress(api, club) == 1000
    await check_whole(auditor, api.tenant)


@pytest.mark.usefixtures("by_twos")
async def test_what_a_chunk_takes_back_is_found_in_the_one_before(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, steps=[step(100_000, 50)])
    bought = "".join(f"p{n},{AT},100,{user},Purchase,\n" for n in range(6))
    returned = "".join(f"r{n},{AT},40,,Refund,p{n}\n" for n in range(6))
    done = await sent(api, runtime, LINKED + bought + returned + f"v,{AT},,,Void,r5\n")
    assert (done["status"], done["accepted"]) == ("completed", 13)
    assert await progress(api, club) == 6 * 60 + 40


@pytest.mark.usefixtures("by_twos")
async def test_what_takes_something_back_lands_in_its_turn(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may wait for what it locks while the chunk before is at work."""
    user = await api.user()
    told: list[str] = []
    land, conclude = activity.land, activity.conclude

    async def landing(work: Work, commands: Sequence[RecordActivity]) -> Any:
        told.append(f"lands {commands[0].source_id}")
        return await land(work, commands)

    async def concluding(work: Work, commands: Sequence[RecordActivity], *given: Any, **more: Any) -> Any:
        await asyncio.sleep(0.1)
        told.append(f"concluded {commands[0].source_id}")
        return await conclude(work, commands, *given, **more)

    monkeypatch.setattr(activity, "land", landing)
    monkeypatch.setattr(activity, "conclude", concluding)
    lines = [f"p{n},{AT},100,{user},Purchase,\n" for n in range(4)] + [f"r{n},{AT},40,,Refund,p0\n" for n in range(2)]
    done = await sent(api, runtime, LINKED + "".join(lines))
    assert (done["status"], done["accepted"]) == ("completed", 6)
    assert told == ["lands p0", "lands p2", "concluded p0", "concluded p2", "lands r0", "concluded r0"]


@pytest.mark.usefixtures("by_twos")
async def test_the_last_of_a_budget_goes_to_who_stands_first_in_the_file(api: Api, runtime: Runtime) -> None:
    wallets = [await api.wallet(f"+41791234{n:03d}") for n in range(5)]
    users = [(await api.get(f"wallets/{wallet}")).attributes["userId"] for wallet in wallets]
    await rule(api, steps=[step(1000, 50)], budgets=[{"scope": "rule", "amount": 120}])
    order = [3, 0, 4, 1, 2]
    await sent(api, runtime, HEAD + "".join(f"s{n},{AT},1000,{users[n]}\n" for n in order))
    given = [(await balance(api, wallets[n]))["available"] for n in order]
    assert given == [50, 50, 20, 0, 0]


@pytest.mark.usefixtures("by_twos")
async def test_the_last_of_a_quota_goes_to_the_lines_that_stand_first(api: Api, runtime: Runtime) -> None:
    """What has landed by a quota that the chunk before it took meanwhile is undone, and lands again."""
    user = await api.user()
    assert api.partner_id is not None
    await agree(runtime, api.tenant, api.partner_id, line("transactions.count", 7))
    done = await sent(api, runtime, HEAD + "".join(f"s{n},{AT},100,{user}\n" for n in range(12)))
    assert (done["status"], done["accepted"], done["rejected"]) == ("completed", 7, 5)
    assert await rejections(api, done["id"]) == [(number, "QuotaExceeded") for number in range(9, 14)]


@pytest.mark.usefixtures("by_twos")
async def test_who_waits_too_long_for_its_turn_lands_again(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the customer's progress while the first chunk wants it, and the second waits behind that."""
    user = await api.user()
    club = await rule(api, steps=[step(100_000, 50)])
    await sent(api, runtime, HEAD + f"first,{AT},100,{user}\n")
    monkeypatch.setattr(carrying, "TURN_SECONDS", 0.1)
    landings, real = 0, activity.land

    async def land(work: Work, commands: Sequence[RecordActivity]) -> Any:
        nonlocal landings
        landings += 1
        return await real(work, commands)

    monkeypatch.setattr(activity, "land", land)
    import_id = await upload(api, (HEAD + "".join(f"s{n},{AT},100,{user}\n" for n in range(4))).encode())
    async with runtime.work(api.tenant) as holder:
        await holder.db.rows("select id from threshold_progress where tenant_id = $1 for update", api.tenant.id)
        reading = asyncio.create_task(read(runtime))
        await asyncio.sleep(0.6)
    await reading
    done = await shown(api, import_id)
    assert (done["status"], done["accepted"], done["duplicates"]) == ("completed", 4, 0)
    assert landings == 3, "the second chunk has landed twice"
    assert await progress(api, club) == 500


@pytest.mark.usefixtures("by_twos")
async def test_two_files_with_the_same_lines_in_other_orders_count_each_once(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, steps=[step(100_000, 50)])
    lines = [f"s{n},{AT},100,{user}\n" for n in range(30)]
    sent_ids = [await upload(api, (HEAD + "".join(each)).encode()) for each in (lines, lines[::-1])]
    await asyncio.gather(read(runtime), read(runtime))
    await read(runtime)
    found = [await shown(api, each) for each in sent_ids]
    assert [each["status"] for each in found] == ["completed", "completed"], found
    assert sum(each["accepted"] for each in found) == sum(each["duplicates"] for each in found) == 30
    assert await progress(api, club) == 3000


async def test_what_comes_is_asked_for_one_ahead_and_its_fault_in_its_place() -> None:
    told: list[str] = []

    async def coming() -> Any:
        try:
            for number in range(3):
                told.append(f"made {number}")
                yield number
                await asyncio.sleep(0)
            raise ValueError("the fourth")
        finally:
            told.append("closed")

    async def using() -> None:
        async for number in one_ahead(coming()):
            await asyncio.sleep(0.01)
            told.append(f"used {number}")

    with pytest.raises(ValueError, match="the fourth"):
        await using()
    assert told == ["made 0", "made 1", "used 0", "made 2", "used 1", "closed", "used 2"]


async def test_what_nobody_comes_for_is_closed() -> None:
    closed = asyncio.Event()

    async def coming() -> Any:
        try:
            yield 1
            await asyncio.sleep(3600)
        finally:
            closed.set()

    ahead = one_ahead(coming())
    assert await anext(ahead) == 1
    await asyncio.wait_for(ahead.aclose(), 5)
    assert closed.is_set()
