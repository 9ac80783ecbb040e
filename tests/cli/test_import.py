"""`import`: a file goes to a running house, is watched being read, and goes on where it was stopped."""

import csv
import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tallystick.cli.uploading import PART_BYTES
from tests.cli.conftest import Begin, Demo
from tests.cli.running import tallystick, told, until

AT = "2026-03-02T09:00:00Z"
HEAD = "receipt,date,amount,note\n"
NAMED = ("--column", "sourceId=receipt", "--column", "occurredAt=date")


def lines(run: str, count: int, note: str = "") -> str:
    return HEAD + "".join(f"{run}-{number},{AT},{100 + number},{note}\n" for number in range(count))


def written(place: Path, content: str) -> Path:
    file = place / "sales.csv"
    file.write_text(content)
    return file


def of_file(demo: Demo, sha256: str) -> Any:
    """The imports of one file that the house knows."""
    found = demo.sandbox.get("imports?page[limit]=50").body["data"]
    return [each for each in found if each["attributes"]["sha256"] == sha256]


def test_it_tells_how_far_it_is_and_what_came_of_it(demo: Demo, tmp_path: Path) -> None:
    done = tallystick("import", written(tmp_path, lines("told", 30)), "--credentials", demo.file, *NAMED)
    assert done.exit_code == 0, done.output
    steps = [line.split(":")[0] for line in done.output.splitlines() if " bytes" in line]
    assert list(dict.fromkeys(steps)) == ["looked at", "sent", "read"]
    assert "completed: 31 lines" in done.output
    assert "30 accepted, 0 there already, 0 rejected" in done.output


def test_the_same_file_again_is_known_and_nothing_is_sent(demo: Demo, tmp_path: Path) -> None:
    file = written(tmp_path, lines("again", 5))
    first = told("import", file, "--credentials", demo.file, *NAMED)
    second = told("import", file, "--credentials", demo.file, *NAMED)
    assert (second["id"], second["accepted"], second["earlier"]) == (first["id"], 5, True)
    third = told("import", file, "--credentials", demo.file, *NAMED, "--again")
    assert third["id"] != first["id"]
    assert (third["accepted"], third["duplicates"]) == (0, 5)


def test_lines_that_are_rejected_are_told_and_written_where_they_are_wanted(demo: Demo, tmp_path: Path) -> None:
    broken = f"broken-x,{AT},twelve,\nbroken-y,yesterday,5,\n"
    file, rejected = written(tmp_path, lines("broken", 3) + broken), tmp_path / "rejected.csv"
    words = ("import", file, "--credentials", demo.file, *NAMED)
    done = tallystick(*words)
    assert done.exit_code == 0, done.output
    assert "3 accepted, 0 there already, 2 rejected" in done.output
    assert "line 5: InvalidRequest, amount is a whole number of minor units" in done.output
    assert "--rejected FILE" in done.output
    assert told(*words, "--rejected", rejected)["rejectedLines"] == str(rejected)
    with rejected.open(newline="") as kept:
        head, *rows = csv.reader(kept)
    assert head == ["line", "code", "detail", "text"]
    assert [(row[0], row[3].strip()) for row in rows] == [
        ("5", f"broken-x,{AT},twelve,"),
        ("6", "broken-y,yesterday,5,"),
    ]


