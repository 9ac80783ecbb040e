"""The connection below the road: a client that sends its request too slowly, or too much of it, is let go.

The server has no bound of its own for either; a connection that says nothing at all would stay open for ever. And a connection
that is closed while its client still sends is closed gently: torn down at once, the client would lose the answer.
"""

import asyncio
import socket
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_CLOSING: Final = b"content-length: 0\r\nconnection: close\r\ncache-control: no-store\r\n\r\n"
MALFORMED: Final = b"HTTP/1.1 400 Bad Request\r\n" + _CLOSING
TIMEOUT: Final = b"HTTP/1.1 408 Request Timeout\r\n" + _CLOSING
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _CLOSING


class BoundedProtocol(HttpToolsProtocol):
    """An HTTP/1.1 connection whose request heads are bounded in time and size, and whose answers arrive."""

    head_seconds = 10.0
    """How long the first byte and the whole head of a request may take on a new connection, or a head on a kept one."""
    head_bytes = 65_536
    """How much a client may send before the head of its request is complete."""
    rest_seconds = 2.0
    """How long a client may go on sending a body whose request has been answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_deadline: asyncio.TimerHandle | None = None
        self._rest_deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # Head and body of an answer are two writes: without this the second may wait 40 ms for the first to be confirmed.
        # Not every loop sets it on every socket.
        if (connected := transport.get_extra_info("socket")) is not None and connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._gentle = _GentleTransport(transport, self)
        super().connection_made(self._gentle)  # type: ignore[arg-type]
        self._ending = asyncio.Event()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ended()
        self._rest_ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._gentle.is_closing():
            return
        if self._head_deadline is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.head_bytes:
            self._let_go(TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # What an answer without an end must know: when the process ends, and how to cut off a client that reads no more.
        # And what spares a whole body the clock that a late one needs.
        self.scope["extensions"] = {
            "tallystick": {"ending": self._ending, "cut": self._gentle.abort, "is_whole": self._is_whole}
        }
        self._in_head = True
        if self._head_deadline is None:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes behind a body could contradict what was decided on
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_ended()
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError(
                "a request of HTTP/1.1 names one host (RFC 9112, 3.2)"
            )  # the parser takes it for one of its own
        if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in self.headers):
            raise ValueError("a coding of its transfer is not known here (RFC 9112, 6.1)")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._rest_deadline is not None:
            self._rest_ended()
            # The rest of the body stopped the clock of the idle connection.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.is_receiving() and not self._gentle.is_closing():
            self._rest_deadline = self.loop.call_later(self.rest_seconds, self._gentle.close)

    def shutdown(self) -> None:
        """Let what is being answered finish, and tell what would never finish to do so."""
        super().shutdown()
        self._ending.set()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the server's own words are not repeated
        """Refuse what is no HTTP; in a form that needs no media type."""
        self._let_go(MALFORMED)

    def is_receiving(self) -> bool:
        """Whether the body of the request that is read just now is not whole yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.more_body

    def _is_whole(self, scope: Any) -> bool:
        """Whether the body of this very request is known to have arrived; of one behind another nothing is known."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.scope is scope and not cycle.more_body

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_deadline = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _head_ended(self) -> None:
        self._in_head = False
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _rest_ended(self) -> None:
        if self._rest_deadline is not None:
            self._rest_deadline.cancel()
            self._rest_deadline = None

    def _head_is_late(self) -> None:
        if self._may_answer():
            self._let_go(TIMEOUT)
        else:  # an earlier request of this connection is still being answered
            self._head_deadline = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _let_go(self, answer: bytes) -> None:
        self._head_ended()
        if not self._gentle.is_closing():
            if self._may_answer():
                self._gentle.write(answer)
            self._gentle.end()

    def _may_answer(self) -> bool:
        """Whether what is written now would not be taken for the answer to an earlier request."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return cycle.more_body and not cycle.response_started and not self.pipeline


class _GentleTransport:
    """A transport that, closed while the client still sends, ends its own side first and hears the client out for a moment.

    A first piece is held for the second, or until the loop's next turn: head and body of an answer go out as one, which spares
    both sides a system call and the reader a wake-up.
    """

    __slots__ = (
        "_closing",
        "_held",
        "_protocol",
        "_transport",
        "abort",
        "get_extra_info",
        "pause_reading",
        "resume_reading",
    )

    def __init__(self, transport: asyncio.Transport, protocol: BoundedProtocol) -> None:
        self._transport, self._protocol, self._closing = transport, protocol, False
        self._held = b""
        self.get_extra_info = transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.abort = transport.abort

    def write(self, piece: bytes) -> None:
        """Send, at the latest in the loop's next turn; nothing any more to a client that was let go."""
        if self._closing:
            return
        if self._held:
            piece, self._held = self._held + piece, b""
            self._transport.write(piece)
        elif piece:
            self._held = piece
            self._protocol.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close; gently where the client still sends."""
        if self._protocol.is_receiving():
            self.end()
        elif not self._closing:
            self._closing = True
            self.flush()
            self._transport.close()

    def end(self) -> None:
        """Say that nothing more will come, and close a moment later."""
        if self.is_closing():
            return
        self._closing = True
        self.flush()
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._protocol.loop.call_later(self._protocol.rest_seconds, self._transport.close)
