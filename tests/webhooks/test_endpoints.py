"""Endpoints over HTTP: made, proved, changed, rotated, switched off and deleted."""

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.webhooks.at_work import until
from tests.webhooks.cast import Heard, Receiver, enabled, make, says

PUBLIC = "https://partner.example/hooks"


def signed_by(heard: Heard, secret: str) -> bool:
    """Whether one of the `v1` signatures is of this secret, worked out as the standard says."""
    content = f"{heard.headers['webhook-id']}.{heard.headers['webhook-timestamp']}.".encode() + heard.body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}" in heard.headers["webhook-signature"].split(" ")


def verified_by(heard: Heard, public_key: str) -> bool:
    """Whether one of the `v1a` signatures is of this key."""
    content = f"{heard.headers['webhook-id']}.{heard.headers['webhook-timestamp']}.".encode() + heard.body
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    for each in heard.headers["webhook-signature"].split(" "):
        version, _, written = each.partition(",")
        if version == "v1a":
            try:
                key.verify(base64.b64decode(written), content)
            except Exception:  # noqa: BLE001 - another key's signature
                continue
            return True
    return False


async def test_an_endpoint_is_pending_until_it_answered_a_signed_ping(api: Api, receiver: Receiver) -> None:
    made = await make(api, receiver.url, "reward.credited", "reward.expired", description="Support")
    assert made.status == 201 and made.headers["Location"].endswith(made.data["id"])
    shown = made.attributes
    assert (shown["status"], shown["topics"]) == ("pending", ["reward.credited", "reward.expired"])
    pinged = await api.post(f"webhooks/{made.data['id']}/ping")
    assert (pinged.status, pinged.attributes["statusCode"], pinged.attributes["fault"]) == (200, 200, None)
    (heard,) = receiver.heard
    assert signed_by(heard, shown["secret"]) and verified_by(heard, shown["secrets"][0]["publicKey"])
    assert heard.told["type"] == "webhook.ping" and heard.told["id"] == heard.headers["webhook-id"]
    assert heard.told["data"]["id"] == made.data["id"] and "secret" not in heard.told["data"]["attributes"]
    assert (await api.get(f"webhooks/{made.data['id']}")).attributes["status"] == "enabled"


async def test_a_ping_that_is_not_answered_well_enables_nothing(api: Api, receiver: Receiver) -> None:
    receiver.answers = [says(500, "no"), says(302, location="http://127.0.0.1:9/elsewhere"), says(204)]
    webhook_id = (await make(api, receiver.url)).data["id"]
    for status in (500, 302):
        pinged = await api.post(f"webhooks/{webhook_id}/ping")
        assert (pinged.status, pinged.attributes["statusCode"], pinged.attributes["fault"]) == (200, status, "status")
        assert (await api.get(f"webhooks/{webhook_id}")).attributes["status"] == "pending"
    await api.post(f"webhooks/{webhook_id}/ping")
    assert (await api.get(f"webhooks/{webhook_id}")).attributes["status"] == "enabled"


async def test_the_secret_is_shown_once(api: Api, receiver: Receiver, auditor: Db) -> None:
    made = await make(api, receiver.url)
    webhook_id, secret = made.data["id"], made.attributes["secret"]
    assert secret not in (await api.get(f"webhooks/{webhook_id}")).text
    assert secret not in (await api.get("webhooks")).text
    rows = await auditor.rows(
        "select symmetric_sealed, private_sealed from webhook_secrets where tenant_id = $1", api.tenant.id
    )
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(rows) == 1 and raw not in bytes(rows[0][0]) and raw not in bytes(rows[0][1])


async def test_the_same_wish_with_the_same_key_shows_it_again_for_a_day(
    api: Api, receiver: Receiver, clock: Clock
) -> None:
    sent = document_of("Webhook", url=receiver.url, topics=["*"])
    key = {"Idempotency-Key": str(ids.new())}
    first, *others = await asyncio.gather(*(api.post("webhooks", sent, headers=key) for _ in range(5)))
    assert {each.text for each in others} == {first.text} and "secret" in first.attributes
    clock.move(timedelta(hours=25))
    late = await api.post("webhooks", sent, headers=key)
    assert late.data["id"] == first.data["id"] and "secret" not in late.attributes
    assert len((await api.get("webhooks")).data) == 1
    other = await api.post(
        "webhooks", document_of("Webhook", url=receiver.url, topics=["reward.credited"]), headers=key
    )
    assert (other.status, other.codes) == (409, ["IdempotencyConflict"])


