"""The rules of law as data: what holds where and when, and what a file of rules may not say."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from tallystick.base import ids
from tallystick.giftcards import jurisdictions
from tallystick.giftcards.jurisdictions import UnusableRules, cash_out_threshold, minimum_expiry, refuse_expiry
from tests.api import Api
from tests.giftcards.cast import issue
from tests.rewards.cast import refused


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = _at("2026-03-02T09:00:00")
SECOND = timedelta(seconds=1)


def _file() -> Any:
    return msgspec.json.decode(files("tallystick.giftcards").joinpath("jurisdictions.json").read_bytes())


def test_every_rule_has_a_source_and_an_id_of_its_own() -> None:
    rules = jurisdictions.rules()
    assert all(rule.source.url.startswith("https://") and rule.source.title for rule in rules)
    assert len({rule.id for rule in rules}) == len(rules)


@pytest.mark.parametrize(
    ("country", "region", "at", "until"),
    [
        ("US", None, "2026-03-02T09:00:00", "2031-03-02T09:00:00"),
        ("US", "US-CA", "2028-02-29T00:00:00", "2033-02-28T00:00:00"),
        ("US", None, "2010-08-22T04:00:00", "2015-08-22T04:00:00"),
        ("US", None, "2010-08-22T03:59:59", None),
        ("AU", "AU-NSW", "2019-10-31T13:00:00", "2022-10-31T13:00:00"),
        ("AU", None, "2019-10-31T12:59:59", None),
        ("NZ", None, "2026-03-15T11:00:00", "2029-03-15T11:00:00"),
        ("NZ", None, "2026-03-15T10:59:59", None),
        ("DE", None, "2026-03-02T09:00:00", None),
        ("CA", "US-CA", "2026-03-02T09:00:00", None),
    ],
)
def test_how_long_paid_value_lasts_is_a_matter_of_place_and_day(
    country: str, region: str | None, at: str, until: str | None
) -> None:
    assert minimum_expiry(country, region, _at(at)) == (None if until is None else _at(until))


def test_an_expiry_below_the_minimum_is_refused_by_name_and_one_at_it_is_not() -> None:
    least = minimum_expiry("US", None, NOW)
    assert least is not None
    assert refuse_expiry("US", None, NOW, least) is None
    assert refuse_expiry("DE", None, NOW, NOW + SECOND) is None
    refusal = refuse_expiry("US", None, NOW, least - SECOND)
    assert refusal is not None and refusal.source is not None
    assert (refusal.code, refusal.source.name) == ("InvalidRequest", "/data/attributes/expiresAt")
    assert "us-minimum-expiry" in refusal.detail and "60 months" in refusal.detail


@pytest.mark.parametrize(
    ("country", "region", "currency", "at", "below"),
    [
        ("US", "US-CA", "USD", "2020-01-01T00:00:00", 1000),
        ("US", "US-CA", "USD", "2026-04-01T06:59:59", 1000),
        ("US", "US-CA", "USD", "2026-04-01T07:00:00", 1500),
        ("US", "US-CA", "EUR", "2026-04-01T07:00:00", None),
        ("US", None, "USD", "2026-04-01T07:00:00", None),
        ("US", "US-NV", "USD", "2026-04-01T07:00:00", None),
        ("AU", None, "AUD", "2026-04-01T07:00:00", None),
    ],
)
def test_what_is_paid_out_is_a_matter_of_place_and_day(
    country: str, region: str | None, currency: str, at: str, below: int | None
) -> None:
    assert cash_out_threshold(country, region, currency, _at(at)) == below


@pytest.mark.parametrize(
    "change",
    [
        {"months": None},
        {"months": 0},
        {"months": 1201},
        {"months": "60"},
        {"below": 5},
        {"country": "us"},
        {"country": "USA"},
        {"region": "CA-ON"},
        {"region": "US-NV"},
        {"country": "FR"},
        {"name": ""},
        {"name": "us-ca-cash-out-10"},
        {"kind": "maximumExpiry"},
        {"kind": "cashOut"},
        {"from": "2010-08-32"},
        {"from": "2030-01-01", "until": "2030-01-01"},
        {"source": {"title": "x", "url": "http://example.com"}},
        {"source": {"title": " ", "url": "https://example.com"}},
        {"source": None},
        {"colour": "red"},
    ],
)
def test_a_rule_that_is_unclear_is_not_read(change: dict[str, Any]) -> None:
    file = _file()
    file["rules"][0] |= change
    with pytest.raises(UnusableRules):
        jurisdictions.read(msgspec.json.encode(file))


def test_two_rules_do_not_hold_at_one_time_for_one_place() -> None:
    file = _file()
    ten, fifteen = (rule for rule in file["rules"] if rule["kind"] == "cashOut")
    ten["until"] = "2026-04-02"
    with pytest.raises(UnusableRules, match="us-ca-cash-out-10"):
        jurisdictions.read(msgspec.json.encode(file))
    ten["until"], fifteen["from"] = None, None
    with pytest.raises(UnusableRules, match="at one time"):
        jurisdictions.read(msgspec.json.encode(file))


def test_what_is_no_file_of_rules_is_not_read() -> None:
    for text in (b"", b"[]", b'{"rules": []}', b'{"zones": {}, "rules": [1]}'):
        with pytest.raises(UnusableRules):
            jurisdictions.read(text)


async def test_partners_read_the_rules_with_their_sources(api: Api) -> None:
    answer = await api.get("gift-card-rules?page[limit]=50")
    assert {each["type"] for each in answer.data} == {"GiftCardRule"}
    assert answer.body["meta"]["total"] == len(jurisdictions.rules())
    found = {each["attributes"]["name"]: each for each in answer.data}
    assert found["nz-minimum-expiry"]["attributes"] == {
        "name": "nz-minimum-expiry",
        "country": "NZ",
        "region": None,
        "kind": "minimumExpiry",
        "months": 36,
        "below": None,
        "currency": None,
        "allowed": None,
        "effectiveFrom": "2026-03-16",
        "effectiveUntil": None,
        "note": "Loyalty cards are exempt.",
        "source": found["nz-minimum-expiry"]["attributes"]["source"],
    }
    one = await api.get(f"gift-card-rules/{found['us-ca-cash-out-15']['id']}")
    assert (one.status, one.attributes["below"]) == (200, 1500)
    for missing in (str(ids.new()), "x"):
        refused(await api.get(f"gift-card-rules/{missing}"), 404, "NotFound")
    australian = await api.get("gift-card-rules?filter[country]=AU&page[limit]=1&page[offset]=1")
    assert ([each["attributes"]["name"] for each in australian.data], australian.body["meta"]["total"]) == (
        ["au-inactivity-fee"],
        2,
    )


async def test_a_paid_card_cannot_be_sold_with_a_shorter_term_than_the_law_asks(api: Api) -> None:
    early, legal = "2031-03-02T08:59:59.999Z", "2031-03-02T09:00:00.000Z"
    refused(await issue(api, expiresAt=early), 400, "InvalidRequest", "/data/attributes/expiresAt")
    assert (await issue(api, expiresAt=legal)).status == 201
    assert (await issue(api, expiresAt=early, valueClass="promotional")).status == 201
