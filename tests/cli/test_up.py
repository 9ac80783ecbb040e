"""`up` as a user meets it: what it prints, how it ends, and what it refuses."""

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tallystick.cli import app
from tests.cli.conftest import Begin, Demo
from tests.cli.running import ask, client_of, tallystick, until

ACTIVE, UNKNOWN = "+12025550143", "+12025550189"


def test_a_house_starts_cold_ends_at_ctrl_c_and_starts_again_with_all_it_had(begin: Begin, place: Path) -> None:
    first = begin(place, "up", "--demo", "--data", str(place), "--port", "0").serving()
    credentials = json.loads((place / "demo-credentials.json").read_text())
    client = client_of(credentials, first.base_url)
    given = client.issue(ACTIVE, "before")
    assert given.status == 200
    began = time.monotonic()
    assert first.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 15
    assert "Traceback" not in first.said
    assert "server process" not in first.said

    second = begin(place, "up", "--data", str(place), "--port", "0").serving()
    assert "schema     up to date" in second.said
    assert "secret" not in second.said
    again = client_of(credentials, second.base_url).issue(ACTIVE, "before")
    assert (again.status, again.body) == (200, given.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert second.end(signal.SIGTERM) == 0

    third = begin(place, "up", "--demo", "--data", str(place), "--port", "0").serving()
    assert json.loads((place / "demo-credentials.json").read_text()) == credentials
    assert credentials["sandbox"]["clientSecret"] in third.said
    assert client_of(credentials, third.base_url).issue(ACTIVE, "before").body == given.body
    listed = client_of(credentials, third.base_url).get(f"rewards?filter[phoneNumber]=%2B{ACTIVE[1:]}")
    assert listed.body["meta"]["total"] == 1
    assert third.end() == 0


def test_the_file_of_credentials_says_everything_a_program_needs(demo: Demo) -> None:
    assert demo.file.stat().st_mode & 0o777 == 0o600
    assert set(demo.credentials) == {"baseUrl", "sandbox", "production"}
    assert demo.credentials["baseUrl"] == demo.up.base_url
    for environment in ("sandbox", "production"):
        named = demo.credentials[environment]
        assert set(named) == {
            "clientId",
            "clientSecret",
            "merchantId",
            "activeWalletPhone",
            "closingWalletPhone",
            "unknownPhone",
        }
        client = client_of(demo.credentials, demo.up.base_url, environment)
        statuses = {
            phone: client.issue(named[phone], f"file-{environment}-{phone}")
            for phone in ("activeWalletPhone", "closingWalletPhone", "unknownPhone")
        }
        assert statuses["activeWalletPhone"].body["data"]["attributes"]["status"] == "Credited"
        assert statuses["closingWalletPhone"].body["errors"][0]["code"] == "WalletNotIssuable"
        waits = statuses["unknownPhone"].body
        assert "errors" not in waits or waits["errors"][0]["code"] == "PreIssuedConflict"


def test_the_printed_curl_lines_work_as_they_are_printed(begin: Begin, place: Path) -> None:
    up = begin(place, "up", "--demo", "--data", str(place), "--port", "0").serving()
    lines = [line for line in up.said.splitlines() if line.startswith("curl ")]
    assert len(lines) == 3
    answers = []
    for line in (lines[0], lines[0], lines[1], lines[2]):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True)
        assert done.stderr == ""
        answers.append([json.loads(answer)["data"] for answer in done.stdout.splitlines()])
    once, twice, waiting, moved = answers
    assert once == twice
    assert once[0]["attributes"]["status"] == "Credited"
    assert waiting[0]["attributes"]["status"] == "Created"
    clock, rewards = moved
    assert clock["type"] == "Clock"
    assert [reward["attributes"]["status"] for reward in rewards] == ["Expired"]
    assert up.end() == 0


def test_a_second_up_on_the_same_directory_refuses_at_once(demo: Demo) -> None:
    began = time.monotonic()
    second = tallystick("up", "--data", demo.up.place)
    assert second.returncode == 1
    assert re.search(r"is in use by process \d+\. Stop that first, or name another directory\.", second.stderr)
    assert time.monotonic() - began < 10
    assert demo.up.ready().status == 200


def test_on_a_taken_port_it_takes_the_next_free_one_and_says_so(begin: Begin, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = begin(place, "up", "--data", str(place), settings={"TALLYSTICK_PORT": str(port)}).serving()
        assert int(up.base_url.rpartition(":")[2]) > port
        assert f"({port} is taken)" in up.said
        assert up.ready().status == 200

        other = tallystick("up", "--data", place.with_name("other"), "--port", str(port))
        assert other.returncode == 1
        assert f"Nothing can listen on 127.0.0.1:{port}: Address already in use. Give another --port" in other.stderr
        assert up.end() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_in_order(begin: Begin, place: Path, signum: signal.Signals) -> None:
    up = begin(place, "up", "--data", str(place), "--port", "0")
    until(lambda: "database" in up.said)
    time.sleep(0.2)
    assert up.end(signum) == 0
    assert "Traceback" not in up.said


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (("up", "--credentials", "x.json"), {}, "--credentials writes the demo's credentials; give --demo too."),
        (("up", "--demo", "--credentials", "no/x.json"), {}, "no/x.json cannot be written: its directory does not"),
        (("up",), {"TALLYSTICK_PROT": "1"}, "TALLYSTICK_PROT is not a setting; did you mean TALLYSTICK_PORT?"),
        (("up",), {"TALLYSTICK_PORT": "none"}, "TALLYSTICK_PORT must be a whole number from 1 to 65535."),
        (("up", "--data", "file/below"), {}, "file/below cannot be made: Not a directory. Name another with --data."),
        (("serve",), {}, "serve needs TALLYSTICK_DATABASE_URL"),
        (("work",), {}, "work needs TALLYSTICK_DATABASE_URL"),
        (("verify", "--data", "nothing"), {}, "Name its directory with --data, or begin one with `tallystick up`."),
        (("partners", "list", "--data", "nothing"), {}, "There is no database in"),
        (("torture", "--data", "."), {}, "is not empty; torture makes a house of its own."),
        (("keys", "rotate", "nothing"), {}, "nothing cannot be rotated: No such file or directory."),
        (("keys", "rotate", "file"), {}, "chmod 600"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TALLYSTICK_DATABASE_URL", raising=False)
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "file").chmod(0o644)
    done = CliRunner().invoke(app, words, env=settings)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert sentence in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_lost_master_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    done = tallystick("up", "--data", tmp_path)
    assert done.returncode == 1
    assert f"The master key {tmp_path / 'master.key'} is gone. Put it back from your copy" in done.stderr


def test_it_listens_where_it_is_told(demo: Demo) -> None:
    assert ask(f"{demo.up.base_url}/healthz").body == {"status": "ok"}
    assert ask(f"{demo.up.base_url}/healthz".replace("127.0.0.1", "127.0.0.2")).status == 0
