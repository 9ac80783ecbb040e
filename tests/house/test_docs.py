"""What the documents say of the house is so: links, tables, commands, paths, routes, names."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from tallystick import events
from tallystick.base.settings import OF_COMMANDS, Settings, variable
from tallystick.cli import app, demo
from tests.house import reference
from tests.house.places import PACKAGE, ROOT

PAGES: Final = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
EACH = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]
DECISIONS: Final = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ROUTE = re.compile(r"\b(GET|POST|PATCH|PUT|DELETE) (/api/v1/[\w/{}-]+)")
FILE = re.compile(r"(?:[a-z_]+/)+[a-z_]+\.(?:py|sql)|[a-z_]+\.(?:py|sql|toml)")
VARIABLE = re.compile(r"\bTALLYSTICK_[A-Z_]+[A-Z]\b")
TOPIC = re.compile(r"(?:reward|wallet|merchant|credential)\.[a-z_]+")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where markdown is shown."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(page: Path, content: str) -> list[str]:
    """Links within the project that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", content)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            found.append(link)
    return found


def code(content: str) -> Iterator[str]:
    """Everything written as code: between backticks, and the lines of blocks."""
    yield from CODE.findall(FENCE.sub("", content))
    for block in FENCE.findall(content):
        yield from block.splitlines()


def unknown_commands(content: str) -> list[str]:
    """`make` and `tallystick` commands that there are not, or that have no such option."""
    verbs = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))
    found = []
    for line in code(content):
        words = line.split("#")[0].split()
        if words[:1] == ["make"] and len(words) > 1 and words[1] not in verbs:
            found.append(line)
        if words and words[0].removeprefix(".venv/bin/") == "tallystick" and not _runs(words[1:]):
            found.append(line)
    return found


def _runs(words: list[str]) -> bool:
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return False
        command, words = command.commands[words[0]], words[1:]
    passes_on = command.ignore_unknown_options or command.context_settings.get("ignore_unknown_options", False)
    known = {option for each in command.params for option in each.opts} | {"--help"}
    return all(passes_on or word.split("=")[0] in known for word in words if word.startswith("--"))


def unknown_names(content: str) -> list[str]:
    """Routes, files, settings and topics that are named and are not there."""
    table = {(route.method, re.sub(r"\{\w+\}", "{id}", route.path)) for route in reference.table()}
    files = {str(path.relative_to(base)) for base in (ROOT, PACKAGE) for path in PACKAGE.rglob("*.*")}
    names = {Path(path).name for path in files} | {path.name for path in ROOT.iterdir()}
    settings = {variable(each) for each in _fields()} | OF_COMMANDS
    topics = {topic.name for topic in events.TOPICS}
    # Kinds of journals and codes of accounts are literals of the code.
    literals = {found for path in PACKAGE.rglob("*.py") for found in re.findall(r'"([a-z]+\.[a-z_]+)"', text(path))}
    said = [(m, re.sub(r"\{\w+\}", "{id}", path.rstrip("/"))) for m, path in ROUTE.findall(content)]
    found = [f"{m} {path}" for m, path in said if (m, path) not in table]
    for span in CODE.findall(FENCE.sub("", content)):
        if FILE.fullmatch(span) and span not in files and span not in names and not (ROOT / span).exists():
            found.append(span)
        if TOPIC.fullmatch(span) and span not in topics | literals:
            found.append(span)
    return found + [name for name in VARIABLE.findall(content) if name not in settings]


def _fields() -> Any:
    return Settings.__dataclass_fields__.values()


@pytest.mark.parametrize("page", EACH)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page, text(page)) == []


@pytest.mark.parametrize("page", EACH)
def test_every_command_can_be_run(page: Path) -> None:
    assert unknown_commands(text(page)) == []


@pytest.mark.parametrize("page", EACH)
def test_every_route_file_setting_and_topic_is_there(page: Path) -> None:
    assert unknown_names(text(page)) == []


@pytest.mark.parametrize("path", reference.pages(), ids=lambda path: path.name)
def test_the_reference_is_what_the_code_says(path: Path) -> None:
    assert text(path) == reference.pages()[path], "write it anew: python -m tests.house.reference"


def test_every_page_is_reached_from_the_index() -> None:
    index = {(ROOT / "docs" / link).resolve() for link in LINK.findall(text(ROOT / "docs" / "README.md"))}
    decisions = {(ROOT / "docs" / "decisions" / link) for link in LINK.findall(text(DECISIONS[0].parent / "README.md"))}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - index - decisions == {
        ROOT / "docs" / "README.md"
    }


def test_every_decision_has_its_number_its_four_headings_and_half_a_page() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        assert text(page).startswith(f"# {page.name[:4]} · "), page.name
        headings = re.findall(r"^## (.+)$", text(page), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], page.name
        prose = [line for line in text(page).splitlines() if line and not line.startswith(("|", "#"))]
        assert len(prose) <= 24, f"{page.name} is longer than half a page"
        title = text(page).splitlines()[0][2:]
        assert f"[{title}]({page.name})" in text(page.parent / "README.md"), title


def test_every_runtime_dependency_has_its_reason() -> None:
    stated = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["dependencies"]
    wanted = sorted(re.split(r"[><=;\[ ]", each)[0] for each in stated)
    assert re.findall(r"^\| `([a-z0-9-]+)` \| .", text(DECISIONS[1]), re.MULTILINE) == wanted


def test_the_floors_are_those_that_are_enforced() -> None:
    contract = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    enforced = [sorted(layer.split(" | ")) for layer in contract["layers"] if layer != "__main__"]
    drawn = re.findall(r"^ ?\d+  (\S+(?: · \S+)*) ", text(ROOT / "ARCHITECTURE.md"), re.MULTILINE)
    assert [sorted(floor.split(" · ")) for floor in drawn] == enforced


def test_readme_is_one_screen_and_architecture_one_page() -> None:
    assert len(text(ROOT / "README.md").splitlines()) <= 50
    assert len(text(ROOT / "ARCHITECTURE.md").splitlines()) <= 75


def test_readme_shows_the_command_that_the_demo_prints() -> None:
    written = next(block for block in FENCE.findall(text(ROOT / "README.md")) if block.startswith("curl"))
    sandbox = {"clientId": "…", "clientSecret": "…"}
    printed = demo._examples("http://127.0.0.1:8080", sandbox)[0][1]
    words = shlex.split(written.replace("\\\n", " "))  # as a shell joins lines
    assert [re.sub(r"\s+", " ", word) for word in words] == list(printed)


def test_what_is_planted_is_found() -> None:
    page = ROOT / "README.md"
    assert broken_links(page, "[a](nowhere.md) [b](README.md#nothing) [c](README.md#tallystick)") == [
        "nowhere.md",
        "README.md#nothing",
    ]
    planted = "`make tea` `make test` `tallystick fly` `tallystick up --wings` `tallystick keys rotate FILE --json`"
    assert unknown_commands(planted) == ["make tea", "tallystick fly", "tallystick up --wings"]
    planted = "`GET /api/v1/tea` `GET /api/v1/rewards/{id}` `base/tea.py` `base/http.py` TALLYSTICK_TEA `reward.brewed`"
    assert unknown_names(planted) == ["GET /api/v1/tea", "base/tea.py", "reward.brewed", "TALLYSTICK_TEA"]
