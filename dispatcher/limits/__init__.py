"""Fleet-wide limits of a channel: its rate, the pause after a 429 and the breaker.

One hash, one set and one window per channel in Redis, changed only by the Lua scripts beside this file and only by
Redis' clock; while Redis is away every process goes on with a safe share of the rate.
"""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.limits.limiter import RedisLimiter
    from dispatcher.limits.tuning import Adaptation, Breaker, Fallback
else:
    __getattr__ = exports(
        __name__,
        {
            "limiter": ["RedisLimiter"],
            "tuning": ["Adaptation", "Breaker", "Fallback"],
        },
    )

__all__ = ["Adaptation", "Breaker", "Fallback", "RedisLimiter"]
