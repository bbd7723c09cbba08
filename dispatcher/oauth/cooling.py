"""How long this process leaves the API alone, as it last heard from Redis or found out itself."""

from __future__ import annotations

from datetime import timedelta

from dispatcher.oauth.token import Trouble
from dispatcher.ports import Clock


class Cooling:
    """The present trouble with the moment, on the monotonic clock, until which nobody tries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: tuple[Trouble, float] | None = None

    @property
    def trouble(self) -> Trouble | None:
        """What failed last, its cool-down counted to now; None after a success."""
        known = self._known
        if known is None:
            return None
        trouble, until = known
        left = max(0.0, until - self._clock.monotonic())
        return Trouble(kind=trouble.kind, reason=trouble.reason, count=trouble.count, cooling=timedelta(seconds=left))

    @property
    def left(self) -> float:
        """Seconds until anybody may try again; zero if nothing stands in the way."""
        known = self._known
        return 0.0 if known is None else max(0.0, known[1] - self._clock.monotonic())

    def learn(self, trouble: Trouble | None, *, at: float) -> None:
        """Take over what was true at a moment of the monotonic clock."""
        self._known = None if trouble is None else (trouble, at + trouble.cooling.total_seconds())
