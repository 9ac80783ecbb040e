"""Logs: one line for each thing that happened, made of declared keys only.

What may be logged is an allow-list, so that no secret, phone number, code or body reaches a line by accident: a key
that is not declared is dropped and counted, a text that looks private is withheld, and of an exception the type and the
places are told, never the message or the values (a database error repeats the row it refused).
"""

import errno
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, TextIO, cast
from uuid import UUID

import structlog
from structlog.typing import FilteringBoundLogger

from tallystick.base import clock

Format = Literal["json", "text"]
Level = Literal["debug", "info", "warning", "error"]

_KEYS = """
who       request_id tenant_id programme_id partner_id client_id merchant_id environment actor
asked     method route status error_code outcome verb command replayed
things    event_id webhook_id delivery_id import_id job_id journal_id account_id reward_id
measures  count rows bytes queued batch attempt attempts limit remaining seconds ms lag_seconds size position
machine   loop step worker pid port host version migration directory signal exit_status state reason phase setting
added     at level event logger error sqlstate caused_by places dropped
"""
ALLOWED = frozenset(key for group in _KEYS.split("\n") for key in group.split()[1:])
"""Every key a line may have. Add one here when its values are never about a person and never secret."""

TEXT_MAX = 200
PLACES_MAX = 12
CAUSES_MAX = 5
WITHHELD = "[withheld]"

# What happened is a fixed sentence. Values belong in keys, where the list above decides.
_SENTENCE = re.compile(r"[A-Za-z][A-Za-z ,.;:'\"()\[\]/_+*=!?<>-]{0,158}")
# Five digits or more, however grouped; an e-mail address; a secret or key of ours; a password in an address.
_PRIVATE = re.compile(r"(?:\d[ ().-]{0,2}){5}|@|tly_|\bv\d+:[A-Za-z0-9_-]{20}|[Bb]earer|://[^/\s]*:[^/\s]*@")
_HARMLESS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{1,3}(\.\d{1,3}){3}")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")

# One encoder for all lines: json.dumps would make one for each.
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))

Line = MutableMapping[str, Any]


def configure(level: Level, form: Format | None, stream: TextIO | None = None) -> None:
    """Set up all logging of this process, the libraries' included, onto `stream` (default: standard error).

    `form` None is text on a terminal and JSON elsewhere. Called once, by the program that starts.
    """
    out = stream or sys.stderr
    chosen = form or ("text" if out.isatty() else "json")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.processors.add_log_level, _exception, permit, _stamp, _RENDERERS[chosen]],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    foreign = _Foreign(level=threshold)
    root = logging.getLogger()
    root.handlers[:] = [foreign]
    root.setLevel(threshold)
    sys.excepthook = _last_words


def log(**bound: object) -> FilteringBoundLogger:
    """A logger whose lines all carry `bound`. `log().info("The server is ready.", port=8080)`"""
    return cast(FilteringBoundLogger, structlog.get_logger().bind(**bound))


def for_request(request_id: UUID) -> FilteringBoundLogger:
    """A logger whose lines carry the id of one request."""
    return log(request_id=request_id)


def permit(_logger: object, _method: str, line: Line) -> Line:
    """The line with declared keys only, each a plain value; `dropped` counts the others."""
    kept: Line = {key: _plain(value) for key, value in line.items() if key in ALLOWED and key != "event"}
    state = line.get("sqlstate")
    if isinstance(state, str) and _SQLSTATE.fullmatch(state):
        kept["sqlstate"] = state
    kept["event"] = _sentence(line.get("event"))
    dropped = sum(key not in ALLOWED for key in line)
    if dropped:
        kept["dropped"] = dropped
    return kept


def describe(error: BaseException) -> Line:
    """An exception without its message: type, SQLSTATE or system error name, what caused it, and where it passed.

    Of a group the first is told: it failed, and the others were cancelled.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    line: Line = {"error": _type_of(error), "places": _places(error.__traceback__)}
    if state := getattr(error, "sqlstate", None):
        line["sqlstate"] = state
    if isinstance(error, OSError) and error.errno is not None:
        line["reason"] = errno.errorcode.get(error.errno, "unknown")
    causes: list[str] = []
    while len(causes) < CAUSES_MAX and (cause := _cause_of(error)) is not None:
        causes.append(" at ".join((_type_of(cause), *_places(cause.__traceback__)[-1:])))
        error = cause
    if causes:
        line["caused_by"] = causes
    return line


def _exception(_logger: object, _method: str, line: Line) -> Line:
    """`exc_info` becomes what `describe` tells of it."""
    told = line.pop("exc_info", None)
    if told is True:
        told = sys.exc_info()[1]
    elif isinstance(told, tuple):
        told = told[1]
    if isinstance(told, BaseException):
        line.update(describe(told))
    return line


def _stamp(_logger: object, _method: str, line: Line) -> Line:
    return {**line, "at": clock.render(clock.utc())}


def _sentence(event: object) -> str:
    if not isinstance(event, str) or _SENTENCE.fullmatch(event) is None or _PRIVATE.search(event):
        return WITHHELD
    return event


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else WITHHELD
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return clock.render(value) if value.tzinfo else WITHHELD
    if isinstance(value, list):
        return [_plain(one) for one in value[:PLACES_MAX]]
    if not isinstance(value, str):
        return f"[{type(value).__name__}]"
    if _PRIVATE.search(value) and _HARMLESS.fullmatch(value) is None:
        return WITHHELD
    return value[:TEXT_MAX]


def _cause_of(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _type_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _places(trace: TracebackType | None) -> list[str]:
    """The innermost frames, outermost first, as `module.function:line`."""
    frames = [
        (frame.f_globals.get("__name__", "?"), frame.f_code.co_name, at) for frame, at in traceback.walk_tb(trace)
    ]
    return [f"{module}.{function}:{at}" for module, function, at in frames[-PLACES_MAX:]]


def _json(_logger: object, _method: str, line: Line) -> str:
    return _ENCODER.encode(line)


def _text(_logger: object, _method: str, line: Line) -> str:
    """`18:30:00.000 info    The server is ready.  port=8080`, with the places of an exception below."""
    at, level, event = line.pop("at"), str(line.pop("level", "")), line.pop("event")
    places = line.pop("places") if isinstance(line.get("places"), list) else []
    rest = "".join(f" {key}={_readable(value)}" for key, value in line.items())
    below = "".join(f"\n    {_readable(place)}" for place in places)
    return f"{at[11:23]} {level:<7} {event}{' ' if rest else ''}{rest}{below}"


def _readable(value: object) -> str:
    """A text that cannot begin a line of its own."""
    return json.dumps(value) if not isinstance(value, str) or not value.isprintable() or " " in value else value


_RENDERERS = {"json": _json, "text": _text}


def _last_words(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    """What ends the process is told like every other exception: Python would print its message."""
    log().error("The process ends by an exception.", exc_info=error)


class _Foreign(logging.Handler):
    """Lines of libraries: name, level, template and exception. What they would fill in is left out."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelno if record.levelno in (10, 20, 30, 40, 50) else logging.INFO
        template = str(record.msg).splitlines()[0] if record.msg else ""
        sentence = re.sub(r"%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]", "_", template)
        told: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            told["exc_info"] = record.exc_info
        log().log(level, sentence, **told)
