"""Signatures of Standard Webhooks: the published vectors, and what two keys make of one message."""

import base64
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallystick.webhooks import signing
from tallystick.webhooks.model import Signer

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
PAIR = base64.b64decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def test_the_published_vectors_come_out() -> None:
    signer = Signer((SECRET,), (Ed25519PrivateKey.from_private_bytes(PAIR[:32]),))
    assert signing.headers(signer, ID, AT, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"{V1} {V1A}",
    }
    assert signing.public_key(PAIR[:32]) == PAIR[32:]


def test_the_instant_of_the_attempt_is_cut_to_seconds() -> None:
    signer = Signer((SECRET,), ())
    assert signing.headers(signer, ID, AT.replace(microsecond=999_999), BODY)["webhook-timestamp"] == "1614265330"


def test_every_secret_that_is_alive_signs_the_newest_first() -> None:
    (symmetric, seed), (old, old_seed) = signing.new_secret(), signing.new_secret()
    keys = tuple(Ed25519PrivateKey.from_private_bytes(each) for each in (seed, old_seed))
    written = signing.headers(Signer((symmetric, old), keys), ID, AT, BODY)["webhook-signature"].split(" ")
    assert [each.partition(",")[0] for each in written] == ["v1", "v1", "v1a", "v1a"]
    alone = signing.headers(Signer((symmetric,), ()), ID, AT, BODY)["webhook-signature"]
    assert written[0] == alone and written[1] != alone
    public = Ed25519PublicKey.from_public_bytes(signing.public_key(seed))
    public.verify(base64.b64decode(written[2].removeprefix("v1a,")), b"%s.1614265330.%s" % (ID.encode(), BODY))


def test_secrets_are_written_as_the_standard_says() -> None:
    symmetric, seed = signing.new_secret()
    assert signing.secret_text(symmetric).startswith("whsec_") and len(symmetric) == 32
    assert base64.b64decode(signing.secret_text(symmetric).removeprefix("whsec_")) == symmetric
    assert signing.public_text(signing.public_key(seed)).startswith("whpk_")
    assert signing.new_secret() != (symmetric, seed)
