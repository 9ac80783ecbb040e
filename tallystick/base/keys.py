"""Keys of the house: one master key, from it every other key by purpose and version; and one data key per person.

Losing the master key loses every sealed value and every credential. Destroying a person's wrapped key erases what was
sealed under it.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
VERSIONS_MAX = 127
"""The header byte of a sealed value names the key version; its upper half is kept for another format."""

INDEX_VERSION = 1
"""Blind indexes and fingerprints are compared for ever: they stay with the first version until all is indexed anew."""

_DERIVED_MAX = 50_000
_FILE_MAX = 64 * 1024
_SUBJECT_FORMAT = b"\x01"
_LINE = re.compile(r"v([1-9][0-9]{0,2}):([A-Za-z0-9_-]{43})=?")


class BadKeys(Exception):
    """The master keys cannot be used. The sentence says what to do and never repeats a key."""


class Unsealable(Exception):
    """A sealed value that was changed, or belongs to another key or another place."""


class SubjectKey:
    """The data key of one person. Values sealed with it are readable as long as its wrapped form exists."""

    __slots__ = ("_cipher",)

    def __init__(self, plain_key: bytes) -> None:
        assert len(plain_key) == KEY_BYTES, "a data key has 32 bytes"
        self._cipher = AESGCM(plain_key)

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """`plaintext` under this key, bound to `aad`: the name of the place where it will lie."""
        return _seal(self._cipher, _SUBJECT_FORMAT, plaintext, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """What was sealed. Raises Unsealable."""
        if sealed[:1] != _SUBJECT_FORMAT:
            raise Unsealable("The value is not sealed under a person's key.")
        return _open(self._cipher, sealed, aad)


class MasterKeys:
    """Every version of the master key, oldest first; the last is current. It never shows a key."""

    def __init__(self, versions: tuple[bytes, ...]) -> None:
        if not 1 <= len(versions) <= VERSIONS_MAX:
            raise BadKeys(f"There must be between 1 and {VERSIONS_MAX} versions of the master key.")
        if any(len(key) != KEY_BYTES or len(set(key)) < 8 for key in versions):
            raise BadKeys("A master key is 32 random bytes; one of these is not.")
        self._versions = versions
        self._derived: dict[tuple[str, bytes, int], bytes] = {}
        self._macs: dict[tuple[str, bytes, int], hmac.HMAC] = {}
        self._indexes: dict[UUID, hmac.HMAC] = {}
        self._fingerprints: dict[UUID, hmac.HMAC] = {}
        self._ciphers: dict[tuple[str, int], AESGCM] = {}

    def __repr__(self) -> str:
        return f"MasterKeys(current=v{self.current})"

    @property
    def current(self) -> int:
        """The version that new values are sealed with."""
        return len(self._versions)

    @classmethod
    def generate(cls) -> Self:
        """A fresh master key, version 1."""
        return cls((os.urandom(KEY_BYTES),))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The keys listed as `v1:<base64url of 32 bytes>`, one a line or separated by spaces, oldest first. BadKeys."""
        keys = []
        for number, line in enumerate(text.split(), start=1):
            match = _LINE.fullmatch(line)
            if match is None or int(match[1]) != number:
                raise BadKeys(f"Line {number} of the master keys must read v{number}:<32 bytes in base64url>.")
            key = base64.urlsafe_b64decode(match[2] + "=")
            if base64.urlsafe_b64encode(key)[:43] != match[2].encode():
                raise BadKeys(f"Line {number} of the master keys is not the base64url of 32 bytes; it may be cut.")
            keys.append(key)
        if not keys:
            raise BadKeys("There is no master key; restore the one this data was made with.")
        return cls(tuple(keys))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The keys in a file that only its owner may read. Raises BadKeys, or FileNotFoundError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise BadKeys(f"The master key {path} is not a regular file.")
            if mode & 0o077:
                raise BadKeys(f"Others may read the master key {path}; run: chmod 600 {path}")
            content = os.read(descriptor, _FILE_MAX + 1)
        finally:
            os.close(descriptor)
        if len(content) > _FILE_MAX:
            raise BadKeys(f"The file {path} is too large to be a master key.")
        try:
            return cls.from_text(content.decode("ascii"))
        except UnicodeDecodeError:
            raise BadKeys(f"The file {path} is not a master key.") from None

    def add_version(self) -> Self:
        """These keys and a fresh one, which becomes current. What older versions sealed stays readable."""
        return type(self)((*self._versions, os.urandom(KEY_BYTES)))

    def write_new(self, path: Path) -> None:
        """Keep the keys in a new file of mode 0600, safely on disk. Raises FileExistsError rather than write over one.

        The file appears whole or not at all, so that a kill leaves no half-written key.
        """
        written = self._write_beside(path)
        try:
            os.link(written, path)
        finally:
            written.unlink()
        _flush_directory(path.parent)

    def write_over(self, path: Path) -> None:
        """Put these keys in the place of the file, at once and safely on disk: for rotation."""
        self._write_beside(path).replace(path)
        _flush_directory(path.parent)

    def derive(self, purpose: str, context: bytes = b"", version: int | None = None) -> bytes:
        """The 32-byte key for one purpose and context, by HKDF-SHA256 from one version (default: the current)."""
        assert "\0" not in purpose, "a purpose is a name without NUL, which ends it"
        name = (purpose, context, self.current if version is None else version)
        found = self._derived.get(name)
        if found is None:
            label = b"tallystick\0" + purpose.encode() + b"\0" + context
            found = HKDF(SHA256(), KEY_BYTES, salt=None, info=label).derive(self._master(name[2]))
            _bound(self._derived)
            self._derived[name] = found
        return found

    def blind_index(self, tenant: UUID, value: str) -> bytes:
        """32 bytes that stand for `value` within one tenant: equal values are found, and none can be read back."""
        mac = self._indexes.get(tenant)
        if mac is None:
            mac = self._tenant_mac(self._indexes, "blind-index", tenant)
        keyed = mac.copy()
        keyed.update(value.encode())
        return keyed.digest()

    def fingerprint(self, tenant: UUID, data: bytes) -> bytes:
        """32 bytes that stand for `data` within one tenant: a keyed SHA-256 of its SHA-256."""
        mac = self._fingerprints.get(tenant)
        if mac is None:
            mac = self._tenant_mac(self._fingerprints, "fingerprint", tenant)
        keyed = mac.copy()
        keyed.update(hashlib.sha256(data).digest())
        return keyed.digest()

    def secret_digest(self, secret: str) -> bytes:
        """What is stored of a client secret, token or one-time code: its keyed hash by the current version."""
        return self._digest(secret, self.current)

    def secret_digests(self, secret: str) -> list[bytes]:
        """The digest by every version, current first: a secret stored before a rotation is still found."""
        return [self._digest(secret, version) for version in range(self.current, 0, -1)]

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """`plaintext` under the house's own encryption key, bound to `aad`: the name of the place where it will lie.

        Nonces are random, so that one version seals at most 2³² values (NIST SP 800-38D); rotate long before.
        """
        return self._seal("seal", plaintext, aad)

    def open_sealed(self, sealed: bytes, aad: bytes) -> bytes:
        """What was sealed, under whichever version. Raises Unsealable."""
        return self._open("seal", sealed, aad)

    def new_subject_key(self, aad: bytes) -> tuple[bytes, bytes]:
        """A fresh data key for one person: the plain key, for `SubjectKey`, and its wrapped form, to be stored."""
        plain = os.urandom(KEY_BYTES)
        return plain, self._seal("wrap", plain, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> SubjectKey:
        """The data key that was wrapped. Raises Unsealable."""
        return SubjectKey(self._open("wrap", wrapped, aad))

    def rewrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """The same data key wrapped by the current version; as it is, when it already was. Raises Unsealable."""
        plain = self._open("wrap", wrapped, aad)
        return wrapped if wrapped[0] == self.current else self._seal("wrap", plain, aad)

    def _master(self, version: int) -> bytes:
        if not 1 <= version <= self.current:
            raise BadKeys(f"There is no version {version} of the master key; restore the file that has it.")
        return self._versions[version - 1]

    def _tenant_mac(self, kept: dict[UUID, hmac.HMAC], purpose: str, tenant: UUID) -> hmac.HMAC:
        _bound(kept)
        mac = kept[tenant] = hmac.new(self.derive(purpose, tenant.bytes, INDEX_VERSION), digestmod="sha256")
        return mac

    def _digest(self, secret: str, version: int) -> bytes:
        mac = self._macs.get(("secrets", b"", version))
        if mac is None:
            mac = hmac.new(self.derive("secrets", version=version), digestmod="sha256")
            self._macs["secrets", b"", version] = mac
        keyed = mac.copy()
        keyed.update(secret.encode())
        return keyed.digest()

    def _cipher(self, purpose: str, version: int) -> AESGCM:
        cipher = self._ciphers.get((purpose, version))
        if cipher is None:
            cipher = self._ciphers[purpose, version] = AESGCM(self.derive(purpose, version=version))
        return cipher

    def _seal(self, purpose: str, plaintext: bytes, aad: bytes) -> bytes:
        return _seal(self._cipher(purpose, self.current), bytes((self.current,)), plaintext, aad)

    def _open(self, purpose: str, sealed: bytes, aad: bytes) -> bytes:
        if not sealed or not 1 <= sealed[0] <= self.current:
            raise Unsealable("The value names a master key version that is not here.")
        return _open(self._cipher(purpose, sealed[0]), sealed, aad)

    def _write_beside(self, path: Path) -> Path:
        lines = (f"v{n}:{base64.urlsafe_b64encode(key)[:43].decode()}\n" for n, key in enumerate(self._versions, 1))
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o600)
            file.write("".join(lines))
            file.flush()
            os.fsync(descriptor)
        return beside


def _seal(cipher: AESGCM, header: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """header ‖ nonce ‖ ciphertext and tag. The header is authenticated with the caller's `aad`."""
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + cipher.encrypt(nonce, plaintext, header + aad)


def _open(cipher: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    if len(sealed) < 1 + NONCE_BYTES + TAG_BYTES:
        raise Unsealable("The value is too short to be a sealed one.")
    try:
        return cipher.decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], sealed[:1] + aad)
    except InvalidTag:
        raise Unsealable("The value was changed, or belongs to another key or place.") from None


def _bound(kept: dict[Any, Any]) -> None:
    """Start anew when very many tenants have been seen: a key is soon derived again, and memory has a limit."""
    if len(kept) >= _DERIVED_MAX:
        kept.clear()


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
