"""The transport on requests: a pool of threads, each with its own kept connection, answers handed back by a queue."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from queue import Empty, SimpleQueue

from dispatcher.domain.attempt import Claimed, Sent
from dispatcher.domain.outcome import Outcome
from dispatcher.gateway.classify import CLOSED, LEASE_OVER, Fault, FaultKind, outcome_of, outcome_of_fault
from dispatcher.gateway.connection import tls_context
from dispatcher.gateway.endpoints import probe_request, send_request
from dispatcher.gateway.handing_back import HandingBack
from dispatcher.gateway.line import Line
from dispatcher.gateway.redact import Private, private_of
from dispatcher.logs import get_logger
from dispatcher.ports import Token

log = get_logger(__name__)


class RequestsTransport(HandingBack):
    """A ``Transport`` that blocks one thread per call under way; threads are made as they are needed."""

    def _prepare(self, ca_bundle: str | None) -> None:
        self._tls = tls_context(ca_bundle)
        self._inbox: SimpleQueue[tuple[Claimed, Token] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._closed = False

    def start(self, messages: Sequence[Claimed], token: Token) -> None:
        """Start one call for each message; returns at once.

        :raises RuntimeError: the transport was closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the transport is closed: make a new one")
            self._started(len(messages))
            while len(self._lines) < min(self._capacity, self._in_flight):
                self._lines.append(line := self._new_line())
                name = f"gateway-{len(self._lines)}"
                threading.Thread(target=self._carry, args=(line,), name=name, daemon=True).start()
        for message in messages:
            self._inbox.put((message, token))

    def probe(self, token: Token) -> Outcome:
        """Ask the API whether it works and takes the token, over a connection of its own, without sending anything."""
        line = self._new_line()
        try:
            answer = line.exchange(probe_request(self._probe_path, token))
            return outcome_of(answer, now=self._clock.now(), private=Private(secret=token.value))
        finally:
            line.close()

    def close(self) -> None:
        """Give up threads and connections, at once.

        Calls that had not begun come back from ``finished`` as not sent; those under way are broken off, and come back
        as in doubt if anyone still asks.
        """
        with self._lock:
            self._closed = True
            lines = list(self._lines)
        try:
            while True:
                if (waiting := self._inbox.get_nowait()) is not None:
                    self._done(self._sent(*waiting, line=None))
        except Empty:
            pass
        for line in lines:
            self._inbox.put(None)
            line.sever()

    def _new_line(self) -> Line:
        return Line(
            base_url=self._base_url,
            tls=self._tls,
            proxy=self._proxy,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
        )

    def _carry(self, line: Line) -> None:
        """Work as one of the threads until the transport closes."""
        while (work := self._inbox.get()) is not None:
            self._done(self._sent(*work, line=None if self._closed else line))
        line.close()

    def _sent(self, message: Claimed, token: Token, *, line: Line | None) -> Sent:
        started_at, started = self._clock.now(), self._clock.monotonic()
        outcome = outcome_of_fault(CLOSED) if line is None else self._outcome(message, token, line)
        latency = timedelta(seconds=self._clock.monotonic() - started)
        return Sent(
            message=message,
            outcome=outcome,
            started_at=started_at,
            latency=latency,
            token_generation=token.generation,
        )

    def _outcome(self, message: Claimed, token: Token, line: Line) -> Outcome:
        """Call, and make an outcome even of our own mistakes: a message without one would look lost."""
        bytes_left = False
        try:
            lease_left = message.lease_expires_at - self._clock.now()
            if lease_left <= timedelta(0):
                return outcome_of_fault(LEASE_OVER)
            request = send_request(self._endpoints[message.channel], message, token)
            bytes_left = True  # from here it is the line that knows, and it never raises
            answer = line.exchange(request, leave_within=lease_left)
            return outcome_of(answer, now=self._clock.now(), private=private_of(message, token))
        except Exception as error:
            log.error("call_failed_unexpectedly", message=str(message.id), error=type(error).__name__)
            return outcome_of_fault(
                Fault(kind=FaultKind.UNEXPECTED, bytes_left=bytes_left, detail=type(error).__name__)
            )
