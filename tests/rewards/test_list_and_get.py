"""Finding rewards again: by phone, newest first, and one by its id."""

from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, join, luna
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE, another_client, cancel, configure, listed, refused, update


async def several(api: Api, clock: Clock) -> list[str]:
    """A cancelled, a claimed and an updated waiting reward of a phone, then a credited one; oldest first."""
    made = []
    for turn in range(3):
        made.append((await api.issue(amount=100 + turn)).data["id"])
        clock.move(timedelta(seconds=1))
        if turn == 0:
            await cancel(api, made[0])
        if turn == 1:
            wallet_id = await api.wallet()
            await api.post(f"wallets/{wallet_id}/close")
            assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
            await api.post(f"rewards/{made[1]}/reverse")  # the wallet is empty now, and closed
    return made


async def test_both_kinds_are_listed_newest_first_with_how_many_there_are(api: Api, clock: Clock) -> None:
    made = await several(api, clock)
    await api.wallet()  # claims the third
    clock.move(timedelta(seconds=1))
    made.append((await api.issue()).data["id"])
    await api.issue(OTHER_PHONE)
    answer = await listed(api)
    assert [each["id"] for each in answer.data] == made[::-1]
    statuses = [(each["attributes"]["kind"], each["attributes"]["status"]) for each in answer.data]
    assert statuses == [
        ("immediate", "Credited"),
        ("preIssued", "Claimed"),
        ("preIssued", "Claimed"),
        ("preIssued", "Cancelled"),
    ]
    assert answer.body["meta"] == {"total": 4, "limit": 10, "offset": 0}


async def test_a_status_speaks_of_rewards_that_waited(api: Api, clock: Clock) -> None:
    cancelled, claimed, waiting = await several(api, clock)
    found = {
        status: [each["id"] for each in (await listed(api, status=status)).data]
        for status in ("Created", "Claimed", "Cancelled", "Expired", "Credited")
    }
    assert found == {
        "Created": [waiting],
        "Claimed": [claimed],
        "Cancelled": [cancelled],
        "Expired": [],
        "Credited": [],
    }


async def test_credited_rewards_are_in_no_list_by_status(api: Api) -> None:
    await api.wallet()
    await api.issue()
    assert (await listed(api, status="Credited")).body["meta"]["total"] == 0
    assert (await listed(api)).body["meta"]["total"] == 1


async def test_a_list_filters_by_the_status_that_holds_now(api: Api, clock: Clock) -> None:
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(days=90) - timedelta(milliseconds=1))
    assert [each["id"] for each in (await listed(api, status="Created")).data] == [reward_id]
    clock.move(timedelta(milliseconds=1))
    assert (await listed(api, status="Created")).data == []
    (expired,) = (await listed(api, status="Expired")).data
    flags = [expired["attributes"][name] for name in ("status", "canUpdate", "canCancel")]
    assert (expired["id"], flags) == (reward_id, ["Expired", False, False])


async def test_pages_follow_each_other_without_gap_or_overlap(api: Api, clock: Clock, runtime: Runtime) -> None:
    await configure(runtime, api, stacking=True)
    made = []
    for _ in range(7):
        made.append((await api.issue()).data["id"])
        clock.move(timedelta(milliseconds=1))
    found, answer = [], await listed(api, limit=3)
    while True:
        found += [each["id"] for each in answer.data]
        assert answer.body["meta"]["total"] == 7
        following = answer.body["links"]["next"]
        if following is None:
            break
        answer = await api.get(following)
    assert found == made[::-1]
    assert (await listed(api, offset=7)).data == []
    assert (await listed(api, limit=1000)).body["meta"]["limit"] == 50


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("", "filter[phoneNumber]"),
        ("filter[phoneNumber]=", "filter[phoneNumber]"),
        ("filter[phoneNumber]=banana", "filter[phoneNumber]"),
        ("filter[phoneNumber]=%2B1", "filter[phoneNumber]"),
        ("filter[phoneNumber]=%00", "filter[phoneNumber]"),
        ("filter[phoneNumber]=%2B12025550143&filter[status]=created", "filter[status]"),
        ("filter[phoneNumber]=%2B12025550143&filter[status]=", "filter[status]"),
        ("filter[phoneNumber]=%2B12025550143&page[limit]=0", "page[limit]"),
        ("filter[phoneNumber]=%2B12025550143&page[limit]=ten", "page[limit]"),
        ("filter[phoneNumber]=%2B12025550143&page[offset]=-1", "page[offset]"),
        ("filter[phoneNumber]=%2B12025550143&page[offset]=99999999999999999999", "page[offset]"),
        ("filter[phoneNumber]=%2B12025550143&filter[amount]=500", "filter[amount]"),
        ("filter[phoneNumber]=%2B12025550143&filter[phoneNumber]=%2B12025550143", "filter[phoneNumber]"),
    ],
)
async def test_a_wrong_query_is_told_at_its_parameter(api: Api, query: str, place: str) -> None:
    refused(await api.get(f"rewards?{query}"), 400, "InvalidRequest", place)