async def test_a_rotated_secret_signs_beside_the_new_one_until_its_end(
    api: Api, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver)
    one = f"webhooks/{made.data['id']}"
    turned = await api.post(f"{one}/rotate-secret", document_of("RotateWebhookSecret", overlapHours=2))
    old, new = made.attributes["secret"], turned.attributes["secret"]
    await api.post(f"{one}/ping")
    clock.move(timedelta(hours=2))
    await api.post(f"{one}/ping")
    during, after = receiver.heard
    assert [signed_by(during, each) for each in (old, new)] == [True, True]
    assert [signed_by(after, each) for each in (old, new)] == [False, True]
    assert len((await api.get(one)).attributes["secrets"]) == 1


async def test_a_secret_can_end_at_once(api: Api, receiver: Receiver) -> None:
    made = await enabled(api, receiver)
    one = f"webhooks/{made.data['id']}"
    turned = await api.post(f"{one}/rotate-secret", document_of("RotateWebhookSecret", overlapHours=0))
    await api.post(f"{one}/ping")
    (heard,) = receiver.heard
    assert not signed_by(heard, made.attributes["secret"]) and signed_by(heard, turned.attributes["secret"])
    assert len(heard.headers["webhook-signature"].split(" ")) == 2


async def test_ten_secrets_sign_at_most(api: Api, receiver: Receiver) -> None:
    one = f"webhooks/{(await make(api, receiver.url)).data['id']}"
    for _ in range(9):
        assert (await api.post(f"{one}/rotate-secret")).status == 200
    refused = await api.post(f"{one}/rotate-secret")
    assert (refused.status, refused.codes) == (409, ["InvalidState"])
    assert (await api.post(f"{one}/rotate-secret", document_of("RotateWebhookSecret", overlapHours=0))).status == 200
    assert (await api.post(f"{one}/rotate-secret")).status == 200


