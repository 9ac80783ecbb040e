"""Ping an endpoint: one signed request, through the very sender that deliveries go through."""

from dataclasses import dataclass, replace
from uuid import UUID

from tallystick import events
from tallystick.base import ids
from tallystick.base.errors import Refusal
from tallystick.base.routes import Call
from tallystick.webhooks import changing, rendering, resource, secrets, signing
from tallystick.webhooks.changing import missing
from tallystick.webhooks.model import ANSWER_BYTES_KEPT, Attempt
from tallystick.webhooks.sending import Sender

TOPIC = events.PING.name


class PingFailed(Refusal):
    code, status, title = "PingFailed", 409, "The webhook did not answer a ping with a 2xx status."


@dataclass(frozen=True, slots=True)
class Pinged:
    """What became of a ping, and the address that it went to."""

    url: str
    attempt: Attempt


def failed(made: Attempt) -> PingFailed:
    """The refusal for what became of a ping."""
    said = f"It answered {made.status_code}" if made.status_code is not None else f"There was no answer ({made.fault})"
    return PingFailed(f"{said}. Answer signed pings with a 2xx status, then try again.")


async def ping(call: Call, sender: Sender, webhook_id: UUID) -> Pinged:
    """What became of it. Nothing is open in the database meanwhile, and nothing of it is kept."""
    async with call.house.runtime.reading(call.caller.tenant) as work:
        webhook = await changing.visible(work, call.caller, webhook_id)
        if webhook is None:
            raise missing()
        signer = (await secrets.signers(work, [webhook_id]))[webhook_id]
        headers, now = changing.opened_headers(work, webhook), work.real_now
    message_id = ids.new()
    document = resource.event(TOPIC, replace(webhook, version=max(1, webhook.version))).document.decode()
    body = rendering.body(webhook.payload_version, message_id, TOPIC, now, 1, document)
    signed = signing.headers(signer, str(message_id), now, body)
    answer = await sender.send(webhook.url, {**headers, **signed}, body)
    made = Attempt(
        webhook_id=webhook_id,
        position=0,
        event_id=message_id,
        id=message_id,
        number=1,
        at=now,
        milliseconds=answer.milliseconds,
        status_code=answer.status_code,
        fault=answer.fault,
        answer=answer.body[:ANSWER_BYTES_KEPT],
        replayed=False,
    )
    return Pinged(webhook.url, made)
