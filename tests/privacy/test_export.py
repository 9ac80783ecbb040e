"""A person asks for everything that is kept about them."""

import json
from collections import Counter

import pytest

from tallystick.activity import exporting as activity_exporting
from tallystick.base.work import Runtime
from tallystick.privacy import exporting
from tests.api import Api, document_of
from tests.privacy.test_erase import bought, erase, mira, open_wallet


async def test_an_export_holds_everything_that_is_kept(api: Api) -> None:
    user_id = await mira(api)
    await open_wallet(api, user_id)
    await api.issue(amount=700, message="thank you")
    await bought(api, "t-1", customerId="crm-of-mira")
    await api.patch(f"users/{user_id}/sharing", document_of("UserSharing", permissions=["transactions"]))
    answer = await api.post(f"users/{user_id}/export")
    assert answer.status == 200, answer.text
    told = answer.attributes
    assert (told["firstName"], told["externalId"], told["truncated"]) == ("Mira", "crm-of-mira", [])
    included = {each["type"]: each["attributes"] for each in answer.body["included"]}
    assert Counter(each["type"] for each in answer.body["included"]) == {
        "Wallet": 1, "WalletTransaction": 1, "Reward": 1, "ExternalTransaction": 1, "UserSharing": 1,
    }  # fmt: skip
    assert included["Reward"]["message"] == "thank you"
    assert included["ExternalTransaction"]["payload"] == {"note": "told-in-confidence"}
    assert [each["kind"] for each in included["UserSharing"]["permissions"]] == ["transactions"]
    assert sum(told["counts"].values()) == len(answer.body["included"])


async def test_an_export_holds_nothing_of_whoever_has_the_same_phone(api: Api) -> None:
    user_id, other = await mira(api), await api.user(firstName="Noor")
    wallet_id = await open_wallet(api, other)
    await api.issue(amount=700)
    told = await api.post(f"users/{user_id}/export")
    assert wallet_id not in told.text
    assert told.body["included"][0]["type"] == "UserSharing"
    assert len(told.body["included"]) == 1


async def test_a_long_history_is_cut_and_says_so(api: Api, monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> None:
    user_id = await mira(api)
    for number in range(3):
        await bought(api, f"t-{number}", customerId="crm-of-mira")
    monkeypatch.setattr(exporting, "MOST", 2)
    told = await api.post(f"users/{user_id}/export")
    assert (told.attributes["counts"]["Activity"], told.attributes["truncated"]) == (2, ["Activity"])
    kept = [each for each in told.body["included"] if each["type"] == "ExternalTransaction"]
    assert [each["attributes"]["source"]["id"] for each in kept] == ["t-2", "t-1"]


async def test_long_documents_are_left_out_behind_some_megabytes_and_that_is_said(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = await mira(api)
    for number in range(3):
        await bought(api, f"t-{number}", customerId="crm-of-mira")
    one = len(await _activities(api, user_id)) // 3
    monkeypatch.setattr(activity_exporting, "BYTES_MAX", one * 2 + 20)
    monkeypatch.setattr(activity_exporting, "AT_ONCE", 1)
    told = await api.post(f"users/{user_id}/export")
    assert (told.attributes["counts"]["Activity"], told.attributes["truncated"]) == (2, ["Activity"])


async def _activities(api: Api, user_id: str) -> str:
    told = await api.post(f"users/{user_id}/export")
    return "".join(
        json.dumps(each, separators=(",", ":")) for each in told.body["included"] if "source" in each["attributes"]
    )


async def test_of_whoever_was_erased_there_is_nothing_to_hand_out(api: Api) -> None:
    user_id = await mira(api)
    await erase(api, user_id)
    refused = await api.post(f"users/{user_id}/export")
    assert (refused.status, refused.codes) == (409, ["InvalidState"])
