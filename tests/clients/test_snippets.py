"""Every language's verifier says the same of the same deliveries; each runs as a process of its own."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.vectors import CASES, CLIENTS, Case
from tests.machine import need

HARNESS = Path(__file__).parent / "harness"


@dataclass(frozen=True)
class Language:
    """What runs it, and how to make the command in an empty directory."""

    name: str
    runtime: str
    command: Callable[[Path], Sequence[str]]


def _python(place: Path) -> Sequence[str]:
    return (sys.executable, "-I", str(HARNESS / "python.py"), str(CLIENTS / "python" / "tallystick_webhooks.py"))


def _node(place: Path) -> Sequence[str]:
    return ("node", str(HARNESS / "node.mjs"), str(CLIENTS / "node" / "tallystick-webhooks.mjs"))


def _java(place: Path) -> Sequence[str]:
    sources = (str(CLIENTS / "java" / "TallystickWebhooks.java"), str(HARNESS / "Harness.java"))
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-encoding", "UTF-8", "-d", str(place), *sources], check=True)
    return ("java", "-XX:TieredStopAtLevel=1", "-cp", str(place), "Harness")


def _php(place: Path) -> Sequence[str]:
    return ("php", str(HARNESS / "php.php"), str(CLIENTS / "php" / "TallystickWebhooks.php"))


def _ruby(place: Path) -> Sequence[str]:
    return ("ruby", "-w", str(HARNESS / "ruby.rb"), str(CLIENTS / "ruby" / "tallystick_webhooks.rb"))


def _go(place: Path) -> Sequence[str]:
    shutil.copytree(CLIENTS / "go", place / "tallystickwebhooks")
    shutil.copy(HARNESS / "main.go", place)
    module = "module harness\n\ngo 1.20\n\nrequire tallystickwebhooks v0.0.0\nreplace tallystickwebhooks => ./tallystickwebhooks\n"
    (place / "go.mod").write_text(module)
    subprocess.run(["go", "build", "-o", "harness", "."], cwd=place, check=True)
    return (str(place / "harness"),)


LANGUAGES = [
    Language("python", sys.executable, _python),
    Language("node", "node", _node),
    Language("java", "javac", _java),
    Language("php", "php", _php),
    Language("ruby", "ruby", _ruby),
    Language("go", "go", _go),
]


def _line(case: Case) -> str:
    words = (case.message_id, case.timestamp, case.signature, " ".join(case.secrets), str(case.now))
    return " ".join(base64.b64encode(each).decode() for each in (case.body, *(word.encode() for word in words)))


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_the_verifier_takes_every_good_delivery_and_no_other(language: Language, tmp_path: Path) -> None:
    need(language.runtime)
    done = subprocess.run(
        language.command(tmp_path),
        input="".join(f"{_line(case)}\n" for case in CASES),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    said = dict(zip((case.name for case in CASES), done.stdout.splitlines(), strict=True))
    assert said == {case.name: "verified" if case.verified else "refused" for case in CASES}


def test_every_folder_of_verifiers_is_run_by_a_test() -> None:
    assert {folder.name for folder in CLIENTS.iterdir() if folder.is_dir()} == {each.name for each in LANGUAGES}
