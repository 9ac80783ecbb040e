"""Small files, small functions, plain names, and a project that speaks of itself only."""

import ast
import importlib
import pkgutil
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import tallystick
from tallystick.base.errors import Refusal
from tests.house.places import PACKAGE, ROOT, sources

FILE_LINES = 400
FUNCTION_LINES = 60

VAGUE_NOUNS = {"manager", "helper", "helpers", "util", "utils", "data", "info", "misc", "common", "stuff"}
VAGUE_VERBS = {"process", "handle", "manage", "do"}
"""Words that say nothing about what a thing is, at the end of its name, or does, at the beginning."""

# Pieces, so that this file does not find itself.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(work|root|opt)/" + r"\w",
            "python" + "hosted",
            "pypi" + r"\.org",
            "--index" + "-url http",
            "find-" + "links [/f]",
            r"\b(TO" + r"DO|FIX" + r"ME)\b",
        ]
    )
)
READ = {".py", ".sql", ".md", ".toml", ".txt", ".html", ".css", ".js", ".json", ".yml", ""}
GENERATED = {"LICENSE"}


def long_functions(source: str) -> list[str]:
    """Functions longer than a screen, docstring and all."""
    return [
        f"{node.name} has {lines} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def vague_names(source: str) -> list[str]:
    """Functions and classes named by a word that says nothing."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and vague(node.name)
    ]


def vague(name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
    return bool(words) and (words[-1] in VAGUE_NOUNS or words[0] in VAGUE_VERBS)


def effects(source: str) -> list[int]:
    """Lines at module level that call something for its effect, unless on what the module itself has just made."""
    tree = ast.parse(source)
    own = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        node.lineno
        for node in tree.body
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant) and _root(node.value) not in own
    ]


def _root(node: ast.expr) -> str:
    """The name that an expression such as `app.command()(up)` begins with, if it goes on from there."""
    begun = node.func if isinstance(node, ast.Call) else node
    while isinstance(begun, (ast.Attribute, ast.Call)):
        begun = begun.value if isinstance(begun, ast.Attribute) else begun.func
    return begun.id if isinstance(begun, ast.Name) else ""


def twice(codes: list[str]) -> list[str]:
    return [code for code, count in Counter(codes).items() if count > 1]


def refusals(base: type[Refusal] = Refusal) -> list[type[Refusal]]:
    """Every error of the house that has a code of its own, once all its modules are imported."""
    found = []
    for kind in base.__subclasses__():
        if kind.__module__.startswith("tallystick."):
            found += [*([kind] if "code" in vars(kind) else []), *refusals(kind)]
    return found


@pytest.fixture(scope="module")
def whole_house() -> None:
    for module in pkgutil.walk_packages(tallystick.__path__, "tallystick."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def kept_files() -> list[Path]:
    """What belongs to the project: what git keeps, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.is_file() and path.suffix in READ and path.name not in GENERATED]


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert lengths
    assert [f"{path.relative_to(ROOT)}: {lines}" for path, lines in lengths.items() if lines > FILE_LINES] == []


def test_functions_fit_a_screen() -> None:
    found = {str(path.relative_to(ROOT)): long_functions(path.read_text(encoding="utf-8")) for path in sources()}
    assert {path: names for path, names in found.items() if names} == {}


def test_names_say_what_things_are() -> None:
    found = {str(path.relative_to(ROOT)): vague_names(path.read_text(encoding="utf-8")) for path in sources()}
    assert {path: names for path, names in found.items() if names} == {}
    assert [path for path in found if vague(Path(path).stem)] == []


def test_every_error_has_a_code_of_its_own_and_a_sentence(whole_house: None) -> None:
    kinds = refusals()
    assert len(kinds) > 10
    assert twice([kind.code for kind in kinds]) == []
    for kind in kinds:
        assert re.fullmatch(r"([A-Z][a-z]+)+", kind.code), kind
        assert 400 <= kind.status < 600, kind
        assert re.fullmatch(r"[A-Z].*[.]", kind.title), kind


def test_the_project_speaks_of_itself_only() -> None:
    files = kept_files()
    assert len(files) > 20
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := FOREIGN.search(line))
    ]
    assert found == []


def test_importing_a_module_has_no_effect() -> None:
    found = {str(path.relative_to(ROOT)): effects(path.read_text(encoding="utf-8")) for path in sources(PACKAGE)}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_is_planted_is_found() -> None:
    body = "\n".join(["    pass"] * FUNCTION_LINES)
    assert long_functions(f"def long():\n{body}\n") == ["long has 61 lines"]
    assert long_functions("def short():\n    pass\n") == []
    assert vague_names(
        "class OrderManager: ...\ndef process_order(): ...\ndef processes(): ...\nclass Handler: ...\ndef data_directory(): ..."
    ) == [
        "OrderManager",
        "process_order",
    ]
    assert twice(["A", "B", "A"]) == ["A"]
    assert effects("import logging\napp = Typer()\napp.add(more)\nlogging.basicConfig()\nrun()\n") == [4, 5]
    for line in (
        "see /ro" + "ot/x",
        "in /wo" + "rk/main",
        "# TO" + "DO later",
        "https://files.python" + "hosted.example",
    ):
        assert FOREIGN.search(line), line
    for line in ("as root", "work/life", "https://example.com/work/1"):
        assert not FOREIGN.search(line), line
