"""How long to wait before trying again: exponential, with full jitter, capped; a Retry-After only lengthens it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """``first`` doubles with each attempt up to ``cap``; the wait is a random share of that (full jitter)."""

    first: timedelta
    cap: timedelta

    def ceiling(self, attempt: int) -> timedelta:
        """Return the longest wait after the ``attempt``-th failure (from 1).

        >>> Backoff(first=timedelta(seconds=2), cap=timedelta(minutes=5)).ceiling(3)
        datetime.timedelta(seconds=8)
        """
        doublings = min(max(attempt, 1) - 1, 40)
        return min(self.cap, self.first * (1 << doublings))

    def wait(self, attempt: int, *, roll: float, floor: timedelta | None = None) -> timedelta:
        """Return the wait after the ``attempt``-th failure; ``roll`` is random in [0, 1).

        ``floor`` is a Retry-After: the wait is never shorter, and the jitter then goes on top of it, so that
        a fleet which was told "in 30 s" does not come back in the same millisecond.

        >>> Backoff(first=timedelta(seconds=2), cap=timedelta(minutes=5)).wait(1, roll=0.5, floor=timedelta(seconds=30))
        datetime.timedelta(seconds=31)
        """
        jittered = self.ceiling(attempt) * roll
        return jittered if floor is None else floor + min(jittered, self.first)
