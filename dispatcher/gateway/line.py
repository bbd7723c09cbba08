"""One thread's line to the API: carries a request over a kept connection and says what came of it; never raises."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from requests import PreparedRequest, RequestException
from urllib3.exceptions import HTTPError, InvalidHeader, ProxyError
from urllib3.util.ssl_match_hostname import CertificateError

from dispatcher.gateway.classify import Answer, Fault, FaultKind
from dispatcher.gateway.connection import PinnedAdapter
from dispatcher.gateway.content import decoded
from dispatcher.gateway.endpoints import Request
from dispatcher.gateway.wire import Phase, Wire
from dispatcher.logs import get_logger

ANSWER_CAP = 64 * 1024
"""Bytes of an answer that are read; a longer one is closed, for no answer of the API's is that long."""

log = get_logger(__name__)


class Line:
    """For one thread at a time; only ``sever`` may be called from another."""

    def __init__(
        self,
        *,
        base_url: str,
        tls: ssl.SSLContext,
        proxy: str | None,
        connect_timeout: timedelta,
        read_timeout: timedelta,
    ) -> None:
        self._base_url = base_url
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._timeout = (connect_timeout.total_seconds(), read_timeout.total_seconds())
        self._wire = Wire(connect_timeout=connect_timeout, read_timeout=read_timeout)
        self._adapter = PinnedAdapter(tls=tls)

    def exchange(self, request: Request, *, leave_within: timedelta | None = None) -> Answer | Fault:
        """Carry a request; takes its connect and read timeouts at the most, but for the name.

        :param leave_within: if no byte has left by then, none will.

        Looking a name up cannot be interrupted, so the system's resolver may take longer (resolv.conf's ``timeout`` and
        ``attempts`` bound it); nothing is sent after that.
        """
        self._wire.begin(max_idle=request.max_idle, read_timeout=request.read_timeout, leave_within=leave_within)
        connect, read = self._timeout
        if request.read_timeout is not None:
            read = request.read_timeout.total_seconds()
        try:
            response = self._adapter.send(
                self._prepared(request), stream=True, timeout=(connect, read), proxies=self._proxies
            )
        except Exception as error:
            if self._wire.status is not None:
                return Answer(status=self._wire.status, complete=False)
            return fault_of(error, phase=self._wire.phase, bytes_left=self._wire.bytes_left)
        return _answer(response.raw)

    def sever(self) -> None:
        """Break what is under way, from another thread."""
        self._wire.sever()

    def close(self) -> None:
        """Close the connection."""
        self._adapter.close()

    def _prepared(self, request: Request) -> PreparedRequest:
        """Return requests' own form, made by hand: nothing in it is left to prepare."""
        prepared = PreparedRequest()
        prepared.method = request.method
        prepared.url = self._base_url + request.path
        prepared.headers = request.headers  # type: ignore[assignment]
        prepared.body = request.body
        return prepared


def fault_of(error: BaseException, *, phase: Phase, bytes_left: bool) -> Fault:
    """Return what an exception means, given how far the call had come. The phase decides; the type only adds to it."""
    causes = list(_causes(error))

    def fault(kind: FaultKind, detail: str) -> Fault:
        return Fault(kind=kind, bytes_left=bytes_left, detail=detail)

    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            return fault(FaultKind.CERTIFICATE, f"certificate not accepted: {cause.verify_message}")
        if isinstance(cause, CertificateError):
            return fault(FaultKind.CERTIFICATE, "the certificate is for another host")
    if bytes_left:
        return fault(*_broken_exchange(causes))
    if phase is Phase.PROXY or any(isinstance(cause, ProxyError) for cause in causes):
        return fault(FaultKind.PROXY, f"the proxy let nothing through ({_system_words(causes)})")
    match phase:
        case Phase.RESOLVING:
            return fault(FaultKind.DNS, f"the API's host name was not resolved ({_system_words(causes)})")
        case Phase.BEGUN | Phase.CONNECTING if any(isinstance(cause, TimeoutError) for cause in causes):
            return fault(FaultKind.CONNECT_TIMEOUT, "no connection in time")
        case Phase.CONNECTING if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            return fault(FaultKind.REFUSED, "nothing listens at the API's address")
        case Phase.CONNECTING if any(isinstance(cause, OSError) for cause in causes):
            return fault(FaultKind.UNREACHABLE, _system_words(causes))
        case Phase.HANDSHAKE:
            return fault(FaultKind.TLS_HANDSHAKE, f"TLS was not agreed ({_system_words(causes)})")
        case _:
            return _unexpected(error, bytes_left=bytes_left)


def _broken_exchange(causes: list[BaseException]) -> tuple[FaultKind, str]:
    """Return what ended a call whose request had left. The outermost words are requests' own and say nothing."""
    for cause in causes:
        match cause:
            case TimeoutError():
                return FaultKind.READ_TIMEOUT, "no answer within the read timeout"
            case http.client.RemoteDisconnected():
                return FaultKind.RESET, "the connection was closed without an answer"
            case ConnectionError() | ssl.SSLError():
                return FaultKind.RESET, "the connection broke before an answer came"
            case http.client.HTTPException() | InvalidHeader():
                return FaultKind.GARBAGE, "what came back is not HTTP"
    return FaultKind.UNEXPECTED, type(causes[0]).__name__


def _unexpected(error: BaseException, *, bytes_left: bool) -> Fault:
    """Return a fault that names only the error's class: its words might hold a secret (a bad header's value does)."""
    log.error("call_failed_unexpectedly", error=type(error).__name__, bytes_left=bytes_left)
    return Fault(kind=FaultKind.UNEXPECTED, bytes_left=bytes_left, detail=type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and everything that it was made from, outermost first."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]


def _system_words(causes: list[BaseException]) -> str:
    """Return the innermost system error in words; never a library's text, which may hold the proxy's password."""
    for cause in reversed(causes):
        if isinstance(cause, TimeoutError):
            return "timed out"
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or "TLS failed").lower().replace("_", " ")
        if isinstance(cause, socket.gaierror | OSError) and not isinstance(cause, RequestException | HTTPError):
            return cause.strerror or (str(cause) if str(cause).startswith("Tunnel connection failed") else "failed")
    return "failed"


def _answer(raw: Any) -> Answer:
    body, complete = _body(raw)
    body, whole = decoded(body, raw.headers.get("Content-Encoding"), cap=ANSWER_CAP)
    return Answer.heard(raw.status, raw.headers, body, complete=complete and whole)


def _body(raw: Any) -> tuple[bytes, bool]:
    """Read what comes of the body, and say whether that is all. The connection is kept only if it is."""
    parts: list[bytes] = []
    size = 0
    try:
        # After 101 the connection speaks another protocol, which must not be taken for the next request's answer.
        while raw.status >= 200 and size <= ANSWER_CAP:
            part = raw.read1(ANSWER_CAP + 1 - size, decode_content=False)
            if not part:
                return b"".join(parts), True
            parts.append(part)
            size += len(part)
    except Exception:  # noqa: S110 - the status is known, so nothing that ends the body changes the outcome
        pass
    raw.close()
    return b"".join(parts)[:ANSWER_CAP], False
