"""What the tests of the limits share: a client as production builds it, clocks, and a fleet of processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispatcher.domain.message import Channel
from dispatcher.domain.rate import Rate
from dispatcher.limits import RedisLimiter
from tests.forks import FORKS

SMS, GIFT = Channel.SMS, Channel.GIFT


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def connect(port: int) -> Redis:
    """Return a client that fails within half a second and never sends a command twice."""
    return Redis(
        host="127.0.0.1", port=port, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0)
    )


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, duration: timedelta) -> None:
        time.sleep(duration.total_seconds())


@dataclass
class HandClock:
    """A clock that a test turns by hand."""

    at: float = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.at += duration.total_seconds()


def redis_time(redis: Redis) -> float:
    whole, micro = redis.time()
    return float(whole) + float(micro) / 1e6


def let_pass(
    redis: Redis, duration: timedelta, *, bucket: timedelta = timedelta(seconds=3), channel: Channel = SMS
) -> None:
    """Make Redis' state of a channel older, as if time had gone by (it cannot be faked inside a script)."""
    key, by = f"dispatcher:{{limits:{channel.value}}}", duration.total_seconds()
    state: dict[Any, Any] = redis.hgetall(f"{key}:state")
    for field, value in state.items():
        if field.endswith((b"_at", b"_until")):
            redis.hset(f"{key}:state", field, f"{float(value) - by:.6f}")
    window: dict[Any, Any] = redis.hgetall(f"{key}:window")
    redis.delete(f"{key}:window")
    for field, value in window.items():
        number, kind = field.decode().split(":")
        redis.hset(f"{key}:window", f"{int(number) - round(duration / bucket)}:{kind}", value)
    holders: list[Any] = redis.zrange(f"{key}:holders", 0, -1, withscores=True)
    for holder, asked in holders:
        redis.zadd(f"{key}:holders", {holder: asked - by})


@dataclass(frozen=True)
class Taken:
    """One grant: it happened somewhere between ``before`` and ``after`` on the machine's monotonic clock."""

    before: float
    after: float
    count: int


def take_until(limiter: RedisLimiter, end: float, *, want: int) -> tuple[list[Taken], float]:
    """Ask without end, waiting as told; return the grants and how long the slowest call took."""
    taken: list[Taken] = []
    slowest = 0.0
    while (before := time.monotonic()) < end:
        permits = limiter.reserve(SMS, want)
        after = time.monotonic()
        slowest = max(slowest, after - before)
        if permits.count:
            taken.append(Taken(before, after, permits.count))
        else:
            time.sleep(min(permits.wait.total_seconds(), max(0.0, end - after)))
    return taken, slowest


@dataclass(frozen=True)
class _Run:
    port: int
    rate: Rate
    duration: float


def _process(holder: str, run: _Run, gate: Barrier, results: SimpleQueue[list[Taken]]) -> None:
    limiter = RedisLimiter(connect(run.port), {SMS: run.rate}, holder, RealClock())
    limiter.state(SMS)
    gate.wait(timeout=20)
    results.put(take_until(limiter, time.monotonic() + run.duration, want=20)[0])


def run_processes(count: int, *, port: int, rate: Rate, duration: float) -> list[Taken]:
    """Let that many processes, all started before the first asks, take what they can get; return all grants."""
    run = _Run(port, rate, duration)
    gate, results = FORKS.Barrier(count), FORKS.SimpleQueue()
    processes = [
        FORKS.Process(target=_process, args=(f"process-{n}", run, gate, results), daemon=True) for n in range(count)
    ]
    for process in processes:
        process.start()
    taken = [grant for _ in processes for grant in results.get()]
    for process in processes:
        process.join()
    return taken


def most_within(taken: Sequence[Taken], window: float) -> int:
    """Return the most permits that were surely granted within one window of that many seconds."""
    ordered = sorted(taken, key=lambda grant: grant.before)
    return max(
        sum(grant.count for grant in ordered[first:] if grant.after <= start.before + window)
        for first, start in enumerate(ordered)
    )