def test_a_column_that_is_not_there_is_told_in_a_sentence(demo: Demo, tmp_path: Path) -> None:
    done = tallystick(
        "import", written(tmp_path, lines("wrong", 2)), "--credentials", demo.file, *NAMED[:3], "occurredAt=when"
    )
    assert done.exit_code == 1
    assert "failed" in done.output
    assert (
        "There is no column 'when', which is to be occurredAt. The columns are receipt, date, amount, note."
        in done.output
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--column", "sourceId"), "--column is FIELD=COLUMN"),
        (("--column", "nothing=receipt"), "There is no such field."),
        (("--merchant", "nobody"), "There is no such merchant that you may act for."),
        (("--rejected", "nowhere/rejected.csv"), "cannot be written"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_a_sentence(
    demo: Demo, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = tallystick("import", written(tmp_path, lines("refused", 1)), "--credentials", demo.file, *words)
    assert done.exit_code == 1
    assert sentence in done.output


def test_an_empty_file_is_told_before_anything_is_asked(demo: Demo, tmp_path: Path) -> None:
    done = tallystick("import", written(tmp_path, ""), "--credentials", demo.file)
    assert (done.exit_code, "is empty" in done.output) == (1, True)


@contextmanager
def narrow(base_url: str, passing: int) -> Iterator[str]:
    """A way to a house that lets so many bytes of every connection through to it, and then no more."""

    def pump(source: socket.socket, target: socket.socket, left: float) -> None:
        with suppress(OSError):
            while left > 0 and (piece := source.recv(65_536)):
                target.sendall(piece)
                left -= len(piece)
            if left > 0:
                target.shutdown(socket.SHUT_WR)

    def lead() -> None:
        with suppress(OSError):
            while True:
                inside = listening.accept()[0]
                beyond = socket.create_connection((house.hostname or "", house.port or 0))
                opened.extend((inside, beyond))
                for way in ((inside, beyond, passing), (beyond, inside, float("inf"))):
                    threading.Thread(target=pump, args=way, daemon=True).start()

    house, opened = urlsplit(base_url), list[socket.socket]()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lead, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for each in opened:
                each.close()


def stopped_halfway(demo: Demo, begin: Begin, place: Path, words: tuple[str, ...]) -> Any:
    """The import that was interrupted between its parts, and how many of them the house has."""
    with narrow(demo.up.base_url, 3 * PART_BYTES) as way:
        stopped = begin(place / "first", *words, "--base-url", way)
        until(lambda: "sent: " in stopped.said or stopped.process.poll() is not None, what="a part was sent")
        assert stopped.end(signal.SIGINT) == 130, stopped.said
    assert "Stopped. Run it again: it goes on where it was." in stopped.said
    assert "Traceback" not in stopped.said
    newest = demo.sandbox.get("imports?page[limit]=1").body["data"][0]
    assert newest["attributes"]["status"] == "uploading"
    assert 0 < demo.sandbox.get(f"imports/{newest['id']}/parts").body["meta"]["total"] < 3
    return newest


def test_what_was_stopped_goes_on_where_it_was(demo: Demo, tmp_path: Path, begin: Begin) -> None:
    file = written(tmp_path, lines("stopped", 600, "x" * 30_000))
    words = ("import", str(file), "--credentials", str(demo.file), *NAMED)
    halfway = stopped_halfway(demo, begin, tmp_path, words)
    done = told(*words)
    assert (done["id"], done["status"]) == (halfway["id"], "completed")
    assert (done["accepted"], done["duplicates"], done["rejected"]) == (600, 0, 0)
    assert len(of_file(demo, done["sha256"])) == 1


def test_a_file_that_changed_while_it_was_stopped_begins_anew(demo: Demo, tmp_path: Path, begin: Begin) -> None:
    file = written(tmp_path, lines("changed", 600, "y" * 30_000))
    words = ("import", str(file), "--credentials", str(demo.file), *NAMED)
    halfway = stopped_halfway(demo, begin, tmp_path, words)
    written(tmp_path, lines("changed", 20))
    done = told(*words)
    assert done["id"] != halfway["id"]
    assert (done["status"], done["accepted"]) == ("completed", 20)


def test_who_lost_the_house_is_told_in_a_sentence(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.cli.uploading.TRIES", 2)
    kept = json.loads(demo.file.read_text()) | {"baseUrl": "http://127.0.0.1:9"}
    elsewhere = tmp_path / "credentials.json"
    elsewhere.write_text(json.dumps(kept))
    done = tallystick("import", written(tmp_path, lines("lost", 1)), "--credentials", elsewhere)
    assert done.exit_code == 1
    assert "had no answer" in done.output
