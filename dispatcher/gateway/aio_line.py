"""aiohttp's connections, marked: which step a call is at, whether its first byte left, and what was heard since.

aiohttp's exceptions and timeouts do not tell these, as requests' do not (see ``wire``). Everything is marked at seams
that asyncio and aiohttp call in the task of the call itself, so a context variable finds the call: the resolver, the
moment TLS begins, the moment a connection is handed out, and the bytes that come in on it.

Of aiohttp this uses the connections (names, TCP, TLS, proxies, keeping them) and the parser of answers. The request it
writes itself, in one piece: aiohttp's session would build, check and merge for each what is the same for all of them,
which costs more than everything else about a call.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import ClientRequest, ClientTimeout, StreamReader, TCPConnector
from aiohttp.abc import ResolveResult
from aiohttp.client_exceptions import ClientConnectorDNSError, ClientError, ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import HOST, PROXY_AUTHORIZATION
from aiohttp.http_parser import RawResponseMessage
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from dispatcher.gateway.classify import Answer, Fault, FaultKind
from dispatcher.gateway.connection import load_ca_bundle
from dispatcher.gateway.content import decoded
from dispatcher.gateway.endpoints import Request
from dispatcher.gateway.line import ANSWER_CAP, fault_of
from dispatcher.gateway.wire import Phase, is_interim

_NO_TIMEOUTS = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_HEARD_CAP = 4096
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[^\n]*\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


class Call:
    """How far one call has come."""

    __slots__ = ("bytes_left", "deadline", "heard", "leave_by", "phase", "read_timeout")

    def __init__(self, deadline: asyncio.Timeout, *, leave_by: float, read_timeout: float) -> None:
        self.phase = Phase.BEGUN
        self.bytes_left = False
        """Set before the first byte of the request is given to the system; a CONNECT to a proxy is not the request."""
        self.heard: _Heard | None = None
        self.deadline = deadline
        self.leave_by = leave_by
        self.read_timeout = read_timeout

    def leave(self, heard: _Heard, now: float) -> None:
        """Note that the request leaves now; from here the call has its read timeout for all the rest.

        :raises TimeoutError: it is too late to leave.
        """
        if now >= self.leave_by:
            raise TimeoutError("the call's deadline has passed")
        self.phase = Phase.EXCHANGE
        self.bytes_left = True
        self.heard = heard
        self.deadline.reschedule(now + self.read_timeout)

    @property
    def status(self) -> int | None:
        """The status line, once it came, even if nothing after it ever does."""
        return None if self.heard is None else _final_head(self.heard.heard)[0]


_present: ContextVar[Call | None] = ContextVar("call", default=None)


def _mark(phase: Phase) -> None:
    call = _present.get()
    if call is not None and not call.bytes_left and call.phase is not phase:
        call.phase = phase


class AsyncTls(ssl.SSLContext):
    """Settings of TLS that note when a handshake begins."""

    def wrap_bio(self, *given: Any, **more: Any) -> ssl.SSLObject:
        """Begin a handshake, as asyncio does."""
        _mark(Phase.HANDSHAKE)
        return super().wrap_bio(*given, **more)


def async_tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the TLS settings for all connections: certificates and host names are always verified.

    :raises SettingsError: the bundle cannot be read.
    """
    context = AsyncTls(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_ca_bundle(context, ca_bundle)
    return context


def _final_head(heard: bytes) -> tuple[int | None, int | None]:
    """Return the status of the answer and where its head ends, behind interim ones; None for what has not come."""
    status, begin = None, 0
    while (line := _STATUS_LINE.match(heard, begin)) is not None:
        status = int(line[1])
        end = _END_OF_HEAD.search(heard, begin)
        if end is None:
            break
        if not is_interim(status):
            return status, end.end()
        begin = end.end()
    return status, None


class _Heard(ResponseHandler):
    """A connection that keeps the beginning of what comes in, and how much it was."""

    heard = b""
    received = 0
    latest = b""

    def data_received(self, data: bytes) -> None:
        if len(self.heard) < _HEARD_CAP:
            self.heard += data[:_HEARD_CAP]
        self.received += len(data)
        self.latest = (self.latest + data)[-4:]
        super().data_received(data)

    def begin(self) -> None:
        """Start over for the next call."""
        self.heard, self.received, self.latest = b"", 0, b""

    def has_surplus(self, head: RawResponseMessage) -> bool:
        """Return whether more came than the answer with this head, or may have: nothing of it is the next answer."""
        _, end = _final_head(self.heard)
        if end is None:
            return True
        if head.chunked:
            return self.latest != b"\r\n\r\n"
        length = head.headers.get("Content-Length", "0")
        if head.code in (204, 304):
            length = "0"
        return not length.isdecimal() or self.received > end + int(length)


class _Resolver(ThreadedResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        _mark(Phase.RESOLVING)
        found = await super().resolve(host, port, family)
        _mark(Phase.CONNECTING)
        return found


class _Connector(TCPConnector):
    """Hands connections out, and notes that the request leaves: it is written next, waiting for nothing."""

    def __init__(self, *, tls: ssl.SSLContext, max_idle: timedelta) -> None:
        super().__init__(
            ssl=tls, limit=0, keepalive_timeout=max_idle.total_seconds(), resolver=_Resolver(), ttl_dns_cache=10
        )
        self._factory = partial(_Heard, loop=self._loop)  # type: ignore[assignment]

    async def take(self, request: ClientRequest, call: Call) -> Connection:
        """Return a connection on which the request may be written at once; the call counts as having left."""
        call.phase = Phase.CONNECTING
        while True:
            connection = await self.connect(request, [], _NO_TIMEOUTS)
            heard = connection.protocol
            assert isinstance(heard, _Heard)  # noqa: S101 - the factory above makes no others
            if heard.heard:  # something came while it rested, which must not be taken for the next answer
                connection.close()
                continue
            try:
                if not heard.is_connected():
                    raise ConnectionResetError("the connection was closed as soon as it was there")
                call.leave(heard, self._loop.time())
            except OSError:
                connection.close()
                raise
            return connection

    async def _create_connection(self, req: ClientRequest, traces: Any, timeout: ClientTimeout) -> ResponseHandler:
        call = _present.get()
        assert call is not None  # noqa: S101 - set by whoever exchanges
        call.deadline.reschedule(call.leave_by)  # until here nothing was waited for
        return await super()._create_connection(req, traces, timeout)

    async def _create_proxy_connection(self, req: ClientRequest, traces: Any, timeout: ClientTimeout) -> Any:
        _mark(Phase.PROXY)
        return await super()._create_proxy_connection(req, traces, timeout)


class AsyncLine:
    """Carries the requests of one channel over connections that it keeps. Made and used in one event loop."""

    def __init__(
        self,
        *,
        base_url: str,
        tls: ssl.SSLContext,
        proxy: str | None,
        max_idle: timedelta,
        connect_timeout: timedelta,
        read_timeout: timedelta,
    ) -> None:
        self._base_url = base_url
        self._connect_timeout = connect_timeout.total_seconds()
        self._read_timeout = read_timeout.total_seconds()
        self._loop = asyncio.get_running_loop()
        self._connector = _Connector(tls=tls, max_idle=max_idle)
        self._pattern = ClientRequest(
            "POST", URL(base_url), loop=self._loop, proxy=None if proxy is None else URL(proxy)
        )
        """Where all requests go, as the connector wants to know it."""
        self._beginnings: dict[tuple[str, str], str] = {}

    async def exchange(self, request: Request, *, leave_within: timedelta | None = None) -> Answer | Fault:
        """Carry a request; takes ``connect_timeout + read_timeout`` at the most. Raises only if it is cancelled.

        :param leave_within: if no byte has left by then, none will.
        """
        within = self._connect_timeout
        if leave_within is not None:
            within = min(within, leave_within.total_seconds())
        deadline = asyncio.timeout(None)
        read = self._read_timeout if request.read_timeout is None else request.read_timeout.total_seconds()
        call = Call(deadline, leave_by=self._loop.time() + within, read_timeout=read)
        _present.set(call)
        connection: Connection | None = None
        try:
            written = _as_bytes(request)
            async with deadline:
                connection = await self._connector.take(self._pattern, call)
                protocol = connection.protocol
                assert protocol is not None and protocol.transport is not None  # noqa: S101, PT018 - just taken
                protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=ANSWER_CAP)
                protocol.transport.write(self._beginning(request).encode() + written)
                head, content = await _head(protocol)
                return await _answer(head, content, connection, call)
        except (Exception, asyncio.CancelledError) as error:
            status = call.status
            if connection is not None:
                connection.close()
            if status is not None:
                return Answer(status=status, complete=False)
            return _fault(error, call)

    async def close(self) -> None:
        """Close the connections."""
        await self._connector.close()

    def _beginning(self, request: Request) -> str:
        """Return the request line and the headers that are the same each time; known once a connection is there."""
        beginning = self._beginnings.get((request.method, request.path))
        if beginning is None:
            url, common = URL(self._base_url + request.path), self._pattern.headers
            by_proxy = self._pattern.proxy is not None and not self._pattern.is_ssl()
            beginning = f"{request.method} {url if by_proxy else url.raw_path_qs} HTTP/1.1\r\nHost: {common[HOST]}\r\n"
            if by_proxy and PROXY_AUTHORIZATION in common:
                beginning += f"{PROXY_AUTHORIZATION}: {common[PROXY_AUTHORIZATION]}\r\n"
            self._beginnings[request.method, request.path] = beginning
        return beginning


def _as_bytes(request: Request) -> bytes:
    """Return a request's own headers and its body, as they are written.

    :raises ValueError: a header holds what none may hold.
    """
    headers = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    if not (headers.replace("\r\n", "").isprintable() and headers.count("\n") == len(request.headers)):
        raise ValueError("a header holds what none may hold")
    return headers.encode("ascii") + b"\r\n" + (request.body or b"")


async def _head(protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
    """Wait for the head of an answer; interim ones are not the answer."""
    while True:
        head, content = await protocol.read()
        if not is_interim(head.code):
            return head, content


async def _answer(head: RawResponseMessage, content: StreamReader, connection: Connection, call: Call) -> Answer:
    """Read what comes of the body within the deadline. The connection is kept only if that is all."""
    parts: list[bytes] = []
    size, complete = 0, False
    try:
        while size <= ANSWER_CAP:
            part = await content.readany()
            if not part:
                complete = True
                break
            parts.append(part)
            size += len(part)
    except (ClientError, OSError, ValueError):
        pass  # the status is known, so nothing that ends the body changes the outcome
    except asyncio.CancelledError:
        if not call.deadline.expired():
            raise
    surplus = call.heard is None or call.heard.has_surplus(head)
    if call.heard is not None:
        call.heard.begin()
    if complete and not surplus:
        connection.release()
    else:
        connection.close()
    body, whole = decoded(b"".join(parts)[:ANSWER_CAP], head.headers.get("Content-Encoding"), cap=ANSWER_CAP)
    return Answer.heard(head.code, head.headers, body, complete=complete and whole)


def _fault(error: BaseException, call: Call) -> Fault:
    """Return what an exception means, given how far the call had come."""
    if isinstance(error, asyncio.CancelledError):
        return fault_of(ConnectionResetError("broken off"), phase=call.phase, bytes_left=call.bytes_left)
    if isinstance(error, ClientConnectorDNSError) and not call.bytes_left:
        return fault_of(error, phase=Phase.RESOLVING, bytes_left=False)
    if call.bytes_left and not isinstance(error, TimeoutError):
        if call.heard is not None and call.heard.heard:
            return Fault(kind=FaultKind.GARBAGE, bytes_left=True, detail="what came back is not HTTP")
        if isinstance(error, ServerDisconnectedError):
            return Fault(kind=FaultKind.RESET, bytes_left=True, detail="the connection was closed without an answer")
    return fault_of(error, phase=call.phase, bytes_left=call.bytes_left)
