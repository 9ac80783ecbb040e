"""Where things of the house are, found once for all its checks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "tallystick"
DATABASE: Final = PACKAGE / "db"

CLASS = re.compile(r"^-- class: (\w+)|^create table (\w+) \(", re.MULTILINE)


def sources(under: Path = PACKAGE) -> Iterator[Path]:
    """Every Python file below a directory."""
    return (path for path in sorted(under.rglob("*.py")) if ".venv" not in path.parts)


def migrations() -> list[Path]:
    return sorted((DATABASE / "migrations").glob("*.sql"))


def classes() -> dict[str, str]:
    """The class of every table, as declared above it in its migration: `tenant`, `directory`, `local` or `reference`."""
    found: dict[str, str] = {}
    for path in migrations():
        declared = ""
        for line in CLASS.finditer(path.read_text(encoding="utf-8")):
            declared = line[1] or declared
            if line[2]:
                found[line[2]] = declared
    return found


def tables_of(kind: str) -> frozenset[str]:
    return frozenset(name for name, declared in classes().items() if declared == kind)
