"""Keys of the house: what is sealed opens only where it belongs, and rotation loses nothing."""

import hashlib
import hmac
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.keys import KEY_BYTES, BadKeys, MasterKeys, SubjectKey, Unsealable

RAW = bytes(range(32))
LINE = "v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
KEYS = MasterKeys.from_text(LINE)
TENANT, OTHER = ids.new(), ids.new()


def test_the_text_of_the_keys_is_read_with_spaces_or_lines_and_padding() -> None:
    two = KEYS.add_version()
    assert MasterKeys.from_text(f"  {LINE}=\n").derive("x") == KEYS.derive("x")
    assert two.current == 2
    assert two.derive("x", version=1) == KEYS.derive("x")
    assert two.derive("x") != KEYS.derive("x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        LINE[3:],
        LINE[:-1],
        LINE + "A",
        LINE.replace("v1", "v2"),
        LINE.replace("v1", "v0"),
        f"{LINE} {LINE}",
        f"{LINE} {LINE.replace('v1', 'v3')}",
        LINE[:-1] + "9",  # bits beyond the 32 bytes
        LINE[:-1] + "+",
        LINE + "\0",
        "v1:" + "A" * 43,  # not random
    ],
)
def test_keys_that_cannot_be_used_are_refused_with_a_sentence_that_shows_none(text: str) -> None:
    with pytest.raises(BadKeys) as refused:
        MasterKeys.from_text(text)
    assert LINE[3:20] not in str(refused.value)


def test_a_key_never_shows() -> None:
    assert repr(KEYS) == str(KEYS) == "MasterKeys(current=v1)"
    assert RAW.hex()[:8] not in repr(SubjectKey(RAW))


