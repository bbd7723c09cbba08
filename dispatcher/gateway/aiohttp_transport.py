"""The transport on aiohttp: one thread with an event loop carries hundreds of calls at once."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta

from dispatcher.domain.attempt import Claimed, Sent
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome
from dispatcher.gateway.aio_line import AsyncLine, async_tls_context
from dispatcher.gateway.classify import CLOSED, LEASE_OVER, Fault, FaultKind, outcome_of, outcome_of_fault
from dispatcher.gateway.endpoints import probe_request, send_request
from dispatcher.gateway.handing_back import HandingBack
from dispatcher.gateway.redact import Private, private_of
from dispatcher.logs import get_logger
from dispatcher.ports import Token

log = get_logger(__name__)


class AiohttpTransport(HandingBack):
    """A ``Transport`` whose calls share one thread."""

    def _prepare(self, ca_bundle: str | None) -> None:
        self._tls: ssl.SSLContext = async_tls_context(ca_bundle)
        self._waiting: deque[tuple[Claimed, Token]] = deque()
        self._lines: dict[Channel, AsyncLine] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._lock = threading.Lock()

    def start(self, messages: Sequence[Claimed], token: Token) -> None:
        """Start one call for each message; returns at once.

        :raises RuntimeError: the transport was closed.
        """
        loop = self._running_loop()
        self._started(len(messages))
        loop.call_soon_threadsafe(self._begin, messages, token)

    def probe(self, token: Token) -> Outcome:
        """Ask the API whether it works and takes the token, over a connection of its own, without sending anything."""
        return asyncio.run_coroutine_threadsafe(self._probe(token), self._running_loop()).result()

    def close(self) -> None:
        """Give up thread and connections, at once.

        Calls that had not begun come back from ``finished`` as not sent; those under way are broken off, and come back
        as in doubt if anyone still asks.
        """
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(lambda: self._keep(loop.create_task(self._end())))

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, and make it with its thread at the first call: neither survives a fork."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the transport is closed: make a new one")
            if self._loop is None:
                made: Future[asyncio.AbstractEventLoop] = Future()
                threading.Thread(target=self._carry, args=(made,), name="gateway", daemon=True).start()
                self._loop = made.result()
            return self._loop

    def _carry(self, made: Future[asyncio.AbstractEventLoop]) -> None:
        """Work as the loop's thread until the transport closes."""

        async def run() -> None:
            self._over = asyncio.Event()
            self._lines = {channel: self._line(endpoint.max_idle) for channel, endpoint in self._endpoints.items()}
            made.set_result(asyncio.get_running_loop())
            await self._over.wait()

        asyncio.run(run())

    def _line(self, max_idle: timedelta) -> AsyncLine:
        return AsyncLine(
            base_url=self._base_url,
            tls=self._tls,
            proxy=self._proxy,
            max_idle=max_idle,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
        )

    def _begin(self, messages: Sequence[Claimed], token: Token) -> None:
        for message in messages:
            self._waiting.append((message, token))
        self._next()

    def _next(self) -> None:
        """Begin as many calls as there is room for."""
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._calls) < self._capacity:
            task = loop.create_task(self._call(*self._waiting.popleft()))
            self._calls.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if self._waiting:
            self._next()

    async def _call(self, message: Claimed, token: Token) -> None:
        started_at, started = self._clock.now(), self._clock.monotonic()
        outcome = await self._outcome(message, token)
        self._done(
            Sent(
                message=message,
                outcome=outcome,
                started_at=started_at,
                latency=timedelta(seconds=self._clock.monotonic() - started),
                token_generation=token.generation,
            )
        )

    async def _outcome(self, message: Claimed, token: Token) -> Outcome:
        """Call, and make an outcome even of our own mistakes: a message without one would look lost."""
        bytes_left = False
        try:
            lease_left = message.lease_expires_at - self._clock.now()
            if lease_left <= timedelta(0):
                return outcome_of_fault(LEASE_OVER)
            request = send_request(self._endpoints[message.channel], message, token)
            bytes_left = True  # from here it is the line that knows, and it never raises
            answer = await self._lines[message.channel].exchange(request, leave_within=lease_left)
            return outcome_of(answer, now=self._clock.now(), private=private_of(message, token))
        except Exception as error:
            log.error("call_failed_unexpectedly", message=str(message.id), error=type(error).__name__)
            return outcome_of_fault(
                Fault(kind=FaultKind.UNEXPECTED, bytes_left=bytes_left, detail=type(error).__name__)
            )

    async def _probe(self, token: Token) -> Outcome:
        line = self._line(timedelta(0))
        try:
            answer = await line.exchange(probe_request(self._probe_path, token))
            return outcome_of(answer, now=self._clock.now(), private=Private(secret=token.value))
        finally:
            await line.close()

    async def _end(self) -> None:
        """Give back what waits, break off what is under way, and let the thread go."""
        while self._waiting:
            message, token = self._waiting.popleft()
            self._done(
                Sent(
                    message=message,
                    outcome=outcome_of_fault(CLOSED),
                    started_at=self._clock.now(),
                    latency=timedelta(0),
                    token_generation=token.generation,
                )
            )
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for line in self._lines.values():
            await line.close()
        self._over.set()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending = task  # the loop itself holds tasks only weakly
