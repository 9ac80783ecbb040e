"""Verifiers that are not ours, from npm, are shown what is really sent. Those from PyPI stand in the story."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tallystick.base import clock as instants
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of
from tests.conftest import Clock
from tests.machine import need
from tests.webhooks.at_work import at_work, settled
from tests.webhooks.cast import Heard, Receiver, enabled

STRANGERS = Path(__file__).parent / "strangers"
BOTH = {"standardwebhooks": "verified", "svix": "verified"}
Delivery = tuple[str, Mapping[str, str], str]
"""The secret that the receiver has, the headers, the body."""


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """Strangers hold the instant of an attempt against the clock of this machine."""
    clock.now = instants.utc()
    return clock


async def test_verifiers_from_npm_take_what_is_sent_and_nothing_else(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    secret = (await enabled(api, receiver)).attributes["secret"]
    await api.wallet()
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
    created, credited = receiver.heard
    body, old = credited.body.decode(), {**credited.headers, "webhook-timestamp": "1700000000"}
    said = await _say(
        _as_heard(secret, created),
        _as_heard(secret, credited),
        (secret, credited.headers, body.replace(":500", ":501", 1)),
        (secret, created.headers, body),
        (secret, old, body),
        ("whsec_" + "A" * 32, credited.headers, body),
    )
    assert said[:2] == [BOTH, BOTH]
    assert ":500" in body, "the amount is there to be changed"
    unsigned = "No matching signature found"
    assert [set(each.values()) for each in said[2:]] == [
        {unsigned},
        {unsigned},
        {"Message timestamp too old"},
        {unsigned},
    ]


async def test_while_two_secrets_overlap_verifiers_from_npm_take_either(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    made = await enabled(api, receiver, "wallet.created")
    renewed = await api.post(f"webhooks/{made.data['id']}/rotate-secret", document_of("RotateWebhookSecret"))
    former, secret = made.attributes["secret"], renewed.attributes["secret"]
    assert former != secret
    async with at_work(runtime):
        await api.wallet()
        await settled(runtime, auditor, api)
    (heard,) = receiver.heard
    assert await _say(_as_heard(former, heard), _as_heard(secret, heard)) == [BOTH, BOTH]


def test_what_is_taken_from_npm_is_locked_by_its_contents_and_names_no_host() -> None:
    text = (STRANGERS / "package-lock.json").read_text()
    packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
    assert {"node_modules/standardwebhooks", "node_modules/svix"} < set(packages)
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert "resolved" not in text
    assert "://" not in text


def _as_heard(secret: str, heard: Heard) -> Delivery:
    return secret, heard.headers, heard.body.decode()


async def _say(*deliveries: Delivery) -> Sequence[Any]:
    """What each library says of each delivery."""
    node = need("node")
    assert (STRANGERS / "node_modules").is_dir(), "they are not installed; `make test` does that"
    asking = await asyncio.create_subprocess_exec(
        node, STRANGERS / "verify.mjs", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    lines = [json.dumps({"secret": s, "headers": dict(headers), "body": body}) for s, headers, body in deliveries]
    answered, _ = await asyncio.wait_for(asking.communicate("\n".join(lines).encode()), 60)
    assert asking.returncode == 0
    return [json.loads(line) for line in answered.splitlines()]
