"""What the present thread's call may still do and has done, as its sockets see it.

Two things cannot be had from an HTTP client's exceptions and timeouts. Whether a byte of the request left: a stalled
TLS handshake and a stalled answer raise the same type. And an end: a timeout counts anew with every byte, so a server
that drips one byte a second holds a call for ever. So the connection writes both down here, and every socket operation
gets what is left of the deadline.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import timedelta
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class Phase(Enum):
    """How far a call has come."""

    BEGUN = auto()
    RESOLVING = auto()
    CONNECTING = auto()
    PROXY = auto()
    HANDSHAKE = auto()
    EXCHANGE = auto()


class Wire:
    """One thread's call on the wire. Times are the machine's monotonic clock, for sockets wait in real time."""

    def __init__(self, *, connect_timeout: timedelta, read_timeout: timedelta) -> None:
        self.phase = Phase.BEGUN
        self.bytes_left = False
        """Set before the first byte of the request is given to the system; a CONNECT to a proxy is not the request."""
        self.status: int | None = None
        """The status line, once it came, even if nothing after it ever does."""
        self.surplus = False
        """More came on the connection than the answer that was read."""
        self.max_idle = 0.0
        self.socket: socket.socket | None = None
        self._connect_timeout = connect_timeout.total_seconds()
        self._usual_read_timeout = self._read_timeout = read_timeout.total_seconds()
        self._deadline = 0.0

    def begin(
        self, *, max_idle: timedelta, read_timeout: timedelta | None = None, leave_within: timedelta | None = None
    ) -> None:
        """Start over for a new call in the present thread.

        :param max_idle: a connection that rested longer is not used.
        :param read_timeout: of this call, if it has its own.
        :param leave_within: until when the first byte must have left, if that is sooner than ``connect_timeout``.
        """
        _present.wire = self
        self.phase = Phase.BEGUN
        self.bytes_left = False
        self.status = None
        self.surplus = False
        self.max_idle = max_idle.total_seconds()
        self._read_timeout = self._usual_read_timeout if read_timeout is None else read_timeout.total_seconds()
        seconds = self._connect_timeout
        if leave_within is not None:
            seconds = min(seconds, leave_within.total_seconds())
        self._deadline = monotonic() + seconds

    def leave(self) -> None:
        """Note that the request leaves now; from here the call has ``read_timeout`` for all the rest.

        :raises TimeoutError: it is too late to leave.
        """
        self.remaining()
        self.phase = Phase.EXCHANGE
        self.bytes_left = True
        self._deadline = monotonic() + self._read_timeout

    def remaining(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: none are.
        """
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the call's deadline has passed")
        return left

    def sever(self) -> None:
        """Break the connection from another thread; whatever waits on it ends at once."""
        if (open_socket := self.socket) is not None:
            with suppress(OSError):
                # Not SSLSocket's own: it would drop the encryption first, while the other thread may be writing.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)


def is_interim(status: int) -> bool:
    """Return whether the answer is still to come (RFC 9110, section 15.2). After 101 none does.

    >>> [is_interim(status) for status in (100, 101, 102, 103, 200)]
    [True, False, True, True, False]
    """
    return 100 <= status < 200 and status != 101


def present() -> Wire:
    """Return the present thread's call."""
    return cast("Wire", _present.wire)


def in_call() -> bool:
    """Whether the present thread is one of those that make calls."""
    return hasattr(_present, "wire")


class BoundedSocket(socket.socket):
    """A socket whose every wait ends with its call's deadline."""

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive, at the latest by the deadline."""
        self.settimeout(present().remaining())
        return super().recv_into(buffer, nbytes, flags)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive, at the latest by the deadline."""
        self.settimeout(present().remaining())
        return super().recv(bufsize, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send, at the latest by the deadline."""
        self.settimeout(present().remaining())
        super().sendall(data, flags)


class BoundedTlsSocket(BoundedSocket, ssl.SSLSocket):  # type: ignore[misc]  # they name their arguments differently
    """The same over TLS. OpenSSL's own loops, such as the handshake's, keep to the timeout as a whole."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, at the latest by the deadline."""
        wire = present()
        wire.phase, wire.socket = Phase.HANDSHAKE, self
        self.settimeout(wire.remaining())
        super().do_handshake(block)


_present = threading.local()