@pytest.mark.parametrize(
    "written", ["%2B12025550143", "%2B1%20(202)%20555-0143", "202-555-0143", "(202)+555-0143", "1%202025550143"]
)
async def test_the_phone_of_a_list_may_be_written_as_it_is_dialled_there(api: Api, written: str) -> None:
    await api.issue()
    assert (await api.get(f"rewards?filter[phoneNumber]={written}")).body["meta"]["total"] == 1
    encoded = f"rewards?filter%5BphoneNumber%5D={written}"
    assert (await api.get(encoded)).body["meta"]["total"] == 1


async def test_every_fault_of_a_query_is_told_at_once(api: Api) -> None:
    answer = await api.get("rewards?filter[status]=x&page[limit]=0")
    assert set(answer.pointers) == {"filter[phoneNumber]", "filter[status]", "page[limit]"}


async def test_nobody_has_rewards_before_any_were_given(api: Api) -> None:
    answer = await listed(api)
    assert (answer.status, answer.data, answer.body["meta"]["total"]) == (200, [], 0)


async def test_one_reward_is_found_by_its_id(api: Api) -> None:
    issued = await api.issue(message="hello")
    found = await api.get(f"rewards/{issued.data['id']}")
    assert (found.status, found.data) == (200, issued.data)
    assert (await api.get(f"rewards/{issued.data['id'].upper()}")).data == issued.data
    assert (await api.get(f"rewards/{issued.data['id']}/")).data == issued.data


@pytest.mark.parametrize("reward_id", ["0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10", "7", "null", "%F0%9F%8E%81", "a" * 500])
async def test_an_unknown_id_answers_null(api: Api, reward_id: str) -> None:
    answer = await api.get(f"rewards/{reward_id}")
    assert (answer.status, answer.text) == (200, '{"data":null}')


async def test_a_partner_sees_its_own_and_the_programmes_only_by_agreement(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    reward_id = (await api.issue(message="hello")).data["id"]
    stranger = await join(runtime, session, base_url, tenant=api.tenant)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    foreigner = await join(runtime, session, base_url)
    for other in (stranger, foreigner):
        assert (await other.get(f"rewards/{reward_id}")).text == '{"data":null}'
        assert (await listed(other)).body["meta"]["total"] == 0
        refused(await update(other, reward_id, amount=1), 404, "NotFound")
        refused(await cancel(other, reward_id), 404, "NotFound")
        refused(await other.post(f"rewards/{reward_id}/reverse"), 404, "NotFound")
    assert (await overseer.get(f"rewards/{reward_id}")).data["id"] == reward_id
    assert (await listed(overseer)).body["meta"]["total"] == 1


async def test_who_only_looks_on_is_told_that_it_can_change_nothing(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    reward_id = (await api.issue()).data["id"]
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    for shown in ((await overseer.get(f"rewards/{reward_id}")).data, (await listed(overseer)).data[0]):
        assert (shown["attributes"]["canUpdate"], shown["attributes"]["canCancel"]) == (False, False)
    refused(await update(overseer, reward_id, amount=1), 404, "NotFound")
    refused(await cancel(overseer, reward_id), 404, "NotFound")
    assert (await cancel(api, reward_id)).status == 204


async def test_a_client_for_one_merchant_sees_that_ones_only(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    limited = replace(await another_client(runtime, api, (lagoon.id,)), merchant_id=lagoon.id)
    elsewhere = (await api.issue(merchantId=str(api.merchant_id))).data["id"]
    here = (await api.issue(merchantId=str(lagoon.id))).data["id"]
    assert (await limited.get(f"rewards/{elsewhere}")).data is None
    assert [each["id"] for each in (await listed(limited)).data] == [here]
    refused(await cancel(limited, elsewhere), 404, "NotFound")
    assert (await listed(api, world.MIRA_PHONE)).body["meta"]["total"] == 2


async def test_reading_needs_its_scope(api: Api, runtime: Runtime) -> None:
    writer = await another_client(runtime, api, scopes=frozenset({"rewards:write"}))
    refused(await listed(writer), 403, "InsufficientScope")
    refused(await writer.get("rewards/7"), 403, "InsufficientScope")
