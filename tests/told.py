"""What every event holds, whatever test recorded it: its topic's schema, a sequence without a gap, and nothing personal.

Each worker looks at its database when its tests are over, so that every story of the suite is one about events, too.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import asyncpg
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it carries no types

from tallystick import events, main
from tallystick.events import envelope

FAULTS_SHOWN: Final = 20
AT_ONCE: Final = 2_000

EVENTS: Final = """
select tenant_id, position, id, topic, subject_type, subject_id, sequence, at, document from events
order by tenant_id, subject_id, sequence, position
"""

PERSONAL: Final = {
    "a phone number": re.compile(r"\+\d{7,15}\b|(?<![\w-])\(?\d{3}\)?[ .-]?555[ .-]?\d{4}(?![\w-])"),
    "an e-mail address": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[a-z]{2,}", re.IGNORECASE),
    "a name of a person": re.compile(r"\b(?:Mira|Okafor|Ines|Jonas)\b"),
}
"""What tests tell the house of people, and no event may tell."""
FREE: Final = (
    "message",
    "notificationEmail",
    "phoneNumber",
    "email",
    "firstName",
    "lastName",
    "code",
    "pin",
    "clientSecret",
)
"""Attributes that are personal, or secret, wherever they stand."""


@lru_cache(maxsize=1)
def validators() -> dict[str, Draft202012Validator]:
    """What holds each topic's events against its schema, as a partner would."""
    catalogue = events.Catalogue.of(main.told(), "tests")
    checker = FormatChecker(("uuid",))
    return {name: Draft202012Validator(schema, format_checker=checker) for name, schema in catalogue.schemas.items()}


def faults(event: Any) -> Iterator[str]:
    """What is wrong with one event."""
    told = envelope.body(event["id"], event["topic"], event["at"], event["sequence"], event["document"])
    read = json.loads(told)
    for error in validators()[event["topic"]].iter_errors(read):
        yield f"{'/'.join(map(str, error.path))}: {error.message[:200]}"
    if (read["data"]["type"], read["data"]["id"]) != (event["subject_type"], str(event["subject_id"])):
        yield "the document is about another subject"
    yield from _personal(read["data"])


def _personal(document: Any) -> Iterator[str]:
    text = json.dumps(document, ensure_ascii=False)
    for what, pattern in PERSONAL.items():
        if found := pattern.search(text):
            yield f"{what} is told: {found[0]}"
    attributes = document.get("attributes", {})
    for name in FREE:
        if isinstance(attributes.get(name), str):
            yield f"{name} is told"


async def check(dsn: str) -> None:
    """Look at every event of a database. Raises AssertionError with what is wrong, by topic."""
    wrong: Counter[str] = Counter()
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        await connection.execute("set role tallystick_auditor")
        async with connection.transaction(readonly=True):
            before: Any = None
            async for event in connection.cursor(EVENTS, prefetch=AT_ONCE):
                wrong.update(f"{event['topic']}: {fault}" for fault in faults(event))
                following = 1
                if before is not None and (before["tenant_id"], before["subject_id"]) == (
                    event["tenant_id"],
                    event["subject_id"],
                ):
                    following = before["sequence"] + 1
                if event["sequence"] != following:
                    wrong[f"{event['topic']}: sequence {event['sequence']} where {following} comes next"] += 1
                before = event
    finally:
        await connection.close()
    shown = "\n".join(f"  {number} x {fault}" for fault, number in wrong.most_common(FAULTS_SHOWN))
    assert not wrong, f"What the tests of this worker recorded is not what is promised of events:\n{shown}"
