"""The provider's rate limit: the generic cell rate algorithm, which keeps a single number.

The number is the time at which the allowance would be whole again. A call moves it on by one interval; where
that would put it further ahead than a burst lasts, the call is refused and nothing moves.
"""

from datetime import timedelta

_ROUNDING_S = 1e-9


class Allowance:
    """At most `calls` in `period`, of which `burst` may come at once."""

    def __init__(self, calls: int, period: timedelta, burst: int | None = None) -> None:
        self._interval = period.total_seconds() / calls
        self._tolerance = self._interval * ((burst or max(1, round(1 / self._interval))) - 1)
        self._whole_at = 0.0

    def spend(self, now: float) -> float:
        """Spend one call at `now` (unix seconds): 0.0 where it is allowed, else the seconds until one would be.

        >>> allowance = Allowance(2, timedelta(seconds=1), burst=1)
        >>> allowance.spend(100.0), allowance.spend(100.25), allowance.spend(100.5)
        (0.0, 0.25, 0.0)
        """
        whole_at = max(self._whole_at, now)
        ahead = whole_at - now - self._tolerance
        if ahead > _ROUNDING_S:
            return ahead
        self._whole_at = whole_at + self._interval
        return 0.0
