"""Processes of a fleet: each builds its own source after its fork and reports what it got."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispatcher.domain.errors import TokenUnavailable
from dispatcher.oauth import Credentials, Mint, SharedTokenSource, TokenStore
from tests.forks import FORKS

from .timing import RealClock


@dataclass(frozen=True)
class Site:
    """Where a fleet lives."""

    redis_port: int
    credentials: Credentials
    lock_life: timedelta = timedelta(seconds=15)
    deadline: timedelta = timedelta(seconds=10)

    def source(self) -> SharedTokenSource:
        redis = Redis(port=self.redis_port, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))
        return SharedTokenSource(
            store=TokenStore(redis=redis, credentials=self.credentials, lock_life=self.lock_life),
            mint=Mint(credentials=self.credentials, deadline=self.deadline),
            clock=RealClock(),
        )


@dataclass(frozen=True)
class Got:
    """What one process came to; the token's value stays in it."""

    generations: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


Work = Callable[..., Got]


class Fleet:
    """Starts processes that begin their work in the same moment, and collects what they got."""

    def __init__(self, site: Site, count: int, work: Work, *arguments: Any) -> None:
        self._results = FORKS.SimpleQueue()
        self._gate = FORKS.Barrier(count)  # kept: its semaphores live only as long as it does here
        self.processes: list[BaseProcess] = [
            FORKS.Process(target=_run, args=(self._gate, self._results, work, site, arguments), daemon=True)
            for _ in range(count)
        ]
        for process in self.processes:
            process.start()

    def results(self, *, within: float = 30) -> list[Got]:
        """Wait for all processes that still live and return what each got."""
        end = time.monotonic() + within
        for process in self.processes:
            process.join(max(0.1, end - time.monotonic()))
            assert process.exitcode is not None, "a process did not come to an end"
        results = []
        while not self._results.empty():
            results.append(self._results.get())
        return results


def _run(gate: Any, results: Any, work: Work, site: Site, arguments: tuple[Any, ...]) -> None:
    gate.wait(30)
    results.put(work(site.source(), *arguments))


def ask_once(source: SharedTokenSource) -> Got:
    try:
        return Got(generations=[source.token("write").generation])
    except TokenUnavailable as error:
        return Got(refusals=[f"{type(error).__name__} {error.retry_after.total_seconds():.0f}"])


def complain(source: SharedTokenSource, generation: int, threads: int) -> Got:
    """Every thread was refused with the same generation, gives it up and asks for another."""

    def one(_: int) -> int:
        source.retire(generation)
        return source.token("write").generation

    with ThreadPoolExecutor(threads) as pool:
        return Got(generations=list(pool.map(one, range(threads))))


def ask_on_and_on(source: SharedTokenSource, seconds: float) -> Got:
    """Ask every few milliseconds; returns the generations in the order in which they changed."""
    got = Got()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            generation = source.token("write").generation
        except TokenUnavailable as error:
            got.refusals.append(str(error))
        else:
            if generation not in got.generations[-1:]:
                got.generations.append(generation)
        time.sleep(0.005)
    return got
