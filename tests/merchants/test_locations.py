"""Places of merchants: named once, found by what partners call them, changed, and told of."""

from typing import Any

import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.rewards.cast import another_client, feed


async def place(api: Api, **attributes: Any) -> Any:
    answer = await api.post("locations", document_of("Location", **({"name": "Airport"} | attributes)))
    assert answer.status == 201, answer.text
    return answer.data


async def test_a_place_has_the_merchants_time_zone_unless_told(api: Api) -> None:
    assert (await place(api))["attributes"]["timeZone"] == "America/New_York"
    assert (await place(api, timeZone="Asia/Tokyo"))["attributes"]["timeZone"] == "Asia/Tokyo"


async def test_a_place_is_found_by_its_id_its_external_id_and_its_groups(api: Api) -> None:
    made = await place(api, externalId="store-12", groups=["airport", "franchise", "airport"])
    assert made["attributes"]["groups"] == ["airport", "franchise"]
    assert (await api.get(f"locations/{made['id']}")).data == made
    for wanted in ("filter[externalId]=store-12", "filter[group]=franchise", f"filter[merchantId]={api.merchant_id}"):
        assert [each["id"] for each in (await api.get(f"locations?{wanted}")).data] == [made["id"]]
    assert (await api.get("locations?filter[group]=city")).data == []


async def test_an_external_id_is_one_places_of_the_merchant(api: Api) -> None:
    one, _ = await place(api, externalId="a"), await place(api, externalId="b")
    again = await api.post("locations", document_of("Location", name="Twin", externalId="a"))
    assert (again.status, again.codes, again.pointers) == (
        409,
        ["LocationExternalIdTaken"],
        ["/data/attributes/externalId"],
    )
    moved = await api.patch(f"locations/{one['id']}", document_of("Location", externalId="b"))
    assert (moved.status, moved.codes) == (409, ["LocationExternalIdTaken"])
    kept = await api.patch(f"locations/{one['id']}", document_of("Location", externalId="a", name="Pier"))
    assert (kept.status, kept.attributes["name"]) == (200, "Pier")


async def test_a_change_is_told_and_counted_from_the_beginning(api: Api) -> None:
    made = await place(api)
    changed = await api.patch(f"locations/{made['id']}", document_of("Location", groups=["city"], status="closed"))
    assert (changed.attributes["groups"], changed.attributes["status"]) == (["city"], "closed")
    told = [each for each in await feed(api) if each["topic"] == "location.synced"]
    assert [each["sequence"] for each in told] == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "place_of_it"),
    [
        ({"timeZone": "Mars/Olympus"}, "/data/attributes/timeZone"),
        ({"name": ""}, "/data/attributes/name"),
        ({"groups": ["x" * 101]}, "/data/attributes/groups/0"),
        ({"merchantId": str(ids.new())}, "/data/attributes/merchantId"),
        ({"merchantId": "luna"}, "/data/attributes/merchantId"),
    ],
)
async def test_what_is_wrong_with_a_place_is_pointed_at(api: Api, wrong: dict[str, Any], place_of_it: str) -> None:
    answer = await api.post("locations", document_of("Location", **({"name": "Airport"} | wrong)))
    assert (answer.status, answer.pointers) == (400, [place_of_it])


async def test_one_key_makes_one_place(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await api.post("locations", document_of("Location", name="Airport"), headers=headers)
    again = await api.post("locations", document_of("Location", name="Airport"), headers=headers)
    assert (again.status, again.data, again.headers["Idempotent-Replayed"]) == (201, first.data, "true")
    other = await api.post("locations", document_of("Location", name="Pier"), headers=headers)
    assert other.codes == ["IdempotencyConflict"]


async def test_a_place_of_another_merchant_or_programme_is_not_there(api: Api, runtime: Runtime) -> None:
    made = await place(api)
    elsewhere = await join(runtime, api.session, api.base_url)
    kept_out = await another_client(runtime, api, (ids.new(),))
    for other in (elsewhere, kept_out):
        assert (await other.get(f"locations/{made['id']}")).status == 404
        assert (await other.patch(f"locations/{made['id']}", document_of("Location", name="Mine"))).status == 404
        assert (await other.get("locations")).data == []
    assert (await api.get("locations/nowhere")).status == 404


async def test_what_takes_activity_is_a_setting_of_the_merchant(api: Api) -> None:
    path = f"merchants/{api.merchant_id}/configuration"
    before = (await api.get(path)).attributes
    assert (before["activityAttribution"], before["activityUnknownDays"], before["returnCountSignal"]) == (
        "immediate",
        30,
        None,
    )
    sent = {
        "activityAttribution": "reconciled",
        "activityReleaseDays": 14,
        "returnCountSignal": 3,
        "returnWindowDays": 60,
    }
    answer = await api.patch(path, document_of("MerchantConfiguration", **sent))
    assert answer.status == 200, answer.text
    assert {name: answer.attributes[name] for name in sent} == sent
    wrong = await api.patch(path, document_of("MerchantConfiguration", activityUnknownDays=366))
    assert (wrong.status, wrong.pointers) == (400, ["/data/attributes/activityUnknownDays"])
