"""What processes cost: CPU time and memory of a tree of processes, as the Linux kernel counts them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Stat:
    pid: int
    parent: int
    ticks: int
    """User and system time of the process, and of those of its children that ended and were waited for."""


def tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    return [stat.pid for stat in _tree(root)]


def cpu_seconds(root: int) -> float:
    """CPU time the tree has used so far, ended members included.

    Looked at twice: who ends while it is looked at is counted by nobody, and the next time by its parent.
    """
    return max(sum(stat.ticks for stat in _tree(root)) for _ in range(2)) / TICKS


def memory_mib(root: int) -> float:
    """Memory of the tree: shared pages are divided among those that share them (PSS), so that nothing counts twice."""
    return sum(_pss_kib(pid) for pid in tree(root)) / 1024


def _tree(root: int) -> list[_Stat]:
    stats = [stat for entry in PROC.iterdir() if entry.name.isdigit() and (stat := _stat(entry)) is not None]
    children: dict[int, list[_Stat]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
    found = [stat for stat in stats if stat.pid == root]
    for stat in found:  # grows while it is walked
        found.extend(children.get(stat.pid, ()))
    return found


def _stat(entry: Path) -> _Stat | None:
    try:
        text = (entry / "stat").read_text(encoding="latin-1")
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has just ended
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(int(entry.name), int(fields[1]), sum(int(field) for field in fields[11:15]))


def _pss_kib(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
