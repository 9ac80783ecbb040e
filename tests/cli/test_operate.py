"""What an operator does in a shell, beside a running house and without one."""

import asyncio
import json

import asyncpg
import pytest

from tallystick.base import ids, postgres
from tests.cli.conftest import Demo
from tests.cli.running import Client, tallystick, told

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"


def test_a_house_without_a_demo_is_made_ready_for_a_partner_by_commands(demo: Demo) -> None:
    at = ("--data", demo.up.place)
    programme = told("programmes", "add", "Southwind", *at)["id"]
    partner = told("partners", "add", "Quayside Support", *at)["id"]
    within = ("--programme", programme)
    place = ("--currency", "EUR", "--country", "DE", "--time-zone", "Europe/Berlin")
    merchant = told("merchants", "add", "Café [Luna]", *within, *place, "--funding", "prefunded", *at)
    refused = tallystick("credentials", "add", "till", "--partner", partner, *within, *at)
    assert refused.exit_code == 1
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
        (("credentials", "revoke", NOBODY), "No credential has this id."),
        (("agreements", "add", "--partner", NOBODY, "--programme", NOBODY), "There is no such"),
        (("merchants", "list", "--programme", NOBODY), "There is no such programme."),
    ],
)
def test_a_wrong_id_is_answered_by_a_sentence(demo: Demo, words: tuple[str, ...], sentence: str) -> None:
    done = tallystick(*words, "--data", demo.up.place)
    assert done.exit_code == 1
    assert sentence in done.stderr


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
    assert off.exit_code == as_json.exit_code == 1
    assert "faults" in off.stdout.splitlines()[-1]
    faults = json.loads(as_json.stdout)["faults"]
    assert faults and all(fault["invariant"] and fault["detail"] for fault in faults)
    assert told("verify", *at)["ok"] is True


async def _owe(demo: Demo, amount: int) -> None:
    """Change a balance behind the books' back, as only the owner of the database can."""
    connection = await asyncpg.connect(postgres.address(demo.up.place / "postgres"))
    await connection.execute(
        "update accounts set balance = balance + $1 where (tenant_id, id) = "
        "(select tenant_id, id from accounts where balance > 10 and parent_id is not null order by id limit 1)",
        amount,
    )
    await connection.close()
