"""A file of activity, from its start to its end: sent over HTTP in parts, then read by the product's worker."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import meter
from benchmarks.clubs import Club, ask
from benchmarks.contenders import Contender
from benchmarks.phases import WrongAnswers

PART_BYTES: Final = 4 * 1024 * 1024
PAUSE: Final = 0.2
PATIENCE: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Landed:
    """So many rows in so many seconds. CPU is microseconds for each row; memory is MiB (PSS) of the process that read them."""

    rows: int
    seconds: float
    app_cpu_us: float
    database_cpu_us: float
    memory: tuple[float, float, float] | None
    """At the start, the most around the middle, and the end; None: not measured."""

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.app_cpu_us + self.database_cpu_us


def by_product(contender: Contender, club: Club, file: Path, rows: int) -> Landed:
    """Send the file, start it, and look how far it is. Sending is not counted. Raises WrongAnswers."""
    worker = contender.processes[-1]
    attributes = {"kind": "transaction", "format": "csv", "merchantId": club.merchant_id}
    wanted = {"data": {"type": "Import", "attributes": attributes}}
    path = f"imports/{ask(contender, club.credential, 'POST', 'imports', wanted)['id']}"
    parts = 0
    with file.open("rb") as content:
        while piece := content.read(PART_BYTES):
            parts += 1
            ask(contender, club.credential, "PUT", f"{path}/parts/{parts}", piece)
    before, memory, middle = contender.cpu(), [meter.memory_mib(worker)], list[float]()
    began = time.perf_counter()
    start = {"data": {"type": "StartImport", "attributes": {"parts": parts}}}
    shown = ask(contender, club.credential, "POST", f"{path}/start", start)["attributes"]
    while shown["status"] in ("accepted", "running"):
        if time.perf_counter() - began > PATIENCE:
            raise WrongAnswers(f"{rows:,} lines were not read within {PATIENCE:.0f} seconds.")
        time.sleep(PAUSE)
        shown = ask(contender, club.credential, "GET", path)["attributes"]
        if 40 <= shown["percent"] <= 60:
            middle.append(meter.memory_mib(worker))
    seconds, after = time.perf_counter() - began, contender.cpu()
    if (shown["status"], shown["accepted"]) != ("completed", rows):
        raise WrongAnswers(f"The file ended otherwise: {shown}")
    memory += [max(middle, default=memory[0]), meter.memory_mib(worker)]
    return Landed(
        rows,
        seconds,
        (after[0] - before[0]) / rows * 1e6,
        (after[1] - before[1]) / rows * 1e6,
        (memory[0], memory[1], memory[2]),
    )
