"""Logs: what happened and where, and nothing about anyone."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids, logs

CANARIES = (
    "+15551234567",
    "(555) 123-4567",
    "anna.canary@example.com",
    "tly_production_canaryKq3",
    "Bearer canary",
    "123456",
    "v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "postgresql://app:canary@db/x",
)


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A place to log to; afterwards logging is as it was."""
    root, hook = logging.getLogger(), sys.excepthook
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], sys.excepthook = before, hook
    root.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_declared_keys(out: io.StringIO) -> None:
    request = ids.new()
    logs.for_request(request).info("The request was answered.", status=200, ms=1.5, route="/api/v1/rewards/{id}")
    (line,) = lines(out)
    assert datetime.now(UTC) >= datetime.fromisoformat(line.pop("at"))
    assert line == {
        "request_id": str(request),
        "status": 200,
        "ms": 1.5,
        "route": "/api/v1/rewards/{id}",
        "level": "info",
        "event": "The request was answered.",
    }


def test_a_key_that_is_not_declared_is_dropped_and_counted(out: io.StringIO) -> None:
    logs.log().info("Something happened.", phone="+1", body={}, code="1", status=200)
    (line,) = lines(out)
    assert line["dropped"] == 3
    assert line["status"] == 200
    assert not {"phone", "body", "code"} & line.keys()


@pytest.mark.parametrize("canary", CANARIES)
def test_nothing_private_gets_through_by_any_road(out: io.StringIO, canary: str) -> None:
    log = logs.log(reason=canary)
    log.info("Something happened.", route=f"/x?y={canary}", directory=canary, state=[canary], count={"a": canary})
    log.info(f"The phone is {canary}")  # noqa: G004 - the mistake that must do no harm
    log.info("The phone is %s", canary)
    log.warning("Something happened.", phone=canary)
    for fault in (
        ValueError(canary),
        asyncpg.UniqueViolationError(canary),
        KeyError(canary),
        OSError(2, canary, canary),
    ):
        try:
            raise RuntimeError(canary) from fault  # noqa: TRY301 - it is caught on purpose
        except RuntimeError:
            log.exception("Something failed.")
        log.error("Something failed.", exc_info=fault)
    logging.getLogger("library").warning("sent %s", canary)
    logging.getLogger("library").warning(canary)
    logging.getLogger("library").error("first\n" + canary, exc_info=ValueError(canary))  # noqa: G003 - the same
    sys.excepthook(ValueError, ValueError(canary), None)
    assert len(lines(out)) == 16
    assert canary not in out.getvalue()
    assert "canary" not in out.getvalue()


def test_an_exception_is_told_by_type_and_places(out: io.StringIO) -> None:
    def insert(phone: str) -> None:
        raise asyncpg.UniqueViolationError(f"Key (phone)=({phone}) already exists.")

    def fail(phone: str) -> None:
        try:
            insert(phone)
        except asyncpg.UniqueViolationError as error:
            raise LookupError(phone) from error

    try:
        fail("+15551234567")
    except LookupError:
        logs.log().exception("Something failed.")
    (line,) = lines(out)
    assert line["error"] == "LookupError"
    assert [place.split(":")[0].rpartition(".")[2] for place in line["places"]] == [
        "test_an_exception_is_told_by_type_and_places",
        "fail",
    ]
    assert line["caused_by"][0].startswith("asyncpg.exceptions.UniqueViolationError at ")
    assert ".insert:" in line["caused_by"][0]


def test_of_a_database_error_class_and_sqlstate_are_told(out: io.StringIO) -> None:
    logs.log().error("Something failed.", exc_info=asyncpg.UniqueViolationError("Key (phone)=(1)"))
    (line,) = lines(out)
    assert (line["error"], line["sqlstate"]) == ("asyncpg.exceptions.UniqueViolationError", "23505")


def test_of_a_system_error_its_name_is_told_and_of_a_group_the_first(out: io.StringIO) -> None:
    logs.log().error("Something failed.", exc_info=ExceptionGroup("x", [OSError(98, "x"), ValueError("y")]))
    (line,) = lines(out)
    assert (line["error"], line["reason"]) == ("OSError", "EADDRINUSE")


def test_a_library_is_heard_without_what_it_fills_in(out: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 4711)
    logging.getLogger("uvicorn.error").debug("not at this level")
    (line,) = lines(out)
    assert (line["logger"], line["event"], line["level"]) == ("uvicorn.error", "Started server process [_]", "info")


async def test_a_task_that_fails_unheard_tells_no_message(out: io.StringIO) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": ValueError("+15551234567")}
    )
    (line,) = lines(out)
    assert (line["event"], line["error"]) == ("Task exception was never retrieved", "ValueError")
    assert "5551234567" not in out.getvalue()


def test_lines_below_the_level_are_not_written(out: io.StringIO) -> None:
    logs.log().debug("Nothing to see.")
    assert out.getvalue() == ""


def test_people_get_text_and_no_value_begins_a_line_of_its_own() -> None:
    stream = io.StringIO()
    try:
        logs.configure("info", "text", stream)
        logs.log().info("The server is ready.", port=8080, reason="one\ntwo three", host="127.0.0.1")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = []
        sys.excepthook = sys.__excepthook__
    (line,) = stream.getvalue().splitlines()
    assert line[13:] == 'info    The server is ready.  port=8080 reason="one\\ntwo three" host=127.0.0.1'


def test_without_a_terminal_lines_are_json() -> None:
    stream = io.StringIO()
    try:
        logs.configure("info", None, stream)
        logs.log().info("The server is ready.")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = []
        sys.excepthook = sys.__excepthook__
    assert json.loads(stream.getvalue())["event"] == "The server is ready."


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(logs.ALLOWED - {"event"} | {"phone"})), VALUES, max_size=6))
def test_any_value_becomes_one_line(values: dict[str, Any]) -> None:
    line = logs._stamp(None, "info", logs.permit(None, "info", {"event": "Something happened.", **values}))
    assert line.keys() <= logs.ALLOWED
    read = json.loads(logs._json(None, "info", line))
    assert datetime.fromisoformat(read["at"]).tzinfo is not None
    places = line["places"] if isinstance(line.get("places"), list) else []
    assert logs._text(None, "info", line).count("\n") == len(places)
