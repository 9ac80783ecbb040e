"""Codes that a holder shows at a till: drawn for a minute and one use, or the member code that stays."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.idempotency import Answer as Made
from tallystick.base.work import Runtime
from tallystick.customers import member_code
from tallystick.merchants import Merchant
from tallystick.wallets import symbols, till_api, till_codes
from tallystick.wallets.till_api import DrawTillCode
from tallystick.wallets.till_codes import LIVE_MAX, TillCodeTried
from tests.api import Answer, Api, document_of
from tests.api import luna as another_merchant
from tests.conftest import Clock
from tests.customers.cast import Partner, attributes, codes
from tests.rewards.cast import OTHER_PHONE, another_client, configure, feed, header, refused
from tests.wallets.qr_reading import matrix_of_qr, modules_of_bars, read_code_128, read_qr

MINUTE = timedelta(seconds=60)


async def draw(api: Api, wallet_id: str, key: str | None = None) -> Answer:
    return await api.post(f"wallets/{wallet_id}/till-codes", headers={} if key is None else {"Idempotency-Key": key})


async def drawn(api: Api, wallet_id: str) -> str:
    answer = await draw(api, wallet_id)
    assert answer.status == 201, answer.text
    return str(answer.attributes["code"])


async def find(runtime: Runtime, api: Api, *codes: str, merchant_id: UUID | None = None) -> dict[str, UUID]:
    """What a till finds, and leaves unused."""
    place = merchant_id or api.merchant_id
    assert place is not None
    async with runtime.reading(api.tenant) as work:
        return await till_codes.find(work, [TillCodeTried(place, code) for code in codes], use=False)


async def pay(runtime: Runtime, api: Api, code: str) -> UUID | None:
    """What a till does that accepts a payment: the wallet, or None where it finds none."""
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        found = await till_codes.find(work, [TillCodeTried(api.merchant_id, code)], use=True)
        if code in found:
            await till_codes.use(work, [code])
    return found.get(code)


async def test_a_fresh_code_lives_a_minute_and_is_told_with_its_pictures(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    answer = await draw(api, wallet_id)
    assert (answer.status, answer.data["type"]) == (201, "TillCode")
    shown = answer.attributes
    assert till_codes.well_formed(shown["code"])
    assert shown["expiresAt"] == "2026-03-02T09:01:00.000Z"
    assert read_code_128(modules_of_bars(shown["barcode"])) == shown["code"]
    assert read_qr(matrix_of_qr(shown["qr"])) == shown["code"]
    assert await find(runtime, api, shown["code"]) == {shown["code"]: UUID(wallet_id)}


async def test_a_code_is_good_until_its_minute_is_over(runtime: Runtime, api: Api, clock: Clock) -> None:
    wallet_id = await api.wallet()
    code = await drawn(api, wallet_id)
    clock.move(MINUTE - timedelta(milliseconds=1))
    assert code in await find(runtime, api, code)
    clock.move(timedelta(milliseconds=1))
    assert await find(runtime, api, code) == {}
    assert await pay(runtime, api, code) is None


async def test_a_code_is_used_once(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    code = await drawn(api, wallet_id)
    assert await pay(runtime, api, code) == UUID(wallet_id)
    assert await pay(runtime, api, code) is None
    assert await find(runtime, api, code) == {}


async def test_of_tills_that_use_a_code_at_once_one_wins(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    for _ in range(3):
        code = await drawn(api, wallet_id)
        outcomes = await asyncio.gather(*(pay(runtime, api, code) for _ in range(6)))
        assert sorted(map(str, outcomes)) == sorted([wallet_id, *["None"] * 5])


async def test_a_refused_payment_leaves_its_code_unused(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    code = await drawn(api, wallet_id)
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        assert code in await till_codes.find(work, [TillCodeTried(api.merchant_id, code)], use=True)
    assert await pay(runtime, api, code) == UUID(wallet_id)


async def test_using_what_was_used_undoes_the_work(runtime: Runtime, api: Api) -> None:
    code = await drawn(api, await api.wallet())
    with pytest.raises(AssertionError, match="used once"):
        async with runtime.work(api.tenant) as work:
            await till_codes.use(work, [code, code])
    assert code in await find(runtime, api, code)


async def test_earlier_codes_stay_good_and_there_are_never_many(runtime: Runtime, api: Api, clock: Clock) -> None:
    wallet_id = await api.wallet()
    made = []
    for _ in range(LIVE_MAX):
        made.append(await drawn(api, wallet_id))
        clock.move(timedelta(seconds=1))
    assert set(await find(runtime, api, *made)) == set(made)
    answer = await draw(api, wallet_id)
    refused(answer, 429, "RateLimited")
    assert header(answer, "retry-after") == str(60 - LIVE_MAX)
    assert await pay(runtime, api, made[2]) is not None
    assert (await draw(api, wallet_id)).status == 201
    refused(await draw(api, wallet_id), 429, "RateLimited")
    clock.move(timedelta(seconds=60 - LIVE_MAX))
    assert (await draw(api, wallet_id)).status == 201


async def test_many_who_draw_at_once_get_no_more_than_that(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    outcomes = await asyncio.gather(
        *(harbour.do(till_api.draw, DrawTillCode(harbour.asked(), wallet_id)) for _ in range(12))
    )
    assert codes([outcome for (outcome,) in outcomes]) == {"RateLimited"}
    made = {attributes(outcome.body)["code"] for (outcome,) in outcomes if isinstance(outcome, Made)}
    assert len(made) == LIVE_MAX


async def test_codes_that_expired_are_forgotten_when_the_next_is_drawn(api: Api, auditor: Db, clock: Clock) -> None:
    first, second = await api.wallet(), await api.wallet(OTHER_PHONE)
    for wallet_id in (first, first, second):
        await drawn(api, wallet_id)
    clock.move(MINUTE)
    await drawn(api, second)
    kept = await auditor.value("select count(*) from till_codes where tenant_id = $1", api.tenant.id)
    assert kept == 1


async def test_a_code_stands_nowhere_in_the_clear(api: Api, auditor: Db) -> None:
    code = await drawn(api, await api.wallet())
    rows = await auditor.rows("select t::text from till_codes t where t.tenant_id = $1", api.tenant.id)
    logged = await auditor.rows("select l::text from request_log l where l.tenant_id = $1", api.tenant.id)
    assert rows and logged
    stored = "".join(row[0] for row in (*rows, *logged)) + str(await feed(api))
    assert code not in stored
    assert code.encode().hex() not in stored


async def test_a_key_gives_the_same_code_again_and_without_one_each_is_fresh(api: Api) -> None:
    wallet_id = await api.wallet()
    first, again, other = await draw(api, wallet_id, "k"), await draw(api, wallet_id, "k"), await draw(api, wallet_id)
    assert (again.status, again.text) == (201, first.text)
    assert header(again, "idempotent-replayed") == "true"
    assert other.attributes["code"] != first.attributes["code"]
    elsewhere = await api.wallet(OTHER_PHONE)
    refused(await draw(api, elsewhere, "k"), 409, "IdempotencyConflict")


async def test_a_wallet_that_cannot_be_spent_from_has_no_codes(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    await api.issue()
    for verb, status in (("suspend", 409), ("resume", 201), ("close", 201)):
        await api.post(f"wallets/{wallet_id}/{verb}")
        assert (await draw(api, wallet_id)).status == status, verb
    refused(await draw(api, await api.wallet(OTHER_PHONE, verified=False)), 409, "InvalidState")


async def test_only_the_partner_that_made_a_wallet_draws_codes_for_it(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    refused(await draw(api, str(ids.new())), 404, "NotFound")
    elsewhere = await another_client(runtime, api, merchant_ids=(ids.new(),))
    refused(await draw(elsewhere, wallet_id), 404, "NotFound")
    reader = await another_client(runtime, api, scopes=frozenset({"wallets:read"}))
    refused(await draw(reader, wallet_id), 403, "InsufficientScope")


async def test_a_code_is_good_at_its_own_merchant_only(runtime: Runtime, api: Api) -> None:
    code = await drawn(api, await api.wallet())
    other = await another_merchant(runtime, api.tenant)
    assert await find(runtime, api, code, merchant_id=other.id) == {}
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        tried = [TillCodeTried(place, code) for place in (api.merchant_id, other.id)]
        assert await till_codes.find(work, tried, use=True) == {}


async def test_a_code_is_read_as_people_write_it(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    code = await drawn(api, wallet_id)
    spaced = f" {code[:6]} {code[6:12]}-{code[12:]} "
    assert await find(runtime, api, spaced, code) == {spaced: UUID(wallet_id), code: UUID(wallet_id)}
    for wrong in ("", "7" * 18, code[:-1], code + "0", code[::-1], "\u0667" + code[1:], "x" * 1000):
        assert await find(runtime, api, wrong) == {}


async def member_code_of(api: Api, wallet_id: str) -> str:
    user_id = (await api.get(f"wallets/{wallet_id}")).attributes["userId"]
    return str((await api.get(f"users/{user_id}")).attributes["memberCode"])


async def test_the_member_code_pays_where_the_merchant_says_so(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    code = await member_code_of(api, wallet_id)
    assert await find(runtime, api, code) == {}
    await configure(runtime, api, member_code_pays=True)
    assert await find(runtime, api, code, code.lower()) == dict.fromkeys((code, code.lower()), UUID(wallet_id))
    assert await pay(runtime, api, code) == UUID(wallet_id)
    assert await pay(runtime, api, code) == UUID(wallet_id)
    other = await another_merchant(runtime, api.tenant)
    assert await find(runtime, api, code, merchant_id=other.id) == {}
    assert await find(runtime, api, member_code.new()) == {}


async def test_codes_follow_whom_they_were_merged_into(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, member_code_pays=True)
    wallet_id, into = await api.wallet(), await api.wallet(OTHER_PHONE)
    code, member = await drawn(api, wallet_id), await member_code_of(api, wallet_id)
    users = [(await api.get(f"wallets/{each}")).attributes["userId"] for each in (wallet_id, into)]
    merged = await api.post(f"users/{users[0]}/merge", document_of("MergeUser", intoUserId=users[1]))
    assert merged.status == 200, merged.text
    assert await find(runtime, api, code, member) == {code: UUID(into), member: UUID(into)}
    refused(await draw(api, wallet_id), 409, "InvalidState")


async def test_a_user_is_found_by_member_code(api: Api) -> None:
    first = await api.user(externalId="one")
    await api.user(externalId="two")
    code = (await api.get(f"users/{first}")).attributes["memberCode"]

    async def found(query: str) -> list[Any]:
        answer = await api.get(f"users?{query}")
        assert answer.status == 200, answer.text
        return [one["id"] for one in answer.data]

    assert await found(f"filter[memberCode]={code}") == [first]
    assert await found(f"filter[memberCode]={code.lower()}&filter[externalId]=one") == [first]
    assert await found(f"filter[memberCode]={code}&filter[phoneNumber]=%2B12025550143") == [first]
    assert await found(f"filter[memberCode]={code}&filter[externalId]=two") == []
    assert await found(f"filter[memberCode]={code}&filter[phoneNumber]=%2B12025550199") == []
    assert await found(f"filter[memberCode]={code}&page[offset]=1") == []
    assert await found("filter[memberCode]=0") == []


@given(st.integers(0, 10**16 - 1))
def test_a_code_and_its_pictures_say_the_same(number: int) -> None:
    digits = f"7{number:016}"
    code = digits + till_codes._check(digits)
    assert till_codes.well_formed(code)
    assert not member_code.well_formed(code)
    assert read_code_128(modules_of_bars(symbols.barcode(code))) == code
    assert read_qr(matrix_of_qr(symbols.qr(code))) == code


@given(st.integers(0, 17), st.integers(1, 9))
def test_a_single_wrong_digit_is_found(place: int, by: int) -> None:
    code = till_codes.new()
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assert not till_codes.well_formed(wrong)


def test_codes_are_drawn_from_many() -> None:
    drawn_codes = {till_codes.new() for _ in range(2000)}
    assert len(drawn_codes) == 2000
    assert all(re.fullmatch(r"7[0-9]{17}", code) for code in drawn_codes)
