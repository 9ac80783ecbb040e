"""The reference page: whole, offline, safe to show, and fit to be read by anyone."""

import json
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tallystick import events, main, partners
from tallystick.base import openapi, reference
from tallystick.base.routes import Call, Parameter, Reply, Resource, Route, Takes

VOID = {"meta", "link", "br", "input", "path", "wbr"}
HOSTILE = """</script><script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7*7 }}'`"""


class Outline(HTMLParser):
    """What a page is made of: its elements with their attributes, its text, and whether everything that opens closes."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(attribute)) is not None]


def described(routes: tuple[Route, ...], **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "topics": events.TOPICS,
        "scopes": partners.SCOPES,
        "title": "Tallystick",
        "version": "1",
        "server_url": "http://127.0.0.1:8080",
        "told": main.told(),
    }
    return openapi.document(routes, **{**given, **changed})


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return described(main.routes(None))  # type: ignore[arg-type]  # nothing is asked of the directory


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> bytes:
    return reference.page(document)


@pytest.fixture(scope="module")
def outline(page: bytes) -> Outline:
    return Outline(page)


def test_the_page_asks_nothing_of_the_network(page: bytes, outline: Outline) -> None:
    assert not {tag for tag, _ in outline.elements} & {
        "img",
        "iframe",
        "object",
        "embed",
        "video",
        "audio",
        "base",
        "form",
    }
    assert outline.all("src") == outline.all("srcset") == outline.all("action") == outline.all("style") == []
    assert {link for tag, attrs in outline.elements if tag == "link" and (link := attrs["href"])} == {"data:,"}
    assert {link for link in outline.all("href") if link[0] != "#"} == {"data:,", "/openapi.json"}
    assert not re.search(rb"url\(|@import|fetch\(|XMLHttpRequest|import\(", page)
    assert "default-src 'none'" in outline.all("content")[2]


def test_the_page_is_small(page: bytes) -> None:
    assert len(page) < 1_250_000  # a hundred and eighty operations, each with its documents and examples


def test_every_link_within_the_page_leads_somewhere(outline: Outline) -> None:
    names = Counter(outline.all("id"))
    assert [name for name, times in names.items() if times > 1] == []
    assert {link[1:] for link in outline.all("href") if link.startswith("#")} <= names.keys()
    assert set(outline.all("aria-labelledby")) <= names.keys()


def test_every_operation_is_there_and_in_the_contents(document: dict[str, Any], outline: Outline) -> None:
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            operation = item[method]
            assert operation["operationId"] in outline.all("id")
            assert outline.all("href").count("#" + operation["operationId"]) >= 2
            assert path in outline.text
            assert operation["security"][0]["oauth2"][0] in outline.text


def test_every_code_scope_topic_and_type_is_catalogued(document: dict[str, Any], outline: Outline) -> None:
    for error in document["x-errors"]:
        assert f"error-{error['code']}" in outline.all("id")
        assert error["remedy"] in outline.text
    for name in (*partners.SCOPES, *document["webhooks"]):
        assert name in outline.text
    for kind in ("Reward", "Wallet", "WebhookEvent"):
        assert f"type-{kind}" in outline.all("id")


def test_limits_are_told_in_words(outline: Outline) -> None:
    for words in (
        "1 to 2,147,483,647",
        "at most 500 characters",
        "1 to 10,000 items",
        "recipients[].phoneNumber",
        "balance.owed",
    ):
        assert words in outline.text


def test_people_who_do_not_see_the_page_find_their_way(outline: Outline) -> None:
    tags = Counter(tag for tag, _ in outline.elements)
    assert (tags["h1"], tags["main"], tags["nav"], tags["header"], tags["footer"]) == (1, 1, 1, 1, 1)
    assert tags["caption"] == tags["table"]
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert outline.elements[0] == ("html", {"lang": "en"})
    assert all("scope" in attrs for tag, attrs in outline.elements if tag == "th")


@pytest.mark.parametrize("paper", ["paper", "code", "raised"])
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_can_be_read_on_its_paper(scheme: int, paper: str) -> None:
    style = (files(reference.__package__) / "pages" / "reference.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w+)", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))
    for name in ("ink", "soft", "accent", "k", "s", "n", "get", "post", "patch", "put", "delete"):
        lighter, darker = sorted((luminance(colours[name]), luminance(colours[paper])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    digits = colour[1:] if len(colour) == 7 else "".join(each * 2 for each in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class NoteAttributes(msgspec.Struct, rename="camel"):
    text: str


class NewNote(msgspec.Struct, rename="camel"):
    text: str


NoteAttributes.__doc__ = NewNote.__doc__ = HOSTILE


async def write_note(call: Call) -> Reply:
    raise NotImplementedError


write_note.__doc__ = HOSTILE
NOTE = Route(
    "POST",
    "/api/v1/notes/{id}",
    write_note,
    "notes:write",
    HOSTILE,
    takes=Takes(NewNote, ("Note",), {"text": HOSTILE}),
    gives=Resource("Note", "/api/v1/notes", NoteAttributes, {"text": HOSTILE}),
    query=(Parameter("filter[phoneNumber]", HOSTILE, required=True),),
    keyed=True,
)


def test_what_is_described_is_shown_and_never_run() -> None:
    safe, hostile = (
        Outline(
            reference.page(described((NOTE,), scopes={"notes:write": text}, title=text, server_url=text, topics=()))
        )
        for text in ("plain", HOSTILE)
    )
    # Spans colour the words of examples; there are more words.
    built = [Counter(tag for tag, _ in page.elements if tag != "span") for page in (safe, hostile)]
    assert built[0] == built[1]
    assert not any(name.startswith("on") for _, attrs in hostile.elements for name in attrs)
    assert "<img src=x onerror=alert(2)>{{ 7*7 }}" in hostile.text


def test_commands_can_be_pasted_into_a_shell() -> None:
    page = Outline(reference.page(described((NOTE,))))
    (command,) = re.findall(r"curl -X POST .*?\n}'", page.text, re.DOTALL)
    words = shlex.split(command.replace("\\\n", ""))
    assert words[:4] == [
        "curl",
        "-X",
        "POST",
        "$TALLYSTICK_URL/api/v1/notes/$ID?filter%5BphoneNumber%5D=%2B15551234567",
    ]
    assert words[4:-2:2] == ["-H"] * 4
    assert words[5:-2:2] == [
        "Client-ID: $CLIENT_ID",
        "Authorization: Bearer $CLIENT_SECRET",
        "Idempotency-Key: case-98765-1",
        "Content-Type: application/vnd.api+json",
    ]
    assert json.loads(words[-1]) == {"data": {"type": "Note", "attributes": {"text": HOSTILE}}}


def test_a_command_that_changes_a_resource_names_it_in_the_path_alone(outline: Outline) -> None:
    command = outline.text.split('curl -X PATCH "$TALLYSTICK_URL/api/v1/rewards/$ID"')[1].split("\n}'")[0] + "\n}'"
    body = shlex.split(command.replace("\\\n", ""))[-1]
    assert json.loads(body) == {"data": {"type": "UpdateReward", "attributes": {"amount": 750}}}


def test_a_house_with_nothing_in_it_has_a_page() -> None:
    assert "Error catalogue" in Outline(reference.page(described((), topics=()))).text


def test_the_same_document_gives_the_same_page(document: dict[str, Any], page: bytes) -> None:
    assert reference.page(document) == page
