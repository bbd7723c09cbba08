"""Whatever is asked, given back and waited for: no window ever uses more than the rate and one burst."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dispatcher.domain.rate import Rate
from dispatcher.limits import RedisLimiter

from .fleet import SMS, RealClock, connect, redis_time

BURST = 6
HOLDERS = 3


@dataclass
class Used:
    """A grant between two readings of Redis' time, less what was given back of it."""

    before: float
    after: float
    count: int


Step = tuple[str, int, int]
RESERVE = st.tuples(st.just("reserve"), st.integers(0, HOLDERS - 1), st.integers(1, 10))
GIVE_BACK = st.tuples(st.just("give_back"), st.integers(0, HOLDERS - 1), st.integers(1, 10))
SLEEP = st.tuples(st.just("sleep"), st.just(0), st.integers(1, 15))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(RESERVE | GIVE_BACK | SLEEP, max_size=25), per_second=st.sampled_from([3, 100, 400]))
@example(
    steps=[("reserve", 0, 6), ("sleep", 0, 15), ("reserve", 1, 6), ("give_back", 0, 6), ("reserve", 1, 6)],
    per_second=400,
)
def test_no_window_uses_more_than_rate_and_burst(port: int, steps: list[Step], per_second: int) -> None:
    redis = connect(port)
    redis.flushall()
    rate = Rate(per_second=per_second, burst=BURST)
    limiters = [RedisLimiter(redis, {SMS: rate}, f"worker-{n}", RealClock()) for n in range(HOLDERS)]
    used: list[Used] = []
    last: dict[int, Used] = {}
    for action, holder, amount in steps:
        if action == "sleep":
            time.sleep(amount / 1000)
        elif action == "reserve":
            before = redis_time(redis)
            count = limiters[holder].reserve(SMS, amount).count
            if count:
                last[holder] = Used(before, redis_time(redis), count)
                used.append(last[holder])
        else:
            limiters[holder].give_back(SMS, amount)
            if holder in last:
                last[holder].count = max(0, last[holder].count - amount)
    for first, start in enumerate(used):
        total = 0
        for grant in used[first:]:
            total += grant.count
            assert total <= per_second * (grant.after - start.before) + BURST + 1e-3
