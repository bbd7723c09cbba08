"""urllib3's connections, marked: each notes when the request's first byte leaves and keeps to its call's deadline."""

from __future__ import annotations

import http.client
import io
import logging
import socket
import ssl
from pathlib import Path
from time import monotonic
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_ import create_urllib3_context

from dispatcher.domain.errors import SettingsError
from dispatcher.gateway.wire import BoundedSocket, BoundedTlsSocket, Phase, in_call, is_interim, present

_MOST_INTERIM = 100
_LONGEST_LINE = 65536


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the TLS settings for all connections of a transport: certificates and host names are always verified.

    :param ca_bundle: file or folder of CA certificates; None for the public ones that requests brings.
    :raises SettingsError: the bundle cannot be read.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    context.sslsocket_class = BoundedTlsSocket
    load_ca_bundle(context, ca_bundle)
    return context


def load_ca_bundle(context: ssl.SSLContext, ca_bundle: str | None) -> None:
    """Have a context trust a bundle; None for the public one that requests brings.

    :raises SettingsError: it cannot be read.
    """
    try:
        where = Path(ca_bundle or DEFAULT_CA_BUNDLE_PATH)
        folder = where.is_dir()
        context.load_verify_locations(cafile=None if folder else where, capath=where if folder else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"DISPATCHER_CA_BUNDLE: {ca_bundle} cannot be used ({error})") from None


class PinnedAdapter(HTTPAdapter):
    """requests' adapter with one marked connection to one host.

    It is called without a Session around it: so nothing follows redirects, keeps cookies, reads the environment's
    proxies, or lets a netrc replace the Authorization header.
    """

    def __init__(self, *, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._pool: HTTPConnectionPool | None = None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Make the pools of connections by a proxy."""
        manager = super().proxy_manager_for(proxy, ssl_context=self._tls, proxy_ssl_context=self._tls, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """Return the one pool; looking it up takes longer than all else that requests does for a call."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def cert_verify(self, *_: Any) -> None:
        """Do nothing: the context verifies, and has read the certificates once for all connections."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Hand on what came, without cookies and without guesses at its encoding."""
        response = Response()
        response.status_code = resp.status
        response.raw = resp
        return response


class _UntilItsEnd(io.RawIOBase):
    """What a connection receives, until nothing more of it is wanted."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return None if self.ended else self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _FinalAnswer(http.client.HTTPResponse):
    """Reads the answer behind interim ones, and notes its status line as soon as it is read.

    http.client takes 102 and 103 for the answer, loses the status if the headers after it break off, and drops what
    else it received with the answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = _UntilItsEnd(self.fp.detach())
        self.fp = io.BufferedReader(self._received)

    def _read_status(self) -> tuple[str, int, str]:
        wire = present()
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if wire.bytes_left:  # else it is a proxy's answer to CONNECT
                wire.status = status
            if status == http.client.CONTINUE or not is_interim(status):
                return version, status, reason
            while self.fp.readline(_LONGEST_LINE + 1) not in (b"\r\n", b"\n", b""):
                pass
        raise http.client.HTTPException("there is no end to interim answers")

    def _close_conn(self) -> None:
        """Look at the end of the answer whether more came with it. A second answer is not the next request's."""
        self._received.ended = True
        try:
            surplus = bool(self.fp.peek(1))
        except (OSError, ValueError):
            surplus = True
        present().surplus = surplus
        super()._close_conn()  # type: ignore[misc]


class _Connection(HTTPConnection):
    """A connection that notes when the request leaves, sends it in one piece, and is not reused after a rest."""

    response_class = _FinalAnswer
    rested_at = 0.0
    _held: bytearray | None = None
    _tunnelling = False

    @property
    def is_connected(self) -> bool:
        """Whether the connection may carry another request: open, nothing unread on it, and not idle for too long."""
        if not super().is_connected or monotonic() - self.rested_at >= present().max_idle:
            return False
        return not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending())

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send head and body in one piece: one packet, one TLS record, no wait between them (Nagle, delayed ACK)."""
        self._held = bytearray()
        try:
            super().request(*args, **kwargs)
        finally:
            held, self._held = bytes(self._held), None
        if self.sock is None:
            self.connect()
        present().leave()
        super().send(held)

    def send(self, data: Any) -> None:
        """Hold a part of the request until it is complete; what goes to a proxy before it passes."""
        if self._held is not None and not self._tunnelling:
            self._held += data
            return
        if not self._tunnelling:
            present().leave()
        super().send(data)

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers, all of them within the one deadline."""
        wire = present()
        wire.phase = Phase.RESOLVING
        try:
            found = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(*error.args[:2])) from error
        wire.phase = Phase.CONNECTING
        failure: OSError | None = None
        for number, (family, kind, protocol, _, address) in enumerate(found):
            opened = BoundedSocket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    opened.setsockopt(*option)
                # An address that swallows packets gets its share and no more, so that the next one has a chance.
                opened.settimeout(wire.remaining() / (len(found) - number))
                wire.socket = opened
                opened.connect(address)
                opened.settimeout(wire.remaining())
            except OSError as error:
                opened.close()
                failure = error
            else:
                return opened
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, "connecting took too long") from failure
        raise NewConnectionError(self, "no address could be connected to") from failure

    def _tunnel(self) -> None:
        wire = present()
        wire.phase, self._tunnelling = Phase.PROXY, True
        try:
            super()._tunnel()
        finally:
            self._tunnelling = False
        wire.phase = Phase.HANDSHAKE


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.rested_at = monotonic()
            if present().surplus:
                conn.close()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _not_ours(record: logging.LogRecord) -> bool:
    """Keep urllib3 from logging the headers that it cannot parse in our calls: a server may echo the token there."""
    return not (in_call() and record.levelno >= logging.WARNING)


_POOLS = {"http": _Pool, "https": _TlsPool}
logging.getLogger("urllib3.connection").addFilter(_not_ours)
