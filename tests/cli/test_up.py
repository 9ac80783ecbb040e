"""`up` as a user meets it: what it prints, how it ends, and what it refuses."""

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Begin, Demo
from tests.cli.running import ask, client_of, tallystick, told, until

ACTIVE, UNKNOWN = "+12025550143", "+12025550189"


def test_a_house_starts_cold_ends_at_ctrl_c_and_starts_again_with_all_it_had(begin: Begin, place: Path) -> None:
    words = ("up", "--data", str(place), "--port", "0")
    first = begin(place, *words, "--demo").serving()
    credentials = json.loads((place / "demo-credentials.json").read_text())
    client = client_of(credentials, first.base_url)
    given, waiting = client.issue(ACTIVE, "before"), client.issue(UNKNOWN, "waiting")
    assert (given.status, waiting.status) == (200, 200)
    began = time.monotonic()
    assert first.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 15
    assert "Traceback" not in first.said
    assert "server process" not in first.said

    # While nothing runs, the books are proved all the same; and the master key is given a second version.
    assert told("verify", "--data", place)["ok"] is True
    assert told("keys", "rotate", place / "master.key")["version"] == 2

    second = begin(place, *words).serving()
    assert "schema     up to date" in second.said
    assert "secret" not in second.said
    client = client_of(credentials, second.base_url)
    for phone, key, answer in ((ACTIVE, "before", given), (UNKNOWN, "waiting", waiting)):
        again = client.issue(phone, key)
        assert (again.status, again.body) == (200, answer.body)
        assert again.headers["idempotent-replayed"] == "true"
    assert client.issue(UNKNOWN, "another").body["errors"][0]["code"] == "PreIssuedConflict"
    assert client.issue(ACTIVE, "under the new key").status == 200
    assert second.end(signal.SIGTERM) == 0

    third = begin(place, *words, "--demo").serving()
    kept = json.loads((place / "demo-credentials.json").read_text())
    assert kept == {**credentials, "baseUrl": third.base_url}
    assert credentials["sandbox"]["clientSecret"] in third.said
    listed = client_of(credentials, third.base_url).get(f"rewards?filter[phoneNumber]=%2B{UNKNOWN[1:]}")
    assert [reward["id"] for reward in listed.body["data"]] == [waiting.body["data"]["id"]]
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
        credited = client.issue(named["activeWalletPhone"], "credited")
        assert credited.body["data"]["attributes"]["status"] == "Credited"
        refused = client.issue(named["closingWalletPhone"], "refused")
        assert refused.body["errors"][0]["code"] == "WalletNotIssuable"
    # In production, since the sandbox's clock is moved by others.
    production = client_of(demo.credentials, demo.up.base_url, "production")
    waiting = production.issue(demo.credentials["production"]["unknownPhone"], "waiting")
    assert waiting.body["data"]["attributes"]["status"] == "Created"


def test_the_printed_curl_lines_work_as_they_are_printed(demo: Demo) -> None:
    lines = [line for line in demo.up.said.splitlines() if line.startswith("curl ")]
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


def test_a_second_up_on_the_same_directory_refuses_at_once(begin: Begin, demo: Demo) -> None:
    began = time.monotonic()
    second = begin(demo.up.place, "up", "--data", str(demo.up.place))
    assert second.process.wait(20) == 1
    assert time.monotonic() - began < 10
    in_use = f"is in use by process {demo.up.process.pid}. Stop that first, or name another directory."
    assert in_use in second.said
    assert "Traceback" not in second.said
    assert demo.up.ready().status == 200


def test_on_a_taken_port_it_takes_the_next_free_one_and_says_so(begin: Begin, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = begin(place, "up", "--data", str(place), settings={"TALLYSTICK_PORT": str(port)}).serving()
        assert int(up.base_url.rpartition(":")[2]) > port
        assert f"({port} is taken)" in up.said
        assert up.ready().status == 200

        other = place.with_name("other")
        refused = begin(other, "up", "--data", str(other), "--port", str(port))
        assert refused.process.wait(30) == 1
        assert f"Nothing can listen on 127.0.0.1:{port}: Address already in use. Give another --port" in refused.said
        assert up.end() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_in_order(begin: Begin, place: Path, signum: signal.Signals) -> None:
    up = begin(place, "up", "--data", str(place), "--port", "0")
    until(lambda: "database" in up.said)
    time.sleep(0.2)
    assert up.end(signum) == 0
    assert "Traceback" not in up.said
    everybody = psutil.process_iter(["cmdline"])
    assert [each for each in everybody if str(place) in " ".join(each.info["cmdline"] or ())] == []


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
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "file").chmod(0o644)
    done = tallystick(*words, settings=settings)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_lost_master_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    done = tallystick("up", "--data", tmp_path)
    assert done.exit_code == 1
    assert f"The master key {tmp_path / 'master.key'} is gone. Put it back from your copy" in done.stderr


def test_it_listens_where_it_is_told(demo: Demo) -> None:
    assert ask(f"{demo.up.base_url}/healthz").body == {"status": "ok"}
    assert ask(f"{demo.up.base_url}/healthz".replace("127.0.0.1", "127.0.0.2")).status == 0
