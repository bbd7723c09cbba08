"""Time that passes when a test says so, here and in Redis alike."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from redis import Redis


class RealClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, wait: timedelta) -> None:
        time.sleep(wait.total_seconds())


class SteppedClock:
    """A clock that stands still but for what it is told."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._start = datetime.now(UTC)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1000 + self._passed

    def sleep(self, wait: timedelta) -> None:
        self.step(wait.total_seconds())

    def step(self, seconds: float) -> None:
        self._passed += seconds


class SharedTime(SteppedClock):
    """A clock whose steps are those of Redis too: whatever has an end there comes nearer to it."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self._redis = redis

    def step(self, seconds: float) -> None:
        super().step(seconds)
        ms = round(seconds * 1000)
        for key in self._redis.scan_iter():
            left = self._redis.pttl(key)
            if 0 <= left <= ms:
                self._redis.delete(key)
                continue
            if left > ms:
                self._redis.pexpire(key, left - ms)
            if self._redis.type(key) == b"hash" and self._redis.hexists(key, "until_ms"):
                self._redis.hincrby(key, "until_ms", -ms)

    def step_here(self, seconds: float) -> None:
        """Step on this side only."""
        super().step(seconds)
