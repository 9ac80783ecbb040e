"""What follows from an answer, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tallystick.webhooks.model import Answer
from tallystick.webhooks.schedule import DELAYS, JITTER, WAIT_MAX, retry_after, verdict

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def answered(status: int | None, fault: Any = "status", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, b"", None if status is not None and 200 <= status < 300 else fault, 1)


def test_a_delivery_is_tried_for_three_days_at_least_and_a_jitter_only_makes_it_longer() -> None:
    assert sum(DELAYS, timedelta()) >= timedelta(hours=72)
    for tries, delay in enumerate(DELAYS, start=1):
        for jitter in (0.0, 0.5, 1.0):
            due_at = verdict(answered(500), tries, NOW, jitter).due_at
            assert due_at is not None and delay <= due_at - NOW <= delay * (1 + JITTER)
    assert verdict(answered(500), len(DELAYS) + 1, NOW, 0.5).status == "failed"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_success(status: int) -> None:
    assert verdict(answered(status), 1, NOW, 0.0).status == "delivered"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
def test_anything_else_is_tried_again(status: int) -> None:
    assert verdict(answered(status), 1, NOW, 0.0).status == "pending"


@pytest.mark.parametrize("fault", ["blocked_address", "dns_error", "connect_error", "tls_error", "timeout", "reset"])
def test_what_never_answered_is_tried_again_whatever_the_reason(fault: str) -> None:
    found = verdict(answered(None, fault), 1, NOW, 0.0)
    assert (found.status, found.due_at, found.disables) == ("pending", NOW + DELAYS[0], None)


@pytest.mark.parametrize(
    ("stated", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("0", DELAYS[0]),
        ("1", DELAYS[0]),
        ("86400", WAIT_MAX),
        ("999999999", WAIT_MAX),
        ("9" * 40, DELAYS[0]),
        ("-5", DELAYS[0]),
        ("1.5", DELAYS[0]),
        ("soon", DELAYS[0]),
        ("", DELAYS[0]),
        ("Mon, 02 Mar 2026 09:10:00 GMT", timedelta(minutes=10)),
        ("Mon, 02 Mar 2026 08:10:00 GMT", DELAYS[0]),
        ("Fri, 31 Dec 9999 23:59:59 GMT", WAIT_MAX),
        ("Mon, 99 Foo 2026", DELAYS[0]),
        ("Mon, 02 Mar 2026 09:10:00", timedelta(minutes=10)),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_receiver_may_ask_for_more_time_but_not_for_less_nor_for_more_than_a_day(
    stated: str, wait: timedelta, status: int
) -> None:
    assert verdict(answered(status, retry_after=stated), 1, NOW, 0.0).due_at == NOW + wait


def test_the_longest_slot_is_not_cut_by_what_a_receiver_asks() -> None:
    found = verdict(answered(503, retry_after="10"), len(DELAYS), NOW, 1.0)
    assert found.due_at == NOW + DELAYS[-1] * (1 + JITTER)


def test_a_success_that_asks_for_time_is_a_success() -> None:
    assert verdict(answered(200, retry_after="60"), 1, NOW, 0.0).status == "delivered"
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
    ("answer", "status", "disables"),
    [
        (answered(410), "failed", "gone"),
        (answered(200, webhook_delivery="disable"), "delivered", "receiver"),
        (answered(500, webhook_delivery="Disable "), "failed", "receiver"),
        (answered(410, webhook_delivery="disable"), "failed", "receiver"),
        (answered(500, webhook_delivery="abort-message"), "failed", None),
        (answered(200, webhook_delivery="abort-message"), "delivered", None),
        (answered(500, webhook_delivery="whatever"), "pending", None),
    ],
)
def test_a_receiver_may_end_a_message_or_all_of_them(answer: Answer, status: str, disables: str | None) -> None:
    found = verdict(answer, 1, NOW, 0.0)
    assert (found.status, found.disables) == (status, disables)
