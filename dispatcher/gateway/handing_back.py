"""What all transports are: the same settings, and what has finished handed back in the order in which it did."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from queue import Empty, SimpleQueue

from dispatcher.domain.attempt import Sent
from dispatcher.domain.message import Channel
from dispatcher.gateway.endpoints import Endpoint
from dispatcher.gateway.urls import checked_base_url, checked_proxy
from dispatcher.ports import Clock


class HandingBack(ABC):
    """The half of a ``Transport`` that is the same whatever carries the calls.

    :param base_url: of the API, e.g. ``https://api.example.com``; a path in it is kept.
    :param endpoints: how each channel is sent.
    :param capacity: the most calls under way at once; more wait their turn.
    :param connect_timeout: for the name, TCP, a proxy and TLS together.
    :param read_timeout: from the request's first byte to the answer's last.
    :param proxy: URL of an HTTP proxy; the environment's are never used.
    :param ca_bundle: file or folder of CA certificates instead of the public ones.
    :param probe_path: path that answers whether a token works.
    :raises SettingsError: the base URL, proxy or bundle cannot be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        endpoints: Mapping[Channel, Endpoint],
        capacity: int,
        connect_timeout: timedelta,
        read_timeout: timedelta,
        clock: Clock,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        probe_path: str = "/test-oauth2",
    ) -> None:
        self._base_url = checked_base_url(base_url)
        self._endpoints = endpoints
        self._capacity = capacity
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._clock = clock
        self._proxy = checked_proxy(proxy)
        self._probe_path = probe_path
        self._finished: SimpleQueue[Sent] = SimpleQueue()
        self._counting = threading.Lock()
        self._in_flight = 0

        self._prepare(ca_bundle)

    @abstractmethod
    def _prepare(self, ca_bundle: str | None) -> None:
        """Make what this one carries calls by; raises SettingsError."""

    @property
    def in_flight(self) -> int:
        """How many calls have been started and not yet handed back by ``finished``."""
        return self._in_flight

    def finished(self, *, wait: timedelta) -> list[Sent]:
        """Return the calls that have completed, in the order in which they did.

        Waits for the first one at the most ``wait``, also when nothing is under way, so it can be a pump's only sleep.
        """
        sents: list[Sent] = []
        seconds = wait.total_seconds()
        try:
            sents.append(self._finished.get(timeout=seconds) if seconds > 0 else self._finished.get_nowait())
            while True:
                sents.append(self._finished.get_nowait())
        except Empty:
            pass
        if sents:
            with self._counting:
                self._in_flight -= len(sents)
        return sents

    def _started(self, count: int) -> None:
        with self._counting:
            self._in_flight += count

    def _done(self, sent: Sent) -> None:
        self._finished.put(sent)
