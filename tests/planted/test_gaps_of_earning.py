"""What no other test of activity, thresholds and files noticed when it was planted."""

from dataclasses import replace
from uuid import UUID

import pytest

import tallystick.activity.changing_store as changing_store
import tallystick.imports.store as import_store
from tallystick import partners
from tallystick.activity import releasing
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.imports import carrying, mark, running
from tallystick.imports.chunks import Pace, Reader
from tests.activity.cast import progress_of, purchase, recorded, send, told, transaction
from tests.activity.test_release import decide
from tests.api import Api
from tests.imports.cast import AT, HEAD, sent, upload
from tests.rewards.cast import balance, check_whole
from tests.thresholds.cast import republish, rule, step


async def test_what_was_rejected_meanwhile_is_not_released(runtime: Runtime, api: Api) -> None:
    threshold, user, import_id = await rule(api), await api.user(), ids.new()
    waits = told(api, "s", user=user, attribution="reconciled", import_id=import_id, import_line=1)
    await recorded(runtime, api, waits)
    async with runtime.reading(api.tenant) as work:
        found = await changing_store.pending_of_import(work, import_id, releasing.FIRST, 10)
    await decide(runtime, api, import_id, reject=True)
    async with runtime.work(api.tenant) as work:
        await releasing._decide(work, told(api).asked, found, "counted")
    assert await progress_of(runtime, api, threshold, user) == (0, 0)


async def test_what_a_new_version_adds_up_to_what_was_kept_is_not_given(api: Api, auditor: Db) -> None:
    wallet = await api.wallet()
    user = (await api.get(f"wallets/{wallet}")).attributes["userId"]
    club = await rule(api, steps=[step(2000, 500)], refundPolicy="none")
    await send(api, purchase("a", 2000, user=user))
    await send(api, transaction("Void", "v", linkedExternalTransactionId="a"))
    await republish(api, club, steps=[step(1000, 100), step(2000, 700)])
    await send(api, purchase("b", 2000, user=user))
    assert (await balance(api, wallet))["available"] == 500
    await check_whole(auditor, api.tenant)


async def test_what_is_just_deserved_stays_when_more_is_lost(api: Api, auditor: Db) -> None:
    wallet = await api.wallet()
    user = (await api.get(f"wallets/{wallet}")).attributes["userId"]
    await rule(api, steps=[step(1000, 100), step(2000, 200)])
    await send(api, purchase("a", 1000, user=user))
    await send(api, purchase("b", 1000, user=user))
    await send(api, transaction("Void", "v", linkedExternalTransactionId="b"))
    assert (await balance(api, wallet))["available"] == 100
    await check_whole(auditor, api.tenant)


async def test_who_reads_from_an_old_mark_is_stopped(runtime: Runtime, api: Api) -> None:
    user = await api.user()
    import_id = UUID(await upload(api, (HEAD + "".join(f"s{n},{AT},100,{user}\n" for n in range(4))).encode()))
    async with runtime.work(api.tenant) as work:
        found = await import_store.take(work, import_id)
        assert found is not None
        found = await mark.write(work, replace(found, status="running", started_at=work.now))
    head, *chunk = [each async for each in running._records(runtime, api.tenant, found)]
    began = await running._begin(runtime, api.tenant, found, head)
    caller = await partners.caller_of(runtime.pool, began.client_id)
    assert caller is not None
    reader = Reader(runtime, api.tenant, began, caller)
    done = await carrying.carry_out(reader, began, await reader.read(chunk[:2]), Pace())
    assert (done.accepted, done.lines_done) == (2, 3)
    with pytest.raises(mark.Moved):
        await carrying.carry_out(reader, began, await reader.read(chunk), Pace())


async def test_a_byte_order_mark_is_no_part_of_the_first_line(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    line = f'{{"sourceId": "s1", "occurredAt": "{AT}", "amount": 100, "userId": "{user}"}}\n'
    found = await sent(api, runtime, ("\ufeff" + line).encode(), format="ndjson")
    assert (found["status"], found["accepted"], found["rejected"]) == ("completed", 1, 0)


async def test_a_quote_that_opens_nothing_takes_no_other_line_with_it(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    lines = "".join(f's{n},{AT},100,{user},screen of {n}"\n' for n in range(2))
    found = await sent(api, runtime, HEAD.replace("userId", "userId,channel") + lines)
    assert (found["status"], found["accepted"], found["rejected"]) == ("completed", 2, 0)
