"""aiohttp's connections, marked: which step a call is at, whether its first byte left, and what was heard since.

aiohttp's exceptions and timeouts do not tell these, as requests' do not (see ``wire``). Everything is marked at seams
that asyncio and aiohttp call in the task of the call itself, so a context variable finds the call: the resolver, the
moment TLS begins, the moment a connection is handed out, and the bytes that come in on it.
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

from aiohttp import ClientRequest, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import ResolveResult
from aiohttp.client_exceptions import ClientConnectorDNSError, ClientError, ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.resolver import ThreadedResolver

from dispatcher.gateway.classify import Answer, Fault, FaultKind
from dispatcher.gateway.connection import load_ca_bundle
from dispatcher.gateway.endpoints import Request
from dispatcher.gateway.line import ANSWER_CAP, fault_of
from dispatcher.gateway.wire import Phase

_NO_TIMEOUTS = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_HEARD_CAP = 256
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[^\n]*\n")


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
        found = None if self.heard is None else _STATUS_LINE.match(self.heard.heard)
        return None if found is None else int(found[1])


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


class _Heard(ResponseHandler):
    """A connection that keeps the beginning of what comes in."""

    heard = b""

    def data_received(self, data: bytes) -> None:
        if len(self.heard) < _HEARD_CAP:
            self.heard += data[:_HEARD_CAP]
        super().data_received(data)


class _Resolver(ThreadedResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        _mark(Phase.RESOLVING)
        found = await super().resolve(host, port, family)
        _mark(Phase.CONNECTING)
        return found


class _Connector(TCPConnector):
    """Hands connections out, and notes that the request leaves: aiohttp writes it next, waiting for nothing."""

    def __init__(self, *, tls: ssl.SSLContext, max_idle: timedelta) -> None:
        super().__init__(
            ssl=tls, limit=0, keepalive_timeout=max_idle.total_seconds(), resolver=_Resolver(), ttl_dns_cache=10
        )
        self._factory = partial(_Heard, loop=self._loop)  # type: ignore[assignment]

    async def connect(self, req: ClientRequest, traces: Any, timeout: ClientTimeout) -> Connection:
        call = _present.get()
        assert call is not None  # noqa: S101 - set by whoever exchanges
        call.phase = Phase.CONNECTING
        while True:
            connection = await super().connect(req, traces, timeout)
            heard = connection.protocol
            assert isinstance(heard, _Heard)  # noqa: S101 - the factory above makes no others
            if heard.heard:  # something came while it rested, which must not be taken for the next answer
                connection.close()
                continue
            try:
                call.leave(heard, self._loop.time())
            except TimeoutError:
                connection.close()
                raise
            return connection

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
        self._proxy = proxy
        self._connect_timeout = connect_timeout.total_seconds()
        self._read_timeout = read_timeout.total_seconds()
        self._session = ClientSession(
            connector=_Connector(tls=tls, max_idle=max_idle),
            cookie_jar=DummyCookieJar(),
            timeout=_NO_TIMEOUTS,
            trust_env=False,
            raise_for_status=False,
            read_bufsize=ANSWER_CAP,
        )

    async def exchange(self, request: Request, *, leave_within: timedelta | None = None) -> Answer | Fault:
        """Carry a request; takes ``connect_timeout + read_timeout`` at the most. Raises only if it is cancelled.

        :param leave_within: if no byte has left by then, none will.
        """
        now = asyncio.get_running_loop().time()
        within = self._connect_timeout
        if leave_within is not None:
            within = min(within, leave_within.total_seconds())
        deadline = asyncio.timeout_at(now + within)
        call = Call(deadline, leave_by=now + within, read_timeout=self._read_timeout)
        _present.set(call)
        response: ClientResponse | None = None
        try:
            if not all(map(str.isprintable, request.headers.values())):
                raise ValueError("a header holds what none may hold")  # aiohttp would say so too, but late
            async with deadline:
                response = await self._session.request(
                    request.method,
                    self._base_url + request.path,
                    data=request.body,
                    headers=request.headers,
                    proxy=self._proxy,
                    allow_redirects=False,
                )
                return await _answer(response, call)
        except (Exception, asyncio.CancelledError) as error:
            status = call.status
            if response is not None:
                response.close()
            if status is not None:
                return Answer(status=status, complete=False)
            return _fault(error, call)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _answer(response: ClientResponse, call: Call) -> Answer:
    """Read what comes of the body within the deadline. The connection is kept only if that is all."""
    parts: list[bytes] = []
    size, complete = 0, False
    content = response.content
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
    if call.heard is not None:
        call.heard.heard = b""
    if not complete:
        response.close()
    return Answer.heard(response.status, response.headers, b"".join(parts)[:ANSWER_CAP], complete=complete)


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
