"""Operators agree on quotas over HTTP and see what partners use."""

import json
from typing import Any

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join
from tests.governance.cast import NEW_YORK, agreement_of, operator, sent, terms_of, usage
from tests.rewards.cast import refused


@pytest.fixture
async def noor(runtime: Runtime, api: Api) -> Api:
    """An operator."""
    return (await operator(runtime, api))[0]


@pytest.fixture
async def quotas(runtime: Runtime, api: Api) -> str:
    """Where the quotas of the partner's agreement are."""
    return f"/admin/v1/agreements/{await agreement_of(runtime, api)}/quotas"


async def put(noor: Api, path: str, document: Any, key: str | None = None) -> Answer:
    return await noor.request("PUT", path, document, headers={} if key is None else {"Idempotency-Key": key})


async def test_agreements_are_listed_by_partner_and_programme(
    runtime: Runtime, api: Api, noor: Api, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    answer = await noor.get(f"/admin/v1/agreements?filter[programmeId]={api.tenant.programme_id}")
    assert [(each["attributes"]["partnerId"], each["attributes"]["visibility"]) for each in answer.data] == [
        (str(api.partner_id), "own"),
        (str(other.partner_id), "programme"),
    ]
    assert answer.body["meta"]["total"] == 2
    answer = await noor.get(f"/admin/v1/agreements?filter[partnerId]={other.partner_id}")
    [only] = answer.data
    assert only["type"] == "Agreement"
    assert {name: only["attributes"][name] for name in ("partnerName", "programmeName", "status")} == {
        "partnerName": "Harbour Support",
        "programmeName": "Northwind",
        "status": "active",
    }
    refused(await noor.get("/admin/v1/agreements?filter[partnerId]=me"), 400, "InvalidRequest", "filter[partnerId]")
    assert (await noor.get("/admin/v1/agreements?page[offset]=100000")).data == []


async def test_quotas_are_agreed_read_and_hold_at_once(api: Api, noor: Api, quotas: str, runtime: Runtime) -> None:
    assert (await noor.get(f"{quotas}?filter[environment]=sandbox")).body == {"data": None}
    answer = await put(noor, quotas, terms_of(sent(beyond="allow", cap=1_200, unitPrice=3, per=100), version=0))
    assert answer.status == 200, answer.text
    made = answer.attributes
    assert (made["version"], made["versionInForce"], made["environment"]) == (1, 1, "sandbox")
    assert made["createdBy"] is not None
    [line] = made["lines"]
    assert line == {
        "id": line["id"],
        **sent(beyond="allow", cap=1_200, unitPrice=3, per=100),
        "priceCurrency": "USD",
    }
    assert (await noor.get(f"{quotas}?filter[environment]=sandbox")).data == answer.data
    assert (await noor.get(f"{quotas}?filter[environment]=production")).body == {"data": None}
    assert (await api.issue(amount=1_100)).status == 200
    refused(await api.issue("+12025550101", 101), 409, "QuotaExceeded")
    [seen] = (await noor.get(f"/admin/v1/usage?filter[partnerId]={api.partner_id}&filter[environment]=sandbox")).data
    assert [seen["attributes"]] == await usage(api)
    assert (await noor.get(f"/admin/v1/usage?filter[partnerId]={api.partner_id}")).data == []


async def test_a_version_that_somebody_else_replaced_meanwhile_is_not_replaced(noor: Api, quotas: str) -> None:
    assert (await put(noor, quotas, terms_of(sent(), version=0))).status == 200
    refused(
        await put(noor, quotas, terms_of(sent(included=5), version=0)), 409, "InvalidState", "/data/attributes/version"
    )
    later = terms_of(sent(included=7), version=1, effectiveFrom="2026-04-01T04:00:00.000Z")
    answer = await put(noor, quotas, later)
    assert (answer.attributes["version"], answer.attributes["versionInForce"]) == (2, 1)
    assert (await put(noor, quotas, terms_of())).attributes["version"] == 3
    first = await noor.get(f"{quotas}?filter[environment]=sandbox&filter[version]=1")
    assert (first.attributes["version"], first.attributes["versionInForce"]) == (1, 3)
    assert first.attributes["lines"][0]["included"] == 1_000
    refused(await noor.get(f"{quotas}?filter[environment]=sandbox&filter[version]=9"), 404, "NotFound")


async def test_a_retry_with_its_key_makes_no_second_version(noor: Api, quotas: str) -> None:
    first = await put(noor, quotas, terms_of(sent()), "q-1")
    again = await put(noor, quotas, terms_of(sent()), "q-1")
    assert (again.status, again.text, again.headers["Idempotent-Replayed"]) == (200, first.text, "true")
    refused(await put(noor, quotas, terms_of(sent(included=1)), "q-1"), 409, "IdempotencyConflict")
    assert (await noor.get(f"{quotas}?filter[environment]=sandbox")).attributes["version"] == 1


async def test_an_accepted_change_is_logged_with_it_and_partners_do_not_see_it(
    api: Api, noor: Api, quotas: str, runtime: Runtime
) -> None:
    answer = await put(noor, quotas, terms_of(sent()))
    async with runtime.reading(api.tenant) as work:
        row = await work.db.row(
            "select route, status from request_log where tenant_id = $1 and resource_id = $2",
            api.tenant.id,
            answer.data["id"],
        )
    assert row is not None and (row[0], row[1]) == ("/admin/v1/agreements/{id}/quotas", 200)
    assert all("/admin" not in each["attributes"]["route"] for each in (await api.get("request-logs")).data)


async def test_an_agreement_that_is_not_there_is_not_found(noor: Api) -> None:
    for name in (str(ids.new()), "x", "%00", "0" * 36):
        path = f"/admin/v1/agreements/{name}/quotas"
        refused(await put(noor, path, terms_of(sent())), 404, "NotFound")
        refused(await noor.get(f"{path}?filter[environment]=sandbox"), 404, "NotFound")
    nobody = await noor.get(f"/admin/v1/usage?filter[partnerId]={ids.new()}")
    assert (nobody.status, nobody.data) == (200, [])


LINES = "/data/attributes/lines"


@pytest.mark.parametrize(
    ("attributes", "places"),
    [
        ({"lines": [sent()]}, ["/data/attributes"]),
        ({"environment": "staging", "lines": []}, ["/data/attributes/environment"]),
        ({"environment": "sandbox"}, ["/data/attributes"]),
        ({"environment": "sandbox", "lines": {}}, [LINES]),
        ({"environment": "sandbox", "lines": None}, [LINES]),
        ({"environment": "sandbox", "lines": [None]}, [f"{LINES}/0"]),
        ({"environment": "sandbox", "lines": [{}]}, [f"{LINES}/0"] * 5),
        ({"environment": "sandbox", "lines": [sent()] * 51}, [LINES]),
        ({"environment": "sandbox", "lines": [sent(), sent()]}, [f"{LINES}/1/metric"]),
        ({"environment": "sandbox", "lines": [sent(metric="rewards.count")]}, [f"{LINES}/0/metric"]),
        ({"environment": "sandbox", "lines": [sent(period="fortnight")]}, [f"{LINES}/0/period"]),
        ({"environment": "sandbox", "lines": [sent(included=-1)]}, [f"{LINES}/0/included"]),
        ({"environment": "sandbox", "lines": [sent(included=2**53)]}, [f"{LINES}/0/included"]),
        ({"environment": "sandbox", "lines": [sent(included=1.5)]}, [f"{LINES}/0/included"]),
        ({"environment": "sandbox", "lines": [sent(included="9")]}, [f"{LINES}/0/included"]),
        ({"environment": "sandbox", "lines": [sent(included=True)]}, [f"{LINES}/0/included"]),
        ({"environment": "sandbox", "lines": [sent(included=10**400)]}, [f"{LINES}/0/included"]),
        ({"environment": "sandbox", "lines": [sent(currency=840)]}, [f"{LINES}/0/currency"]),
        ({"environment": "sandbox", "lines": [sent(timeZone="../../etc/passwd")]}, [f"{LINES}/0/timeZone"]),
        ({"environment": "sandbox", "lines": [sent(timeZone="x" * 65)]}, [f"{LINES}/0/timeZone"]),
        ({"environment": "sandbox", "lines": [sent(timeZone="UTC\0")]}, [f"{LINES}/0/timeZone"]),
        ({"environment": "sandbox", "lines": [sent(cap=0)]}, [f"{LINES}/0/cap"]),
        ({"environment": "sandbox", "lines": [sent(beyond="allow", unitPrice=2**31)]}, [f"{LINES}/0/unitPrice"]),
        ({"environment": "sandbox", "lines": [sent(beyond="allow", unitPrice=1, per=0)]}, [f"{LINES}/0/per"]),
        ({"environment": "sandbox", "lines": [sent(surprise=1)]}, [f"{LINES}/0/surprise"]),
        ({"environment": "sandbox", "lines": [], "effectiveFrom": "tomorrow"}, ["/data/attributes/effectiveFrom"]),
        ({"environment": "sandbox", "lines": [], "effectiveFrom": 5}, ["/data/attributes/effectiveFrom"]),
        (
            {"environment": "sandbox", "lines": [], "effectiveFrom": "2020-01-01T00:00:00Z"},
            ["/data/attributes/effectiveFrom"],
        ),
        (
            {"environment": "sandbox", "lines": [], "effectiveFrom": "9999-12-31T00:00:00Z"},
            ["/data/attributes/effectiveFrom"],
        ),
        ({"environment": "sandbox", "lines": [], "version": -1}, ["/data/attributes/version"]),
        ({"environment": "sandbox", "lines": [], "version": 2**31}, ["/data/attributes/version"]),
        ({"environment": "sandbox", "lines": [], "version": "1"}, ["/data/attributes/version"]),
    ],
)
async def test_a_document_that_makes_no_sense_is_told_where_and_changes_nothing(
    noor: Api, quotas: str, attributes: Any, places: list[str]
) -> None:
    refused(await put(noor, quotas, document_of("QuotaTerms", **attributes)), 400, "InvalidRequest", *places)
    assert (await noor.get(f"{quotas}?filter[environment]=sandbox")).body == {"data": None}


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b'"x"', b"{", b'{"data":null}', b'{"data":[]}', b"\xff\xfe", b"[" * 9_000]
)
async def test_a_body_that_is_no_document_is_refused(noor: Api, quotas: str, raw: bytes) -> None:
    answer = await noor.request("PUT", quotas, raw=raw)
    assert (answer.status, set(answer.codes)) == (400, {"InvalidRequest"})


