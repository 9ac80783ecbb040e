"""Deliveries, good ones and bad ones, and what a verifier must say of each; signed without the house's own signer."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CLIENTS: Final = Path(__file__).parents[2] / "clients" / "webhooks"
NOW: Final = 1_780_000_000

# The examples of the specification's own libraries.
SPEC_ID: Final = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SPEC_TIME: Final = 1_614_265_330
SPEC_BODY: Final = b'{"test": 2432232314}'
SPEC_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SPEC_V1: Final = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
SPEC_PAIR: Final = base64.b64decode(
    "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
SPEC_PUBLIC: Final = "whpk_" + base64.b64encode(SPEC_PAIR[32:]).decode()
SPEC_V1A: Final = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
SEED: Final = bytes(range(32))
PUBLIC: Final = (
    "whpk_" + base64.b64encode(Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()).decode()
)
OTHER_PUBLIC: Final = (
    "whpk_"
    + base64.b64encode(Ed25519PrivateKey.from_private_bytes(b"\7" * 32).public_key().public_bytes_raw()).decode()
)


@dataclass(frozen=True)
class Case:
    """One delivery as it arrives, with what the receiver keeps."""

    name: str
    verified: bool
    signature: str
    secrets: Sequence[str]
    body: bytes
    message_id: str = "019a0000-0000-7000-8000-000000000001"
    timestamp: str = str(NOW)
    now: int = NOW

    @property
    def headers(self) -> dict[str, str]:
        return {
            "webhook-id": self.message_id,
            "webhook-timestamp": self.timestamp,
            "webhook-signature": self.signature,
        }


def v1(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """An entry by a shared secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def v1a(seed: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """An entry by a private key."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1a," + base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).sign(signed)).decode()


@dataclass(frozen=True)
class Maker:
    """What the cases are made of: one delivery, and its signatures."""

    body: bytes = '{"type":"reward.issued","data":{"note":"Café ✓"}}'.encode()
    base: Case = field(default_factory=lambda: Case("", True, "", (NEW,), b""))

    def sign(self, secret: str = NEW, timestamp: str = str(NOW)) -> str:
        return v1(secret, self.base.message_id, timestamp, self.body)

    def sign_a(self) -> str:
        return v1a(SEED, self.base.message_id, str(NOW), self.body)

    def case(self, name: str, signature: str, *, verified: bool = False, **more: object) -> Case:
        made = replace(self.base, name=name, verified=verified, signature=signature, body=self.body)
        return replace(made, **more)  # type: ignore[arg-type]

    def good(self) -> list[Case]:
        new, old, key = self.sign(), self.sign(OLD), self.sign_a()
        early, late = str(NOW - 300), str(NOW + 300)
        return [
            self.case("good", new, verified=True),
            self.case("rotated, the receiver still has the old secret", f"{new} {old}", verified=True, secrets=(OLD,)),
            self.case("rotated, the receiver has the new one already", f"{new} {old}", verified=True),
            self.case("signed by the old secret, the receiver has both", old, verified=True, secrets=(NEW, OLD)),
            self.case("by the public key only", key, verified=True, secrets=(PUBLIC,)),
            self.case("both kinds, the receiver has the public key", f"{new} {key}", verified=True, secrets=(PUBLIC,)),
            self.case("both kinds, the receiver has both", f"{new} {key}", verified=True, secrets=(OTHER, PUBLIC)),
            self.case("unknown versions are skipped", f"v9,abc v2 v1b,AAAA {new}", verified=True),
            self.case("malformed entries are skipped", f"v1, v1,! v1,A ,, v1a,AAAA v1 {new}", verified=True),
            self.case("as early as may be", self.sign(timestamp=early), verified=True, timestamp=early),
            self.case("as late as may be", self.sign(timestamp=late), verified=True, timestamp=late),
            Case(
                "the specification's v1", True, SPEC_V1, (SPEC_SECRET,), SPEC_BODY, SPEC_ID, str(SPEC_TIME), SPEC_TIME
            ),
            Case("its v1a", True, SPEC_V1A, (SPEC_PUBLIC,), SPEC_BODY, SPEC_ID, str(SPEC_TIME), SPEC_TIME),
        ]

    def bad(self) -> list[Case]:
        new, key = self.sign(), self.sign_a()
        at = [
            str(NOW - 301),
            str(NOW + 301),
            f"{NOW}.0",
            f"+{NOW}",
            f" {NOW}",
            f"0{NOW}",
            f"{NOW}e0",
            "",
            "-1",
            "9" * 40,
            "١٢٣",
        ]
        timestamps = [self.case(f"timestamp {each!r}", self.sign(timestamp=each), timestamp=each) for each in at]
        garbage = [
            "",
            ",",
            "v1",
            "v1,",
            "v1,====",
            new[3:],
            f"V1{new[2:]}",
            new[:-4],
            f"{new},",
            f"v1a{new[2:]}",
            "é",
            "\0",
        ]
        return [
            self.case("another body", new, body=self.body + b" "),
            self.case("an empty body", new, body=b""),
            self.case("another secret", new, secrets=(OTHER,)),
            self.case("a secret for a public key", new, secrets=(PUBLIC,)),
            self.case("a public key for a secret", key, secrets=(NEW,)),
            self.case("another public key", key, secrets=(OTHER_PUBLIC,)),
            self.case("a v1a entry that says v1", "v1" + key[3:], secrets=(PUBLIC, NEW)),
            self.case("another id", new, message_id="019a0000-0000-7000-8000-000000000002"),
            self.case("an empty id", v1(NEW, "", str(NOW), self.body), message_id=""),
            self.case("an id with a point", v1(NEW, "a.b", str(NOW), self.body), message_id="a.b"),
            self.case("more signatures than anyone sends", " ".join([*["v1,AAAA"] * 2_000, new])),
            *timestamps,
            *(self.case(f"garbage {each[:12]!r}", each) for each in garbage),
        ]


CASES: Final = [*Maker().good(), *Maker().bad()]
