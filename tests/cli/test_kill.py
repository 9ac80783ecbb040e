"""Kills that nobody can catch: what is left ends by itself, what is missing comes back, and nothing is lost."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from tallystick.base import postgres
from tests.cli.conftest import Begin, Demo
from tests.cli.running import Answer, Client, client_of, until

ACTIVE = "+12025550143"
BACK_SECONDS = 10.0
UNIQUE = itertools.count()


class Meanwhile:
    """A partner who goes on issuing, and keeps every answer."""

    def __init__(self, client: Client) -> None:
        self.client, self.answers, self.known = client, list[Answer](), dict[str, Answer]()
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            key = f"meanwhile-{next(UNIQUE)}"
            answer = self.client.issue(ACTIVE, key, 1)
            self.answers.append(answer)
            if answer.status not in (0, 503):
                self.known[key] = answer


@contextmanager
def issuing(client: Client) -> Iterator[Meanwhile]:
    """Rewards are issued while the block runs; then every acknowledged one is there, and sending it again gives no second."""
    meanwhile = Meanwhile(client)
    threads = [threading.Thread(target=meanwhile.run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield meanwhile
    finally:
        meanwhile.stopping.set()
        for thread in threads:
            thread.join()
    assert meanwhile.known
    assert {answer.status for answer in meanwhile.known.values()} == {200}
    for key, answer in list(meanwhile.known.items())[-20:]:
        again = client.issue(ACTIVE, key, 1)
        assert (again.status, again.body) == (200, answer.body)


def test_a_killed_http_process_is_started_again_while_the_other_goes_on(demo: Demo) -> None:
    killed = demo.up.part("serve")
    with issuing(demo.sandbox):
        killed.kill()
        until(lambda: _parts(demo, "serve") == 2, BACK_SECONDS)
    assert not killed.is_running()


def test_a_killed_work_process_is_started_again(demo: Demo) -> None:
    killed = demo.up.part("work")
    killed.kill()
    until(lambda: _parts(demo, "work") == 1 and not killed.is_running(), BACK_SECONDS)
    assert demo.up.part("work").pid != killed.pid
    demo.up.until_ready()


@pytest.mark.parametrize("victim", ["postmaster", "backend"])
async def test_a_killed_database_comes_back_by_itself_and_meanwhile_the_answer_is_503(demo: Demo, victim: str) -> None:
    backends = await _backends(demo)
    pid = demo.up.postmaster().pid if victim == "postmaster" else backends[0]
    with issuing(demo.sandbox) as meanwhile:
        await asyncio.sleep(0.3)
        psutil.Process(pid).kill()
        if victim == "postmaster":
            until(lambda: any(answer.status == 503 for answer in meanwhile.answers), 5, "nobody noticed")
        # PostgreSQL begins anew when one of its backends is killed, perhaps between two requests: then nobody needs to notice.
        until(lambda: not any(psutil.pid_exists(other) for other in backends), 5, "some of its connections live on")
        took = demo.up.until_ready(BACK_SECONDS)
        until(lambda: meanwhile.answers[-1].status == 200, BACK_SECONDS)
    assert took < BACK_SECONDS
    assert {answer.status for answer in meanwhile.answers} <= {200, 503}
    assert all("retry-after" in answer.headers for answer in meanwhile.answers if answer.status == 503)


def test_while_the_database_is_away_it_is_not_ready(demo: Demo) -> None:
    statuses = []
    demo.up.postmaster().kill()

    def back() -> bool:
        answer = demo.up.ready()
        statuses.append(answer.status)
        if answer.status == 503:
            assert answer.body == {"status": "waiting", "for": "database"}
            assert "retry-after" in answer.headers
        return answer.status == 200 and 503 in statuses

    until(back, BACK_SECONDS)
    assert set(statuses) == {200, 503}


def test_when_up_is_killed_the_rest_ends_by_itself_and_the_next_up_finds_everything(begin: Begin, place: Path) -> None:
    words = ("up", "--data", str(place), "--port", "0")
    up = begin(place, *words, "--demo").serving()
    credentials = json.loads((place / "demo-credentials.json").read_text())
    client, everybody = client_of(credentials, up.base_url), up.everybody()
    with issuing(client):
        time.sleep(0.3)
    given = client.issue(ACTIVE, "just before")
    up.process.kill()
    up.process.wait()
    _, left = psutil.wait_procs(everybody, timeout=10)
    assert left == []

    port = up.base_url.rpartition(":")[2]
    after = begin(place, "up", "--data", str(place), "--port", port).serving()
    again = client_of(credentials, after.base_url).issue(ACTIVE, "just before")
    assert (again.status, again.body) == (200, given.body)
    assert after.end() == 0


def _parts(demo: Demo, command: str) -> int:
    return sum(_runs(each, command) for each in demo.up.everybody())


def _runs(process: psutil.Process, command: str) -> bool:
    """Whether a process lives and runs this command; it may end while it is asked."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cmdline()[2:4] == ["tallystick", command]
    except psutil.NoSuchProcess:
        return False


async def _backends(demo: Demo) -> list[int]:
    connection = await asyncpg.connect(postgres.address(demo.up.place / "postgres"))
    rows = await connection.fetch(
        "select pid from pg_stat_activity where application_name = 'tallystick-http' order by backend_start"
    )
    await connection.close()
    assert rows, "the HTTP processes are connected"
    return [row[0] for row in rows]
