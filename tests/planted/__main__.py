"""Plant every bug in a copy of the repository, one after another, and see its tests fail: `python -m tests.planted [NAME …]`.

Exits 1 when one slips through. The copy, its server and everything else is gone at the end.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tallystick.base.postgres import Postgres
from tests.planted import cards, earning, exactness, holders, promises, spending, telling
from tests.planted.bug import Bug

ROOT = Path(__file__).parents[2]
COPIED = ("tallystick", "tests", "benchmarks", "docs", "pyproject.toml")
PATIENCE = 90.0
"""Seconds: a loop that never has enough is a bug that was noticed, too."""
BUGS: tuple[Bug, ...] = (
    *cards.BUGS,
    *earning.BUGS,
    *exactness.BUGS,
    *holders.BUGS,
    *promises.BUGS,
    *spending.BUGS,
    *telling.BUGS,
)


def main(names: Sequence[str]) -> int:
    wanted = [bug for bug in BUGS if not names or any(name in bug.name for name in names)]
    with tempfile.TemporaryDirectory(prefix="tallystick-planted-") as temporary:
        copy, place = Path(temporary) / "copy", Path(temporary) / "postgres"
        copy.mkdir()
        for name in COPIED:
            whole = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            whole(ROOT / name, copy / name)
        server = Postgres.start(place)
        try:
            _prove_copy(copy)
            slipped = [bug.name for bug in wanted if not _caught(bug, copy, server.dsn)]
        finally:
            server.stop()
    _say(f"{len(wanted) - len(slipped)} of {len(wanted)} caught")
    return 1 if slipped else 0


def _environ(copy: Path, dsn: str = "") -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy), "TALLYSTICK_DATABASE_URL": dsn, "PYTHONDONTWRITEBYTECODE": "1"}


def _prove_copy(copy: Path) -> None:
    """What is tested is the copy, not the repository that the environment has installed."""
    asked = [sys.executable, "-c", "import tallystick; print(tallystick.__file__)"]
    said = subprocess.run(asked, cwd=copy, env=_environ(copy), capture_output=True, text=True, check=True).stdout
    assert Path(said.strip()).is_relative_to(copy), said


def _caught(bug: Bug, copy: Path, dsn: str) -> bool:
    """Whether a test fails with the bug. 1 is pytest's word for failed tests; anything else but 0 is a fault of ours."""
    file = copy / bug.file
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace(bug.old, bug.new), encoding="utf-8")
    began = time.monotonic()
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *bug.tests],
            cwd=copy,
            env=_environ(copy, dsn),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        _say(f"caught   {PATIENCE:5.1f} s  {bug.name}  the tests go on for ever")
        return True
    finally:
        file.write_text(right, encoding="utf-8")
    verdict = {0: "SLIPPED", 1: "caught"}.get(run.returncode, f"pytest ended with {run.returncode}")
    first = next((line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    _say(f"{verdict:8} {time.monotonic() - began:5.1f} s  {bug.name}  {first[:110]}")
    return run.returncode == 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that what was begun is ended and removed
    sys.exit(main(sys.argv[1:]))
