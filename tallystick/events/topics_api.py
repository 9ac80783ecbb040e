"""The catalogue of topics over HTTP."""

from functools import partial
from typing import Final

import msgspec

from tallystick.base import jsonapi
from tallystick.base.errors import NotFound
from tallystick.base.routes import PAGE, Call, Reply, Resource, Route
from tallystick.events.catalogue import Catalogue
from tallystick.events.model import SENT, Topic

SCOPE: Final = "webhook-events:read"


class WebhookTopicAttributes(msgspec.Struct, rename="camel"):
    """A kind of event. `schema` is a JSON Schema (2020-12) of the body of its webhooks, which refers to nothing outside, and
    `example` is one of them."""

    name: str
    summary: str
    subject_type: str
    payload_version: str
    schema: msgspec.Raw
    example: msgspec.Raw


WEBHOOK_TOPIC: Final = Resource("WebhookTopic", "/api/v1/webhook-topics", WebhookTopicAttributes, is_named=True)


async def list_topics(catalogue: Catalogue, call: Call) -> Reply:
    """Every topic there is, with the schema of its events and an example."""
    offset, limit = jsonapi.page(call)
    shown = [_resource(catalogue, topic) for topic in SENT[offset : offset + limit]]
    return Reply(200, jsonapi.listing(shown, total=len(SENT), offset=offset, limit=limit, call=call))


async def get_topic(catalogue: Catalogue, call: Call) -> Reply:
    """One topic by its name."""
    found = catalogue.topic(call.path["name"])
    if found is None:
        raise NotFound("No topic has this name. GET /api/v1/webhook-topics lists them.")
    return Reply(200, jsonapi.document(_resource(catalogue, found)))


def routes(catalogue: Catalogue) -> tuple[Route, ...]:
    """What is offered of the catalogue."""
    return (
        Route(
            "GET",
            WEBHOOK_TOPIC.path,
            partial(list_topics, catalogue),
            SCOPE,
            "List the topics of events",
            gives=WEBHOOK_TOPIC,
            many=True,
            query=PAGE,
        ),
        Route(
            "GET",
            WEBHOOK_TOPIC.path + "/{name}",
            partial(get_topic, catalogue),
            SCOPE,
            "Get a topic",
            gives=WEBHOOK_TOPIC,
            errors=(NotFound,),
        ),
    )


def _resource(catalogue: Catalogue, topic: Topic) -> bytes:
    shown = WebhookTopicAttributes(
        name=topic.name,
        summary=topic.summary,
        subject_type=topic.subject_type,
        payload_version=catalogue.version,
        schema=msgspec.Raw(msgspec.json.encode(catalogue.schemas[topic.name])),
        example=msgspec.Raw(msgspec.json.encode(catalogue.told.example(topic))),
    )
    return jsonapi.resource(WEBHOOK_TOPIC, topic.name, shown)