async def test_wrong_questions_of_operators_are_told_where(noor: Api, quotas: str) -> None:
    for query, places in (
        ("", ["filter[environment]"]),
        ("?filter[environment]=all", ["filter[environment]"]),
        ("?filter[environment]=sandbox&filter[version]=0", ["filter[version]"]),
        ("?filter[environment]=sandbox&filter[version]=99999999999999", ["filter[version]"]),
        ("?filter[environment]=sandbox&filter[version]=%D9%A1", ["filter[version]"]),
        ("?filter[environment]=sandbox&include=lines", ["include"]),
    ):
        refused(await noor.get(quotas + query), 400, "InvalidRequest", *places)
    for query, places in (
        ("", ["filter[partnerId]"]),
        ("?filter[partnerId]=", ["filter[partnerId]"]),
        (
            f"?filter[partnerId]={ids.new()}&filter[environment]=x&filter[metric]=y",
            ["filter[metric]", "filter[environment]"],
        ),
    ):
        refused(await noor.get(f"/admin/v1/usage{query}"), 400, "InvalidRequest", *places)
    refused(await put(noor, quotas, document_of("Quota", environment="sandbox", lines=[])), 409, "TypeConflict")


async def test_admin_is_described_with_its_own_way_in(api: Api) -> None:
    described = (await api.get("/openapi.json")).body
    operation = described["paths"]["/admin/v1/agreements/{id}/quotas"]["put"]
    assert operation["security"] == [{"operatorSecret": []}]
    assert described["components"]["securitySchemes"]["operatorSecret"]["scheme"] == "bearer"
    assert "QuotaTerms" in json.dumps(operation)
    assert described["paths"]["/api/v1/usage"]["get"]["security"][0] == {"oauth2": ["usage:read"]}
    assert NEW_YORK in json.dumps(operation["requestBody"])
