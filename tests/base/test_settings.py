"""Settings: read once, documented, refused all at once, never showing a secret."""

from collections.abc import Iterator, Sequence
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
import typer

from tallystick.base import settings
from tallystick.base.settings import OF_COMMANDS, BadSettings, Settings, default_data_directory, variable
from tallystick.cli import app

SECRETS = {
    "TALLYSTICK_DATABASE_URL": "postgresql://app:canary1@db.example:5432/tallystick",
    "TALLYSTICK_MASTER_KEY": "v1:canary2",
    "TALLYSTICK_SMTP_PASSWORD": "canary3",
    "TALLYSTICK_SMS_WEBHOOK_URL": "https://user:canary4@gateway.example/send?token=canary4",
    "TALLYSTICK_SMS_WEBHOOK_SECRET": "canary5",
}
OTHERS = {
    "TALLYSTICK_DATA_DIRECTORY": "/srv/tallystick",
    "TALLYSTICK_HOST": "[::1]",
    "TALLYSTICK_PORT": " 9000 ",
    "TALLYSTICK_PUBLIC_URL": "https://rewards.example/",
    "TALLYSTICK_WORKERS": "4",
    "TALLYSTICK_LOG_LEVEL": "DEBUG",
    "TALLYSTICK_LOG_FORMAT": "json",
    "TALLYSTICK_SMTP_HOST": "mail.example",
    "TALLYSTICK_SMTP_USER": "tally",
    "TALLYSTICK_SMTP_FROM": "Rewards <rewards@example.com>",
    "TALLYSTICK_SMTP_STARTTLS": "no",
}


def faults_of(**stated: str) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as refused:
        Settings.read({f"TALLYSTICK_{name}": value for name, value in stated.items()})
    assert all(fault in str(refused.value) for fault in refused.value.faults)
    return refused.value.faults


def test_the_page_of_settings_is_the_one_the_code_writes() -> None:
    page = Path("docs/settings.md").read_text(encoding="utf-8")
    start = page.index("| variable |")
    end = page.index("\n\n", start) + 1 if "\n\n" in page[start:] else len(page)
    assert page[start:end] == settings.document()


def test_no_variable_that_a_command_offers_stops_the_house() -> None:
    offered = {
        name for each in _commands(typer.main.get_command(app)) for one in each.params for name in _variables(one)
    }
    assert offered == set(OF_COMMANDS)
    Settings.read(dict.fromkeys(offered, "x"))


def _commands(found: Any) -> Iterator[Any]:
    yield found
    for each in getattr(found, "commands", {}).values():
        yield from _commands(each)


def _variables(one: Any) -> Sequence[str]:
    named = getattr(one, "envvar", None) or ()
    return [named] if isinstance(named, str) else list(named)


def test_every_setting_has_a_meaning_and_every_secret_stays_out_of_sight() -> None:
    assert all(one.metadata["meaning"].endswith(".") for one in fields(Settings))
    assert {variable(one) for one in fields(Settings) if not one.repr} == set(SECRETS)