def test_written_keys_are_read_again_from_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    path, keys = tmp_path / "master.key", MasterKeys.generate()
    before = os.umask(0)
    try:
        keys.write_new(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert MasterKeys.read(path).derive("x") == keys.derive("x")
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_file_is_never_written_over_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    KEYS.write_new(path)
    with pytest.raises(FileExistsError):
        MasterKeys.generate().write_new(path)
    assert MasterKeys.read(path).derive("x") == KEYS.derive("x")
    assert list(tmp_path.iterdir()) == [path]


def test_rotation_puts_more_versions_in_the_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    KEYS.write_new(path)
    rotated = KEYS.add_version()
    rotated.write_over(path)
    read = MasterKeys.read(path)
    assert (read.current, read.derive("x")) == (2, rotated.derive("x"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    KEYS.write_new(path)
    path.chmod(mode)
    with pytest.raises(BadKeys, match="chmod 600"):
        MasterKeys.read(path)


def test_what_is_no_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MasterKeys.read(tmp_path / "missing")
    with pytest.raises(BadKeys, match="regular file"):
        MasterKeys.read(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BadKeys, match="regular file"):
        MasterKeys.read(tmp_path / "pipe")
    for content in (b"", os.urandom(100) + b"\xff", b"x" * 100_000):
        path = tmp_path / "other"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(BadKeys):
            MasterKeys.read(path)


def test_derived_keys_are_hkdf_sha256_and_differ_by_purpose_context_and_version() -> None:
    expected = HKDF(SHA256(), 32, salt=None, info=b"tallystick\0signing\0a").derive(RAW)
    assert KEYS.derive("signing", b"a") == KEYS.derive("signing", b"a") == expected
    two = KEYS.add_version()
    derived = [
        two.derive("signing", b"a"),
        two.derive("signing", b"a", 1),
        two.derive("signing", b"b"),
        two.derive("signing"),
        two.derive("signin", b"ga"),
        two.derive("seal", b"a"),
    ]
    assert len(set(derived)) == len(derived)
    assert {len(one) for one in derived} == {KEY_BYTES}


@pytest.mark.parametrize("version", [0, -1, 2])
def test_a_version_that_is_not_here_is_refused(version: int) -> None:
    with pytest.raises(BadKeys, match="no version"):
        KEYS.derive("x", version=version)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary())
def test_indexes_and_fingerprints_are_keyed_per_tenant_and_survive_rotation(value: str, data: bytes) -> None:
    index_key = KEYS.derive("blind-index", TENANT.bytes)
    assert KEYS.blind_index(TENANT, value) == hmac.digest(index_key, value.encode(), "sha256")
    fingerprint_key = KEYS.derive("fingerprint", TENANT.bytes)
    twice = hmac.digest(fingerprint_key, hashlib.sha256(data).digest(), "sha256")
    assert KEYS.fingerprint(TENANT, data) == twice
    assert KEYS.blind_index(OTHER, value) != KEYS.blind_index(TENANT, value)
    assert KEYS.fingerprint(OTHER, data) != KEYS.fingerprint(TENANT, data)
    rotated = KEYS.add_version()
    assert rotated.blind_index(TENANT, value) == KEYS.blind_index(TENANT, value)
    assert rotated.fingerprint(TENANT, data) == KEYS.fingerprint(TENANT, data)


def test_a_secret_stored_before_a_rotation_is_found_after_it() -> None:
    stored = KEYS.secret_digest("tly_sandbox_x")
    rotated = KEYS.add_version()
    digests = rotated.secret_digests("tly_sandbox_x")
    assert digests == [rotated.secret_digest("tly_sandbox_x"), stored]
    assert digests[0] != stored
    assert stored not in rotated.secret_digests("tly_sandbox_y")


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_is_sealed_opens_with_its_key_and_place_and_never_looks_the_same(plaintext: bytes, aad: bytes) -> None:
    sealed = KEYS.seal(plaintext, aad)
    assert KEYS.open_sealed(sealed, aad) == plaintext
    assert KEYS.seal(plaintext, aad) != sealed
    subject = SubjectKey(RAW)
    kept = subject.seal(plaintext, aad)
    assert subject.open(kept, aad) == plaintext
    assert subject.seal(plaintext, aad) != kept


@given(st.data(), st.binary(max_size=50))
def test_any_changed_bit_is_noticed(data: st.DataObject, plaintext: bytes) -> None:
    subject = SubjectKey(RAW)
    for sealed, unseal in (
        (KEYS.seal(plaintext, b"a"), KEYS.open_sealed),
        (subject.seal(plaintext, b"a"), subject.open),
    ):
        bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        cut = data.draw(st.integers(0, len(sealed) - 1))
        for wrong, place in ((bytes(changed), b"a"), (sealed[:cut], b"a"), (sealed + b"\0", b"a"), (sealed, b"b")):
            with pytest.raises(Unsealable):
                unseal(wrong, place)


@given(st.binary(max_size=100))
def test_no_bytes_make_opening_fail_otherwise(sealed: bytes) -> None:
    for unseal in (KEYS.open_sealed, SubjectKey(RAW).open, KEYS.unwrap, KEYS.rewrap):
        with pytest.raises(Unsealable):
            unseal(sealed, b"")


def test_another_house_opens_nothing() -> None:
    house = MasterKeys.generate()
    with pytest.raises(Unsealable):
        house.open_sealed(KEYS.seal(b"x", b""), b"")
    with pytest.raises(Unsealable):
        house.unwrap(KEYS.new_subject_key(b"")[1], b"")


def test_a_header_cannot_be_moved_to_another_version() -> None:
    two = KEYS.add_version()
    sealed = two.seal(b"x", b"")
    assert sealed[0] == 2
    with pytest.raises(Unsealable):
        two.open_sealed(b"\x01" + sealed[1:], b"")


def test_a_wrapped_key_is_no_sealed_value_and_the_other_way_round() -> None:
    _, wrapped = KEYS.new_subject_key(b"a")
    with pytest.raises(Unsealable):
        KEYS.open_sealed(wrapped, b"a")
    with pytest.raises(Unsealable):
        KEYS.unwrap(KEYS.seal(RAW, b"a"), b"a")


def test_a_person_s_key_opens_after_rotation_and_rewrapping_what_it_sealed_before() -> None:
    plain, wrapped = KEYS.new_subject_key(b"person")
    sealed = SubjectKey(plain).seal(b"+15551234567", b"phone")
    rotated = KEYS.add_version()
    assert rotated.unwrap(wrapped, b"person").open(sealed, b"phone") == b"+15551234567"
    again = rotated.rewrap(wrapped, b"person")
    assert again[0] == 2
    assert rotated.rewrap(again, b"person") is again
    assert rotated.unwrap(again, b"person").open(sealed, b"phone") == b"+15551234567"
    with pytest.raises(Unsealable):
        KEYS.unwrap(again, b"person")
    with pytest.raises(Unsealable):
        rotated.rewrap(wrapped, b"somebody else")


def test_a_sealed_value_is_29_bytes_longer_than_the_plain_one() -> None:
    assert len(KEYS.seal(b"12345", b"")) == len(SubjectKey(RAW).seal(b"12345", b"")) == 5 + 29
