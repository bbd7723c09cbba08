"""Fleet-wide limits of a channel: its rate, the pause after a 429, the breaker and suspicion.

One hash, two sets and one window per channel in Redis, changed only by the Lua scripts beside this file and only by
Redis' clock; while Redis is away every process goes on with a safe share of the rate.
"""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.limits.limiter import RedisLimiter
    from dispatcher.limits.suspicion import LocalSuspicion
    from dispatcher.limits.tuning import Adaptation, Breaker, Fallback, Trials
else:
    __getattr__ = exports(
        __name__,
        {
            "limiter": ["RedisLimiter"],
            "suspicion": ["LocalSuspicion"],
            "tuning": ["Adaptation", "Breaker", "Fallback", "Trials"],
        },
    )

__all__ = ["Adaptation", "Breaker", "Fallback", "LocalSuspicion", "RedisLimiter", "Trials"]
