"""Receivers that behave badly, over real sockets on this machine; and certificates, good and bad."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Sink:
    """A receiver at a free port, and what came there."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Heads and bodies, as they came over the wire."""

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hooks"


@contextlib.asynccontextmanager
async def sink(behave: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Sink]:
    """A receiver that reads a request and then behaves like this."""
    found = Sink()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        found.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            found.requests.append(await request(reader))
            await behave(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls, family=socket.AF_INET)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> bytes:
    """One whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


def says(answer: bytes) -> Behaviour:
    """Answer these bytes, and close."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behave


def status(code: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer a status."""
    lines = [f"HTTP/1.1 {code} So", f"content-length: {len(body)}", "connection: close", *headers]
    return says("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def bomb(megabytes: int) -> Behaviour:
    """A small answer that would be a large one."""
    return status(200, "content-encoding: gzip", body=gzip.compress(bytes(megabytes * 1024 * 1024)))


async def hangs(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Takes the request and never answers."""
    await reader.read()


async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


def drips(before: bytes, piece: bytes, seconds: float = 0.02) -> Behaviour:
    """Answer a little at a time, for ever."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return behave


async def resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Breaks the connection off."""
    opened = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it signed: certificates and keys in files."""

    folder: Path
    authority: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def trust(self) -> ssl.SSLContext:
        """What a client trusts: this authority, and TLS 1.2 or newer."""
        context = ssl.create_default_context(cadata=self.authority.public_bytes(serialization.Encoding.PEM).decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def serves(self, name: str, *, days: int = 1) -> ssl.SSLContext:
        """What a server shows: a certificate for this name or address, which ends in so many days."""
        own = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self.authority.subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        place = self.folder / f"{name}-{days}.pem"
        place.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + built.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place)
        return context


@lru_cache(maxsize=4)
def certificates(folder: Path) -> Certificates:
    """A new authority, whose certificates lie in this folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    authority = (
        x509.CertificateBuilder()
        .subject_name(_named("authority of the tests"))
        .issuer_name(_named("authority of the tests"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=20))
        .not_valid_after(now + timedelta(days=20))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificates(folder, authority, key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
