"""The OpenAPI document: valid, complete, and true to the table that answers requests."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # it carries no types
from msgspec import UNSET, Meta, UnsetType
from openapi_spec_validator import validate

from tallystick import events, main, partners
from tallystick.base import openapi, openapi_errors
from tallystick.base.documents import Reader
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, Refusals
from tallystick.base.openapi_shapes import EXAMPLE_ID
from tallystick.base.openapi_told import Told
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Resource, Route, Takes
from tallystick.events.model import Topic
from tallystick.partners.resource import CREDENTIAL_EVENT
from tallystick.rewards.resource import REWARD_EVENT

JSON_API = "application/vnd.api+json"


class Line(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One piece."""

    sold_at: str


class CupAttributes(msgspec.Struct, rename="camel"):
    """A cup."""

    name: str
    amount: int
    filled_at: str | None


class NewCup(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A cup to make."""

    name: Annotated[str, Meta(min_length=1, max_length=12)]
    amount: Annotated[int, Meta(ge=1, le=99)]
    lines: Annotated[list[Line], Meta(max_length=3)]
    hue: str | None = None
    shape: str | UnsetType = UNSET


class Chipped(Refusal):
    """Take another cup."""

    code, status, title = "Chipped", 409, "The cup is chipped."


CUP = Resource("Cup", "/api/v1/cups", CupAttributes, {"name": "Blue", "amount": 5, "filledAt": None})
CUP_EXAMPLE = {"name": "Blue", "amount": 5, "lines": []}


async def make_cup(call: Call) -> Reply:
    """Make a cup; `{"data": null}` never comes."""
    raise NotImplementedError


async def find_cup(call: Call) -> Reply:
    raise NotImplementedError


async def list_cups(call: Call) -> Reply:
    raise NotImplementedError


async def drop_cup(place: str, call: Call) -> Reply:
    raise NotImplementedError


CUPS = (
    Route("POST", "/api/v1/cups", make_cup, "cups:write", "Make a cup", Takes(NewCup, ("Cup", "Mug"), CUP_EXAMPLE), CUP,
          status=201, errors=(Chipped,), keyed=True),
    Route("GET", "/api/v1/cups/{id}", find_cup, "cups:read", "Find a cup", gives=CUP, nullable=True),
    Route("GET", "/api/v1/cups", list_cups, "cups:read", "List cups", gives=CUP, many=True, query=PAGE),
    Route("DELETE", "/api/v1/cups/{id}", partial(drop_cup, "floor"), None, "Drop a cup", status=204, errors=(NotFound,)),
)  # fmt: skip


def cups(routes: tuple[Route, ...] = CUPS, **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "topics": [Topic("cup.made", "A cup was made.", "Cup"), Topic("pot.made", "A pot was made.", "Pot")],
        "scopes": {"cups:read": "Look.", "cups:write": "Touch."},
        "title": "Cups",
        "version": "1",
        "server_url": "https://cups.example/",
        "told": Told(()),
    }
    return openapi.document(routes, **{**given, **changed})


@pytest.fixture(scope="module")
def table() -> tuple[Route, ...]:
    return main.routes(None)  # type: ignore[arg-type]  # nothing is asked of the directory


@pytest.fixture(scope="module")
def house(table: tuple[Route, ...]) -> dict[str, Any]:
    described = openapi.document(
        table,
        topics=events.TOPICS,
        scopes=partners.SCOPES,
        title="Tallystick",
        version="1",
        server_url="http://127.0.0.1:8080",
        told=Told((REWARD_EVENT, CREDENTIAL_EVENT)),
    )
    read: dict[str, Any] = msgspec.json.decode(openapi.encode(described))
    return read


def nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(each)


def resolved(document: Mapping[str, Any], value: Any) -> Any:
    while "$ref" in value:
        found: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


def check(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> None:
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def examples(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Every example with the schema it must fit, of bodies, answers, errors and parameters."""
    for node in nodes(document):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        if "schema" in node and "examples" in node:
            for each in node["examples"].values():
                yield node["schema"], resolved(document, each)["value"]


def operation(document: Mapping[str, Any], route: Route) -> Any:
    return document["paths"][route.path][route.method.lower()]


def codes(document: Mapping[str, Any], described: Mapping[str, Any]) -> set[tuple[int, str]]:
    return {
        (int(status), code)
        for status, response in described["responses"].items()
        if status >= "400"
        for code in resolved(document, response)["content"][JSON_API]["examples"]
    }


def test_the_document_of_the_whole_house_is_valid(house: dict[str, Any]) -> None:
    validate(house)


def test_a_document_of_nothing_is_valid() -> None:
    validate(cups((), topics=()))


def test_every_reference_leads_somewhere(house: dict[str, Any]) -> None:
    references = [node for node in nodes(house) if isinstance(node.get("$ref"), str)]
    assert len(references) > 300
    for node in references:
        assert resolved(house, node)


def test_every_component_is_used(house: dict[str, Any]) -> None:
    used = {node["$ref"] for node in nodes(house) if isinstance(node.get("$ref"), str)}
    for kind in ("schemas", "responses", "parameters", "headers"):
        for name in house["components"][kind]:
            assert f"#/components/{kind}/{name}" in used


def test_every_example_fits_its_schema(house: dict[str, Any]) -> None:
    found = list(examples(house))
    assert len(found) > 100
    for schema, value in found:
        check(house, schema, value)


def test_an_example_that_does_not_fit_is_found() -> None:
    wrong = Resource("Cup", "/api/v1/cups", CupAttributes, {"name": "Blue", "amount": "5", "filledAt": None})
    described = cups(
        (Route("GET", "/api/v1/cups/{id}", find_cup, "cups:read", "Find a cup", gives=wrong, nullable=True),)
    )
    ((schema, value),) = [each for each in examples(described) if "data" in each[1] and each[1]["data"]]
    with pytest.raises(ValidationError):
        check(described, schema, value)


def test_every_route_is_described_with_its_scope_its_status_and_its_errors(
    table: tuple[Route, ...], house: dict[str, Any]
) -> None:
    assert sum(len([name for name in item if name != "parameters"]) for item in house["paths"].values()) == len(table)
    for route in table:
        described = operation(house, route)
        assert next(iter(described["responses"])) == str(route.status)
        assert described["security"][0] == {"oauth2": [route.scope]}
        assert described["security"][1] == {"clientId": [], "clientSecret": []}
        assert {(kind.status, kind.code) for kind in route.errors} < codes(house, described)
        assert [each.name for each in route.query] == [
            each["name"] for each in described.get("parameters", ()) if each.get("in") == "query"
        ]


def test_every_scope_of_a_route_is_in_the_catalogue(house: dict[str, Any]) -> None:
    catalogue = house["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"]
    for node in nodes(house["paths"]):
        for each in node.get("security", ()):
            assert set(each.get("oauth2", ())) <= catalogue.keys()


def test_what_the_document_shows_as_a_request_is_read_by_the_route(
    table: tuple[Route, ...], house: dict[str, Any]
) -> None:
    for route in table:
        if route.takes is not None:
            shown = operation(house, route)["requestBody"]["content"][JSON_API]["example"]
            Reader(route).read(msgspec.json.encode(shown), EXAMPLE_ID if "{id}" in route.path else None)


def test_the_schema_refuses_what_the_road_refuses() -> None:
    described = cups()
    schema = operation(described, CUPS[0])["requestBody"]["content"][JSON_API]["schema"]
    fine = {"type": "Cup", "attributes": CUP_EXAMPLE}
    check(described, schema, {"data": fine})
    check(described, schema, {"data": {"type": "Mug", "attributes": {**CUP_EXAMPLE, "hue": None, "shape": "tall"}}})
    for wrong in (
        {}, {"data": None}, {"data": {**fine, "type": "Pot"}}, {"data": {"type": "Cup"}}, {"data": {**fine, "id": "1"}},
        {"data": {**fine, "colour": 1}}, {"data": fine, "colour": 1},
        *(
            {"data": {**fine, "attributes": {**CUP_EXAMPLE, name: value}}}
            for name, value in (
                ("name", ""), ("name", "x" * 13), ("name", None), ("amount", 0), ("amount", 100), ("amount", 1.5),
                ("hue", 1), ("shape", None), ("colour", 1), ("lines", [{}]), ("lines", [{"soldAt": ""}] * 4),
            )
        ),
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            check(described, schema, wrong)
        with pytest.raises((Refusal, Refusals)):
            Reader(CUPS[0]).read(msgspec.json.encode(wrong), None)


def test_bodies_are_taken_in_both_media_types_and_answered_in_one() -> None:
    described = cups()
    made = operation(described, CUPS[0])
    assert list(made["requestBody"]["content"]) == [JSON_API, "application/json"]
    assert made["requestBody"]["required"]
    assert list(made["responses"]["201"]["content"]) == [JSON_API]


def test_headers_tell_of_limits_places_and_replays() -> None:
    described = cups()
    made, found = operation(described, CUPS[0])["responses"]["201"], operation(described, CUPS[1])["responses"]["200"]
    assert list(made["headers"]) == ["Request-Id", "RateLimit", "RateLimit-Policy", "Location", "Idempotent-Replayed"]
    assert list(found["headers"]) == ["Request-Id", "RateLimit", "RateLimit-Policy"]
    limited = resolved(described, operation(described, CUPS[0])["responses"]["429"])
    assert list(limited["headers"]) == ["Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"]
    assert "Retry-After" in resolved(described, operation(described, CUPS[0])["responses"]["503"])["headers"]


def test_only_routes_that_take_a_key_describe_one(table: tuple[Route, ...], house: dict[str, Any]) -> None:
    key = {"$ref": "#/components/parameters/Idempotency-Key"}
    for route in table:
        assert (key in operation(house, route).get("parameters", ())) == route.keyed


def test_errors_that_come_with_a_body_are_told_only_where_one_is_taken() -> None:
    described = cups()
    with_body, without = (codes(described, operation(described, each)) for each in CUPS[:2])
    of_bodies = {
        (415, "UnsupportedMediaType"),
        (413, "PayloadTooLarge"),
        (408, "RequestTimeout"),
        (409, "TypeConflict"),
    }
    assert of_bodies <= with_body
    assert {(409, "Chipped"), (409, "IdempotencyConflict")} <= with_body
    assert not {status for status, _ in without} & {404, 408, 409, 413, 415}


def test_a_route_without_a_scope_needs_no_credential() -> None:
    described = cups()
    dropped = operation(described, CUPS[3])
    assert dropped["security"] == []
    assert not {"401", "403", "429"} & dropped["responses"].keys()
    assert "content" not in dropped["responses"]["204"]


def test_an_error_document_holds_only_the_codes_of_its_response() -> None:
    described = cups()
    conflict = resolved(described, operation(described, CUPS[0])["responses"]["409"])["content"][JSON_API]["schema"]
    shown = described["components"]["examples"]
    check(described, conflict, shown["Chipped"]["value"])
    for other in ("NotFound", "RateLimited", "IdConflict"):
        with pytest.raises(ValidationError):
            check(described, conflict, shown[other]["value"])


def test_every_code_has_one_example_and_says_what_to_do(house: dict[str, Any]) -> None:
    catalogue = {each["code"]: each for each in house["x-errors"]}
    assert catalogue.keys() == house["components"]["examples"].keys()
    assert {kind.code for kind in openapi_errors.COMMON} <= catalogue.keys()
    for code in catalogue:
        assert catalogue[code]["remedy"] == openapi_errors.REMEDIES[code]


def test_an_error_that_is_not_catalogued_is_explained_by_its_class_or_its_status() -> None:
    class Silent(Refusal):
        code, status, title = "Silent", 409, "Nothing is said."

    assert openapi_errors.remedy(Chipped) == "Take another cup."
    assert openapi_errors.remedy(Silent) == "Read the resource first and decide anew."


def test_a_list_tells_its_total_and_a_feed_its_cursor(house: dict[str, Any]) -> None:
    schemas = house["components"]["schemas"]
    assert schemas["RewardPage"]["properties"]["meta"] == {"$ref": "#/components/schemas/PageMeta"}
    assert schemas["WebhookEventFeed"]["properties"]["links"] == {"$ref": "#/components/schemas/FeedLinks"}


def test_every_topic_is_a_webhook_that_holds_its_subject() -> None:
    described = cups()
    assert list(described["webhooks"]) == ["cup.made", "pot.made"]
    schema = described["webhooks"]["cup.made"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    event: dict[str, Any] = {
        "id": EXAMPLE_ID,
        "type": "cup.made",
        "timestamp": "2026-06-17T12:00:00.000Z",
        "sequence": 1,
        "data": {"id": EXAMPLE_ID, "type": "Cup", "attributes": {"amount": 5}},
    }
    check(described, schema, event)
    for name, wrong in (("type", "pot.made"), ("sequence", 0), ("data", {**event["data"], "type": "Pot"})):
        with pytest.raises(ValidationError):
            check(described, schema, {**event, name: wrong})


def test_events_hold_nothing_personal(house: dict[str, Any]) -> None:
    told = resolved(house, house["components"]["schemas"]["RewardTold"]["properties"]["attributes"])["properties"]
    assert "amount" in told
    assert not {"message", "notificationEmail", "phoneNumber"} & told.keys()


def test_the_same_table_gives_the_same_bytes(table: tuple[Route, ...]) -> None:
    assert openapi.encode(cups(table)) == openapi.encode(cups(table))


def test_structs_of_one_name_in_two_modules_are_told_apart(house: dict[str, Any]) -> None:
    schemas = house["components"]["schemas"]
    assert "rewardId" in schemas["RewardBatchItemAttributes"]["properties"]
    assert "balanceAfter" in schemas["WalletTransactionAttributes"]["properties"]
    assert all("." not in name for name in schemas)


def test_two_resources_of_one_type_are_refused() -> None:
    other = Resource("Cup", "/api/v1/mugs", Line)
    with pytest.raises(ValueError, match="called Cup"):
        cups((CUPS[1], Route("GET", "/api/v1/mugs", list_cups, "cups:read", "List mugs", gives=other, many=True)))


def test_two_routes_of_one_handler_are_refused() -> None:
    with pytest.raises(ValueError, match="findCup"):
        cups((CUPS[1], Route("GET", "/api/v1/mugs/{id}", find_cup, "cups:read", "Find a mug", gives=CUP)))


def test_two_errors_of_one_code_are_refused() -> None:
    class Cracked(Refusal):
        code, status, title = "Chipped", 400, "Another thing."

    again = Route("GET", "/api/v1/cups", list_cups, "cups:read", "List cups", gives=CUP, many=True, errors=(Cracked,))
    with pytest.raises(ValueError, match="Chipped"):
        cups((CUPS[0], again))


def test_parameters_are_described_as_they_are_declared() -> None:
    least = Parameter("page[limit]", "How many.", required=True, schema={"type": "integer", "minimum": 1})
    described = cups(
        (Route("GET", "/api/v1/cups", list_cups, "cups:read", "List", gives=CUP, many=True, query=(least,)),)
    )
    assert described["paths"]["/api/v1/cups"]["get"]["parameters"] == [
        {"name": "page[limit]", "in": "query", "description": "How many.", "required": True, "schema": least.schema}
    ]


def test_common_errors_can_be_chosen() -> None:
    described = cups(errors=(InvalidRequest,))
    assert codes(described, operation(described, CUPS[1])) == {(400, "InvalidRequest")}