def test_without_any_variable_one_machine_runs_on_its_own() -> None:
    read = Settings.read({"PATH": "/bin", "TALLYSTICK_PORT": "", "TALLYSTICK_HOST": "  "})
    assert (read.database_url, read.master_key, read.data_directory) == (None, None, None)
    assert (read.host, read.port, read.base_url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")
    assert read.workers in (1, 2)
    assert read.db_connections == 8
    assert (read.queue_limit, read.batch_limit) == (2000, 256)
    assert (read.body_bytes, read.batch_body_bytes, read.body_seconds) == (262_144, 4_194_304, 10)
    assert (read.rate_per_minute, read.rate_burst, read.credential_cache_seconds) == (10_000, 1000, 15)
    assert (read.smtp_host, read.smtp_starttls, read.log_format) == (None, True, None)


def test_every_variable_is_read() -> None:
    read = Settings.read({**SECRETS, **OTHERS})
    assert read.database_url == SECRETS["TALLYSTICK_DATABASE_URL"]
    assert read.data_directory == Path("/srv/tallystick")
    assert (read.host, read.port, read.base_url) == ("::1", 9000, "https://rewards.example")
    assert (read.log_level, read.log_format, read.smtp_starttls) == ("debug", "json", False)
    assert (read.smtp_from, read.smtp_password) == ("Rewards <rewards@example.com>", "canary3")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings.read({}).port = 1  # type: ignore[misc]


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    assert Settings.read({"TALLYSTICK_HOST": "::1"}).base_url == "http://[::1]:8080"


def test_secrets_never_appear_in_repr() -> None:
    assert "canary" not in repr(Settings.read({**SECRETS, **OTHERS}))


def test_every_wrong_variable_is_told_at_once() -> None:
    faults = faults_of(PORT="http", WORKERS="0", LOG_LEVEL="loud", SMTP_STARTTLS="maybe", PROT="1", SMTP_HOST="mail")
    assert faults == (
        "TALLYSTICK_PROT is not a setting; did you mean TALLYSTICK_PORT?",
        "TALLYSTICK_PORT must be a whole number from 1 to 65535.",
        "TALLYSTICK_WORKERS must be a whole number from 1 to 256.",
        "TALLYSTICK_LOG_LEVEL must be one of debug, info, warning, error.",
        "TALLYSTICK_SMTP_STARTTLS must be true or false.",
        "TALLYSTICK_SMTP_FROM is required with TALLYSTICK_SMTP_HOST.",
    )


def test_an_unknown_variable_far_from_any_setting_is_refused_too() -> None:
    assert faults_of(ZZZZZZZZZZZZZZZZ="1") == ("TALLYSTICK_ZZZZZZZZZZZZZZZZ is not a setting; unset it.",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://app:canary@db/x"),
        ("DATABASE_URL", "canary"),
        ("DATABASE_URL", "postgresql://app:canary@db:port/x"),
        ("DATABASE_URL", "postgresql://app:canary@[db/x"),
        ("HOST", "127.0.0.1:80"),
        ("HOST", "a b"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "1e3"),
        ("PORT", "٨٠٨٠"),
        ("PORT", "-1"),
        ("PORT", "9" * 5000),
        ("CREDENTIAL_CACHE_SECONDS", "31"),
        ("BODY_BYTES", "9999999"),
        ("PUBLIC_URL", "rewards.example"),
        ("PUBLIC_URL", "https://rewards.example/api"),
        ("PUBLIC_URL", "https://rewards.example?x"),
        ("PUBLIC_URL", "https://user:canary@rewards.example"),
        ("DATA_DIRECTORY", "a\0b"),
        ("SMTP_FROM", "nobody"),
        ("SMTP_USER", "canary"),
        ("SMTP_PASSWORD", "canary"),
        ("SMTP_PASSWORD", "can\nary"),
        ("SMS_WEBHOOK_URL", "https://gateway.example/canary"),
        ("SMS_WEBHOOK_URL", "ftp://canary"),
        ("SMS_WEBHOOK_SECRET", "canary"),
    ],
)
def test_a_wrong_value_is_refused_by_name_without_being_repeated(name: str, value: str) -> None:
    faults = faults_of(**{name: value})
    assert f"TALLYSTICK_{name}" in faults[0]
    assert "canary" not in str(faults)


def test_a_key_and_a_file_of_keys_exclude_each_other() -> None:
    assert "exclude each other" in faults_of(MASTER_KEY="v1:x", MASTER_KEY_FILE="/x")[0]


@pytest.mark.parametrize(
    ("environ", "platform", "uid", "expected"),
    [
        ({"HOME": "/root"}, "linux", 0, "/var/lib/tallystick"),
        ({"HOME": "/home/a"}, "linux", 1000, "/home/a/.local/share/tallystick"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/d"}, "linux", 1000, "/d/tallystick"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "d"}, "linux", 1000, "/home/a/.local/share/tallystick"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": ""}, "linux", 1000, "/home/a/.local/share/tallystick"),
        ({"HOME": "/Users/a"}, "darwin", 501, "/Users/a/Library/Application Support/Tallystick"),
    ],
)
def test_data_lies_where_the_platform_keeps_it(environ: dict[str, str], platform: str, uid: int, expected: str) -> None:
    assert default_data_directory(environ, platform=platform, uid=uid) == Path(expected)
