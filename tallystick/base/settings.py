"""Settings: one frozen value, read once from the environment; every field is documented in docs/settings.md."""

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, Self

from tallystick.base import setting_values as reads

PREFIX = "TALLYSTICK_"
OF_COMMANDS = frozenset({"TALLYSTICK_CREDENTIALS"})
"""What single commands read by themselves: options of theirs, and no settings of the house."""


class BadSettings(Exception):
    """Every variable that is wrong, a sentence each. The sentences never repeat a secret."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("These settings are wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.faults = tuple(faults)


def default_data_directory(
    environ: Mapping[str, str] | None = None, *, platform: str | None = None, uid: int | None = None
) -> Path:
    """Where data lies unless told: `/var/lib/tallystick` for root, else the platform's folder for a user's data.

    What is not given is asked of the machine.
    """
    if (os.geteuid() if uid is None else uid) == 0:
        return Path("/var/lib/tallystick")
    environ = os.environ if environ is None else environ
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if (platform or sys.platform) == "darwin":
        return home / "Library" / "Application Support" / "Tallystick"
    # The XDG base directory specification says to ignore a relative path.
    stated = Path(environ.get("XDG_DATA_HOME", ""))
    return (stated if stated.is_absolute() else home / ".local" / "share") / "tallystick"


def default_workers() -> int:
    """Two processes, or one on a machine with one processor."""
    return min(2, os.cpu_count() or 1)


def _setting(
    read: Callable[[str], object],
    default: object,
    meaning: str,
    *,
    secret: bool = False,
    shown: str | None = None,
    otherwise: Callable[[], object] | None = None,
) -> Any:
    """A field: how its text is read, what it is when unset (`otherwise` works that out), and what it means."""
    told = {"read": read, "meaning": meaning, "secret": secret, "shown": shown, "otherwise": otherwise}
    return field(default=default, repr=not secret, metadata=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator decides. The variable of a field is its name in capitals after `TALLYSTICK_`."""

    database_url: str | None = _setting(
        reads.postgres_url, None, "The PostgreSQL database. Unset: the embedded server.", secret=True, shown="embedded"
    )
    data_directory: Path | None = _setting(  # noqa: RUF009 - a field, as dataclasses.field() is
        reads.folder,
        None,
        "Where the embedded server, its master key and the demo's credentials lie.",
        shown="the platform's folder for data; `/var/lib/tallystick` as root",
    )
    master_key: str | None = _setting(
        reads.words,
        None,
        "The master key: `v1:<base64url of 32 bytes>`, later versions after it, separated by spaces.",
        secret=True,
    )
    master_key_file: Path | None = _setting(  # noqa: RUF009 - the same
        reads.folder,
        None,
        "The file of the master key, readable by its owner only. This or the key itself is required beside a database "
        "of your own; the embedded server makes one.",
    )
    host: str = _setting(reads.host, "127.0.0.1", "The address to listen on.")
    port: int = _setting(reads.whole(1, 65535), 8080, "The port to listen on.")
    public_url: str | None = _setting(
        reads.origin,
        None,
        "The address partners reach, without a path; the issuer of access tokens.",
        shown="`http://<host>:<port>`",
    )
    workers: int = _setting(
        reads.whole(1, 256),
        0,
        "HTTP processes.",
        shown="`2`, or `1` on one processor",
        otherwise=default_workers,
    )
    db_connections: int = _setting(reads.whole(2, 500), 8, "Database connections of each process.")
    queue_limit: int = _setting(
        reads.whole(1, 1_000_000), 2000, "Commands that may wait in each process; one more is answered 503."
    )
    batch_limit: int = _setting(
        reads.whole(1, 10_000), 256, "Commands that are carried out in one transaction, at most."
    )
    body_bytes: int = _setting(reads.whole(1024, 2**30), 262_144, "The largest request body, in bytes.")
    batch_body_bytes: int = _setting(
        reads.whole(1024, 2**30), 4_194_304, "The largest request body on batch routes, in bytes."
    )
    body_seconds: int = _setting(reads.whole(1, 600), 10, "The time a request body may take to arrive, in seconds.")
    credential_cache_seconds: int = _setting(
        reads.whole(0, 30),
        15,
        "How long a process may trust a credential it has checked, in seconds; a revocation holds after that.",
    )
    rate_per_minute: int = _setting(
        reads.whole(1, 100_000_000), 10_000, "Requests a minute for a client without a limit of its own."
    )
    rate_burst: int = _setting(reads.whole(1, 100_000_000), 1000, "Requests such a client may send at once.")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        reads.one_of("debug", "info", "warning", "error"), "info", "The least severe line to log."
    )
    log_format: Literal["json", "text"] | None = _setting(
        reads.one_of("json", "text"),
        None,
        "`json`, a line each, or `text` for people.",
        shown="`text` on a terminal, else `json`",
    )
    smtp_host: str | None = _setting(
        reads.host, None, "The mail server. Unset: messages lie in a mailbox that the sandbox shows."
    )
    smtp_port: int = _setting(reads.whole(1, 65535), 587, "The port of the mail server.")
    smtp_user: str | None = _setting(reads.line, None, "The user at the mail server, if it wants one.")
    smtp_password: str | None = _setting(reads.line, None, "The password of that user.", secret=True)
    smtp_from: str | None = _setting(reads.sender, None, "The sender of mail; required with a mail server.")
    smtp_starttls: bool = _setting(
        reads.switch, default=True, meaning="Whether mail is sent over an encrypted connection only."
    )
    sms_webhook_url: str | None = _setting(
        reads.web_url, None, "The gateway that short messages are posted to. Unset: the mailbox.", secret=True
    )
    sms_webhook_secret: str | None = _setting(
        reads.line, None, "Signs what is posted to the gateway; required with it.", secret=True
    )
    webhook_allowed_networks: tuple[IPv4Network | IPv6Network, ...] = _setting(
        reads.networks,
        (),
        "Networks that webhooks are sent to although they are private, loopback or reserved, by http and to any port, too: "
        "CIDRs, separated by commas.",
        shown="none",
    )
    webhook_ports: tuple[int, ...] = _setting(
        reads.ports, (443, 8443), "Ports that webhooks are sent to, separated by commas.", shown="`443,8443`"
    )
    webhook_retention_days: int = _setting(
        reads.whole(1, 3650), 90, "For how many days is kept what became of events at webhooks, and every attempt."
    )
    event_retention_days: int = _setting(
        reads.whole(30, 3650),
        400,
        "For how many days at least events are kept; `tallystick retention` forgets whole months.",
    )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings that `environ` states. Raises BadSettings with every fault at once. Blank is unset."""
        stated = {name: value.strip() for name, value in environ.items() if name.startswith(PREFIX) and value.strip()}
        known = {variable(one): one for one in fields(cls)}
        ours = {name for name in environ if name.startswith(PREFIX)} - OF_COMMANDS
        faults = [_unknown(name, known) for name in sorted(ours - known.keys())]
        values: dict[str, Any] = {}
        for name, one in known.items():
            try:
                values[one.name] = _value(one, stated.get(name))
            except ValueError as error:
                faults.append(f"{name} {error}.")
        settings = cls(**values)
        faults += settings._contradictions()
        if faults:
            raise BadSettings(faults)
        return settings

    @property
    def base_url(self) -> str:
        """The address partners reach, without a slash at the end."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{shown}:{self.port}"

    def _contradictions(self) -> list[str]:
        """What is wrong between settings, each of which may be right."""
        rules = {
            "TALLYSTICK_MASTER_KEY and TALLYSTICK_MASTER_KEY_FILE exclude each other; unset one.": (
                self.master_key is not None and self.master_key_file is not None
            ),
            "TALLYSTICK_SMTP_FROM is required with TALLYSTICK_SMTP_HOST.": (
                self.smtp_host is not None and self.smtp_from is None
            ),
            "TALLYSTICK_SMTP_USER and TALLYSTICK_SMTP_PASSWORD belong together; set both or none.": (
                (self.smtp_user is None) != (self.smtp_password is None)
            ),
            "TALLYSTICK_SMS_WEBHOOK_URL and TALLYSTICK_SMS_WEBHOOK_SECRET belong together; set both or none.": (
                (self.sms_webhook_url is None) != (self.sms_webhook_secret is None)
            ),
            "TALLYSTICK_BATCH_BODY_BYTES must not be below TALLYSTICK_BODY_BYTES.": (
                self.batch_body_bytes < self.body_bytes
            ),
        }
        return [sentence for sentence, broken in rules.items() if broken]


def variable(one: "Field[Any]") -> str:
    """The environment variable of a field."""
    return PREFIX + one.name.upper()


def document() -> str:
    """The table of docs/settings.md, in Markdown."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for one in fields(Settings):
        meaning = one.metadata["meaning"] + (" Secret." if one.metadata["secret"] else "")
        lines.append(f"| `{variable(one)}` | {_default_shown(one)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _value(one: "Field[Any]", stated: str | None) -> object:
    if stated is not None:
        return one.metadata["read"](stated)
    otherwise = one.metadata["otherwise"]
    return one.default if otherwise is None else otherwise()


def _unknown(name: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else "; unset it.")


def _default_shown(one: "Field[Any]") -> str:
    if one.metadata["shown"] is not None:
        return str(one.metadata["shown"])
    return "none" if one.default is None else f"`{str(one.default).lower() if one.type is bool else one.default}`"