async def test_headers_of_ones_own_are_sent_and_never_shown(api: Api, receiver: Receiver, auditor: Db) -> None:
    made = await enabled(api, receiver, headers={"Authorization": "Bearer hush", "X-Shop": "7"})
    assert made.attributes["headerNames"] == ["authorization", "x-shop"] and "hush" not in made.text
    await api.post(f"webhooks/{made.data['id']}/ping")
    assert (receiver.heard[0].headers["authorization"], receiver.heard[0].headers["x-shop"]) == ("Bearer hush", "7")
    rows = await auditor.rows("select headers_sealed from webhooks where tenant_id = $1", api.tenant.id)
    assert b"hush" not in bytes(rows[0][0])


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"url": "http://partner.example/"}, "url"),
        ({"url": "https://user:pass@partner.example/"}, "url"),
        ({"url": "https://partner.example/#part"}, "url"),
        ({"url": "https://partner.example:22/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://127.0.0.2/"}, "url"),
        ({"url": "https://[::1]/"}, "url"),
        ({"url": "https://[::ffff:127.0.0.1]/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://0x7f.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "ftp://partner.example/"}, "url"),
        ({"url": "not an address"}, "url"),
        ({"topics": []}, "topics"),
        ({"topics": ["reward.melted"]}, "topics/0"),
        ({"topics": ["reward.credited", "*"]}, "topics/1"),
        ({"merchantIds": ["Luna"]}, "merchantIds/0"),
        ({"payloadVersion": "1999-01-01"}, "payloadVersion"),
        ({"headers": {"Host": "elsewhere"}}, "headers"),
        ({"headers": {"webhook-id": "1"}}, "headers"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers"),
        ({"headers": {"X y": "a"}}, "headers"),
        ({"headers": {"X": 7}}, "headers"),
        ({"headers": {"X": "é"}}, "headers"),
        ({"headers": {"X": "a", "x": "b"}}, "headers"),
        ({"headers": {f"X-{n}": "a" for n in range(21)}}, "headers"),
        ({"ratePerMinute": 0}, "ratePerMinute"),
        ({"ratePerMinute": "many"}, "ratePerMinute"),
        ({"fifo": "yes"}, "fifo"),
        ({"status": "enabled"}, "status"),
    ],
)
async def test_a_bad_wish_is_refused_at_its_place(api: Api, attributes: Any, pointer: str) -> None:
    answer = await api.post("webhooks", document_of("Webhook", **{"url": PUBLIC, "topics": ["*"], **attributes}))
    assert (answer.status, answer.pointers) == (400, [f"/data/attributes/{pointer}"]), answer.text
    assert (await api.get("webhooks")).body["meta"]["total"] == 0


async def test_what_is_changed_is_kept_and_the_rest_stays(api: Api, receiver: Receiver) -> None:
    made = await enabled(api, receiver, "reward.credited", description="Support")
    one = f"webhooks/{made.data['id']}"
    changed = await api.patch(one, document_of("Webhook", topics=["*"], fifo=True, ratePerMinute=60))
    shown = changed.attributes
    assert (shown["topics"], shown["fifo"], shown["ratePerMinute"], shown["description"], shown["status"]) == (
        ["*"], True, 60, "Support", "enabled",
    )  # fmt: skip
    assert (await api.get(one)).attributes == shown
    assert (await api.patch(one, document_of("Webhook"))).status == 400


async def test_another_address_has_to_prove_itself_again(api: Api, receiver: Receiver) -> None:
    made = await enabled(api, receiver)
    one = f"webhooks/{made.data['id']}"
    changed = await api.patch(one, document_of("Webhook", url=receiver.url + "/new"))
    assert changed.attributes["status"] == "pending"
    await api.post(f"{one}/ping")
    assert (await api.get(one)).attributes["status"] == "enabled"


async def test_an_endpoint_that_was_switched_off_comes_back_by_a_ping(api: Api, receiver: Receiver) -> None:
    made = await enabled(api, receiver)
    one = f"webhooks/{made.data['id']}"
    off = (await api.post(f"{one}/disable")).attributes
    assert (off["status"], off["reason"]) == ("disabled", "asked")
    await api.post(f"{one}/ping")
    assert (await api.get(one)).attributes["status"] == "disabled"
    receiver.answers = [says(503)]
    refused = await api.post(f"{one}/enable")
    assert (refused.status, refused.codes) == (409, ["PingFailed"]) and "503" in refused.text
    on = (await api.post(f"{one}/enable")).attributes
    assert (on["status"], on["reason"]) == ("enabled", None)
    told = [each["attributes"] for each in (await api.get("webhook-events?page[limit]=50")).data]
    assert [(each["topic"], each["sequence"]) for each in told] == [("webhook.disabled", 1)]


async def test_a_deleted_endpoint_is_gone(api: Api, receiver: Receiver) -> None:
    made = await enabled(api, receiver)
    one = f"webhooks/{made.data['id']}"
    assert (await api.delete(one)).status == 204
    for answer in (await api.get(one), await api.post(f"{one}/ping"), await api.delete(one)):
        assert answer.status == 404
    assert (await api.get("webhooks")).body["meta"]["total"] == 0 and receiver.heard == []


async def test_fifty_endpoints_are_enough(api: Api, receiver: Receiver) -> None:
    answers = await asyncio.gather(*(make(api, receiver.url) for _ in range(52)))
    assert sorted(each.status for each in answers) == [201] * 50 + [409] * 2


async def test_nobody_else_sees_an_endpoint(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, receiver: Receiver
) -> None:
    webhook_id = (await make(api, receiver.url)).data["id"]
    neighbour = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    stranger = await join(runtime, session, base_url)
    limited = await join(runtime, session, base_url, tenant=api.tenant, merchant_ids=(UUID(str(api.merchant_id)),))
    for other in (neighbour, stranger, limited):
        for answer in (
            await other.get(f"webhooks/{webhook_id}"),
            await other.patch(f"webhooks/{webhook_id}", document_of("Webhook", topics=["*"])),
            await other.post(f"webhooks/{webhook_id}/ping"),
            await other.post(f"webhooks/{webhook_id}/rotate-secret"),
            await other.get(f"webhooks/{webhook_id}/deliveries"),
            await other.delete(f"webhooks/{webhook_id}"),
        ):
            assert (answer.status, answer.codes) == (404, ["NotFound"])
        assert (await other.get("webhooks")).body["meta"]["total"] == 0
    assert receiver.heard == []


async def test_an_old_address_proves_nothing_of_a_new_one(api: Api, receiver: Receiver) -> None:
    one = f"webhooks/{(await make(api, receiver.url)).data['id']}"
    for verb, status in (("ping", 200), ("enable", 409)):
        receiver.gate = asyncio.Event()
        receiver.heard.clear()
        pinging = asyncio.create_task(api.post(f"{one}/{verb}"))
        await until(lambda: len(receiver.heard) == 1)
        await api.patch(one, document_of("Webhook", url=f"{receiver.url}/{verb}"))
        receiver.gate.set()
        assert (await pinging).status == status
        assert (await api.get(one)).attributes["status"] == "pending"
    assert (await api.post(f"{one}/enable")).attributes["status"] == "enabled"


async def test_an_event_about_an_endpoint_tells_no_free_text_and_nothing_behind_the_path(
    api: Api, receiver: Receiver
) -> None:
    made = await make(api, receiver.url + "?token=hush", description="call Kim at 5550143")
    one = f"webhooks/{made.data['id']}"
    await api.post(f"{one}/ping")
    await api.post(f"{one}/disable")
    (told,) = (await api.get("webhook-events?filter[topic]=webhook.disabled")).data
    for text in (str(told), receiver.heard[0].body.decode()):
        assert "hush" not in text and "Kim" not in text and receiver.url in text
    shown = (await api.get(one)).attributes
    assert (shown["url"], shown["description"]) == (receiver.url + "?token=hush", "call Kim at 5550143")
