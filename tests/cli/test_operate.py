"""What an operator does in a shell, beside a running house and without one."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from tallystick.base import ids, postgres
from tests.cli.conftest import Begin, Demo
from tests.cli.running import Client, ask, tallystick, told

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"


def test_a_house_without_a_demo_is_made_ready_for_a_partner_by_commands(demo: Demo) -> None:
    at = ("--data", demo.up.place)
    programme = told("programmes", "add", "Southwind", *at)["id"]
    partner = told("partners", "add", "Quayside Support", *at)["id"]
    within = ("--programme", programme)
    place = ("--currency", "EUR", "--country", "DE", "--time-zone", "Europe/Berlin")
    merchant = told("merchants", "add", "Café [Luna]", *within, *place, "--funding", "prefunded", *at)
    refused = tallystick("credentials", "add", "till", "--partner", partner, *within, *at)
    assert refused.returncode == 1
    assert "has no agreement with this programme. Make one with `tallystick agreements add`." in refused.stderr
    told("agreements", "add", "--partner", partner, *within, *at)
    secret = told("credentials", "add", "till", "--partner", partner, *within, "--merchant", merchant["id"], *at)

    client = Client(demo.up.base_url, secret["clientId"], secret["clientSecret"])
    assert client.issue("030 901820", "r-1").body["errors"][0]["code"] == "InsufficientFunding"
    paid = told("merchants", "top-up", merchant["id"], "--amount", "700", "--reference", "bank-1", *within, *at)
    assert paid["amount"] == 700
    given = client.issue("030 901820", "r-1")
    assert given.status == 200
    assert given.body["data"]["attributes"]["status"] == "Created"
    assert told("merchants", "funding", merchant["id"], *within, *at)["available"] == 200

    listed = told("merchants", "list", *within, *at)
    assert [each["name"] for each in listed] == ["Café [Luna]"]
    shown = tallystick("merchants", "list", *within, *at).stdout
    assert len(shown.splitlines()) == 2
    assert f"{merchant['id']}  Café [Luna]" in shown

    told("credentials", "revoke", secret["clientId"], *at)
    assert [c["status"] for c in told("credentials", "list", *at) if c["clientId"] == secret["clientId"]] == ["revoked"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("credentials", "revoke", "nonsense"), "nonsense is not an id; ids look like"),
        (("credentials", "revoke", NOBODY), "no such"),
        (("agreements", "add", "--partner", NOBODY, "--programme", NOBODY), "no such"),
        (("merchants", "list", "--programme", NOBODY), "There is no such programme."),
    ],
)
def test_a_wrong_id_is_answered_by_a_sentence(demo: Demo, words: tuple[str, ...], sentence: str) -> None:
    done = tallystick(*words, "--data", demo.up.place)
    assert done.returncode == 1
    assert sentence.lower() in done.stderr.lower()


def test_the_proof_runs_beside_a_running_house_and_tells_what_is_off(demo: Demo) -> None:
    at = ("--data", demo.up.place)
    demo.sandbox.issue(demo.credentials["sandbox"]["activeWalletPhone"], f"proof-{ids.new()}")
    whole = told("verify", *at)
    assert whole["ok"] is True
    assert whole["journals"] > 0
    assert whole["faults"] == []

    asyncio.run(_owe(demo, 1))
    try:
        off = tallystick("verify", *at)
        as_json = tallystick("verify", "--json", *at)
    finally:
        asyncio.run(_owe(demo, -1))
    assert off.returncode == as_json.returncode == 1
    assert "faults" in off.stdout.splitlines()[-1]
    faults = json.loads(as_json.stdout)["faults"]
    assert faults and all(fault["invariant"] and fault["detail"] for fault in faults)
    assert told("verify", *at)["ok"] is True


def test_keys_are_rotated_and_what_was_sealed_before_is_still_read(begin: Begin, place: Path) -> None:
    up = begin(place, "up", "--demo", "--data", str(place), "--port", "0").serving()
    sandbox = json.loads((place / "demo-credentials.json").read_text())["sandbox"]
    client = Client(up.base_url, sandbox["clientId"], sandbox["clientSecret"])
    given = client.issue(sandbox["unknownPhone"], "before")
    assert up.end() == 0
    assert told("verify", "--data", place)["ok"] is True  # without a house that runs, too
    assert told("keys", "rotate", place / "master.key")["version"] == 2

    up = begin(place, "up", "--data", str(place), "--port", "0").serving()
    client = Client(up.base_url, sandbox["clientId"], sandbox["clientSecret"])
    again = client.issue(sandbox["unknownPhone"], "before")
    assert (again.status, again.body) == (200, given.body)
    assert client.issue(sandbox["unknownPhone"], "after").body["errors"][0]["code"] == "PreIssuedConflict"
    found = client.get(f"rewards?filter[phoneNumber]=%2B{sandbox['unknownPhone'][1:]}").body
    assert [reward["id"] for reward in found["data"]] == [given.body["data"]["id"]]
    assert client.issue(sandbox["activeWalletPhone"], "under the new key").status == 200
    assert ask(f"{up.base_url}/readyz").status == 200
    assert up.end() == 0


async def _owe(demo: Demo, amount: int) -> None:
    """Change a balance behind the books' back, as only the owner of the database can."""
    connection = await asyncpg.connect(postgres.address(demo.up.place / "postgres"))
    await connection.execute(
        "update accounts set balance = balance + $1 where (tenant_id, id) = "
        "(select tenant_id, id from accounts where balance > 10 and parent_id is not null order by id limit 1)",
        amount,
    )
    await connection.close()
