"""The catalogue of topics: it says what is sent, as the OpenAPI document does, and what it shows is true."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]  # no types

from tallystick import events, main
from tallystick.base import ids
from tallystick.base.openapi_told import Told
from tallystick.base.routes import Resource
from tallystick.base.work import Runtime
from tallystick.webhooks.model import PAYLOAD_VERSION
from tests import told as suite
from tests import world
from tests.api import Api, document_of, join
from tests.rewards.cast import another_client, feed, refused

NAMES = [topic.name for topic in events.SENT]
CATALOGUE = events.Catalogue.of(main.told(), PAYLOAD_VERSION)


async def catalogue(api: Api) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    path = "webhook-topics?page[limit]=50"
    while path:
        answer = await api.get(path)
        assert answer.status == 200, answer.text
        found |= {each["id"]: each["attributes"] for each in answer.data}
        path = answer.body["links"]["next"]
    return found


def resolved(value: Any, root: Mapping[str, Any]) -> Any:
    """The value with everything it refers to in its place."""
    if isinstance(value, list):
        return [resolved(each, root) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: resolved(each, root) for name, each in value.items() if name not in {"$ref", "$defs"}}
    if "$ref" in value:
        target: Any = root
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        found = {**resolved(target, root), **found}
    return found


async def test_every_topic_is_listed_with_a_schema_and_an_example_that_it_takes(api: Api) -> None:
    listed = await catalogue(api)
    assert list(listed) == NAMES
    for name, attributes in listed.items():
        Draft202012Validator.check_schema(attributes["schema"])
        Draft202012Validator(attributes["schema"], format_checker=FormatChecker()).validate(attributes["example"])
        assert (attributes["name"], attributes["payloadVersion"]) == (name, PAYLOAD_VERSION)
        assert attributes["example"]["type"] == name
        assert attributes["example"]["data"]["type"] == attributes["subjectType"]
        assert (await api.get(f"webhook-topics/{name}")).attributes == attributes


async def test_schemas_refer_to_nothing_outside(api: Api) -> None:
    for attributes in (await catalogue(api)).values():
        refs = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(attributes["schema"])))
        assert refs == {f"#/$defs/{name}" for name in attributes["schema"]["$defs"]}


async def test_the_openapi_document_says_the_same(api: Api) -> None:
    document = (await api.get("/openapi.json")).body
    assert list(document["webhooks"]) == NAMES
    for name, attributes in (await catalogue(api)).items():
        content = document["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]
        alone = resolved(attributes["schema"], attributes["schema"])
        assert {
            key: value for key, value in alone.items() if key not in {"$schema", "title", "description"}
        } == resolved(content["schema"], document)
        assert content["example"] == attributes["example"]


async def test_a_topic_that_is_not_there_is_not_found(api: Api, runtime: Runtime) -> None:
    for name in ("reward", "reward.Credited", "webhook.pings", "%00", "x" * 1000):
        refused(await api.get(f"webhook-topics/{name}"), 404, "NotFound")
    limited = await another_client(runtime, api, scopes=frozenset({"rewards:read"}))
    refused(await limited.get("webhook-topics"), 403, "InsufficientScope")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_a_thing_and_what_became_of_it(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", name)
    assert NAMES.count(name) == 1


def all_objects(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [path, *(each for name, member in value.items() for each in all_objects(member, (*path, name)))]
    if isinstance(value, list):
        return [each for number, member in enumerate(value) for each in all_objects(member, (*path, number))]
    return []


OPEN = {("data", "attributes", "columns"), ("data", "attributes", "figures"), ("data", "attributes", "sums")}
"""What is named by partners, or by accounts: any name may stand there."""


@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_nobody_described_is_none_of_an_event(name: str) -> None:
    validator = Draft202012Validator(CATALOGUE.schemas[name])
    topic = CATALOGUE.topic(name)
    assert topic is not None
    for place in all_objects(CATALOGUE.told.example(topic)):
        if place in OPEN:
            continue
        changed = json.loads(json.dumps(CATALOGUE.told.example(topic)))
        inner = changed
        for step in place:
            inner = inner[step]
        inner["stranger"] = 1
        with pytest.raises(ValidationError):
            validator.validate(changed)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_holds_everything_that_is_always_told_and_nothing_personal(name: str) -> None:
    topic = CATALOGUE.topic(name)
    assert topic is not None
    example = CATALOGUE.told.example(topic)
    row = {
        "id": example["id"],
        "topic": name,
        "at": world.T0,
        "sequence": 1,
        "document": json.dumps(example["data"]),
        "subject_type": topic.subject_type,
        "subject_id": example["data"]["id"],
    }
    assert list(suite.faults(row)) == []
    for member in example["data"]["attributes"]:
        attributes = {key: value for key, value in example["data"]["attributes"].items() if key != member}
        changed = {**row, "document": json.dumps({**example["data"], "attributes": attributes})}
        required = resolved(CATALOGUE.schemas[name], CATALOGUE.schemas[name])["properties"]["data"]["properties"][
            "attributes"
        ]
        assert bool(list(suite.faults(changed))) == (member in required.get("required", ()))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"sequence": 0}, "sequence"),
        ({"subject_id": "another"}, "another subject"),
        ({"topic": "reward.cancelled", "subject_type": "Wallet"}, "another subject"),
        ({"amount": "500"}, "amount"),
        ({"costCenter": "call +12025550143"}, "a phone number"),
        ({"costCenter": "(202) 555-0143"}, "a phone number"),
        ({"costCenter": "for mira.okafor@guest.example"}, "an e-mail"),
        ({"costCenter": "for Mira"}, "a name"),
        ({"message": "Sorry"}, "message"),
    ],
)
def test_the_look_at_the_whole_suite_sees_what_is_wrong(changed: dict[str, Any], fault: str) -> None:
    topic = CATALOGUE.topic("reward.credited")
    assert topic is not None
    data = CATALOGUE.told.example(topic)["data"]
    inside = {name: value for name, value in changed.items() if name in {"amount", "costCenter", "message"}}
    row = {
        "id": str(ids.new()),
        "topic": topic.name,
        "at": world.T0,
        "sequence": 1,
        "document": json.dumps({**data, "attributes": {**data["attributes"], **inside}}),
        "subject_type": "Reward",
        "subject_id": data["id"],
        **{name: value for name, value in changed.items() if name not in inside},
    }
    assert any(fault in each for each in suite.faults(row))


def test_what_nobody_described_may_hold_anything_but_has_no_example() -> None:
    told = Told((Resource("Cup", "/cups", main.told()._kinds["Reward"].attributes),))
    topic = events.Topic("pot.made", "A pot.", "Pot")
    assert not told.describes(topic)
    Draft202012Validator(told.alone(topic)).validate(
        {
            "id": str(ids.new()),
            "type": "pot.made",
            "timestamp": "2026-03-02T09:00:00.000Z",
            "sequence": 1,
            "data": {"id": str(ids.new()), "type": "Pot", "attributes": {"any": 1}},
        }
    )
    with pytest.raises(KeyError):
        told.example(topic)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "webhook.ping"])
async def test_every_topic_can_be_made_to_happen_in_a_sandbox(api: Api, name: str) -> None:
    """What is recorded is held against its schema when the suite ends, as every event is."""
    answer = await api.post("sandbox/simulate/event", document_of("SimulateEvent", topic=name))
    assert answer.status == 201, answer.text
    (event,) = await feed(api)
    assert (event["topic"], event["subjectId"], event["sequence"]) == (name, answer.data["id"], 1)
    assert event["document"]["meta"] == {"sample": True}
    (found,) = (await api.get(answer.headers["location"])).data
    assert found["attributes"] == event


async def test_a_sample_is_for_its_partner_alone(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    await api.post("sandbox/simulate/event", document_of("SimulateEvent", topic="reward.credited"))
    assert await feed(overseer) == []


async def test_the_same_key_is_one_sample(api: Api) -> None:
    key = {"Idempotency-Key": "sample-1"}
    first = await api.post("sandbox/simulate/event", document_of("SimulateEvent", topic="reward.credited"), headers=key)
    again = await api.post("sandbox/simulate/event", document_of("SimulateEvent", topic="reward.credited"), headers=key)
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    assert len(await feed(api)) == 1
    other = await api.post("sandbox/simulate/event", document_of("SimulateEvent", topic="wallet.created"), headers=key)
    refused(other, 409, "IdempotencyConflict")


async def test_production_has_no_samples(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    live = await join(runtime, session, base_url, environment="production")
    answer = await live.post("sandbox/simulate/event", document_of("SimulateEvent", topic="reward.credited"))
    refused(answer, 404, "NotFound")
    assert await feed(live) == []
    limited = replace(await another_client(runtime, api, scopes=frozenset({"rewards:read"})))
    answer = await limited.post("sandbox/simulate/event", document_of("SimulateEvent", topic="reward.credited"))
    refused(answer, 403, "InsufficientScope")


async def test_a_topic_that_is_not_there_does_not_happen(api: Api) -> None:
    for topic in ("webhook.ping", "reward", ""):
        answer = await api.post("sandbox/simulate/event", document_of("SimulateEvent", topic=topic))
        refused(answer, 400, "InvalidRequest", "/data/attributes/topic")
    assert await feed(api) == []
