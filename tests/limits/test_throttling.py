"""A 429 pauses the channel for the whole fleet and lowers its rate; clean seconds raise it again."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from redis import Redis

from dispatcher.domain.rate import Rate
from dispatcher.limits import RedisLimiter
from dispatcher.ports import ChannelReport

from .conftest import MakeLimiter
from .fleet import GIFT, SMS, let_pass, seconds

HEALTHY = ChannelReport(healthy=1)


def throttled(wait: float) -> ChannelReport:
    return ChannelReport(throttled=seconds(wait))


def effective(limiter: RedisLimiter) -> float:
    return limiter.state(SMS).effective_rate


def test_a_429_seen_by_one_worker_stops_all_until_its_retry_after(make: MakeLimiter) -> None:
    one, other = make("worker-1"), make("worker-2")
    one.report(SMS, throttled(0.3))
    refused = other.reserve(SMS, 5)
    assert (refused.count, refused.reason) == (0, "throttled")
    assert seconds(0.2) < refused.wait <= seconds(0.3)
    assert one.state(SMS).blocked_for > seconds(0)
    assert other.reserve(GIFT, 1).count == 1
    time.sleep(refused.wait.total_seconds() + 0.05)
    assert other.reserve(SMS, 1).count == 1
    assert one.state(SMS).blocked_for == seconds(0)


def test_a_shorter_retry_after_does_not_shorten_a_longer_pause(make: MakeLimiter) -> None:
    limiter = make()
    limiter.report(SMS, throttled(60))
    limiter.report(SMS, throttled(1))
    assert limiter.state(SMS).blocked_for > seconds(58)


@pytest.mark.parametrize(("asked", "least", "most"), [(0.0, 0.05, 0.1), (-5.0, 0.05, 0.1), (86_400.0, 899.0, 900.0)])
def test_a_senseless_retry_after_is_brought_into_range(
    make: MakeLimiter, asked: float, least: float, most: float
) -> None:
    limiter = make()
    limiter.report(SMS, throttled(asked))
    assert seconds(least) < limiter.state(SMS).blocked_for <= seconds(most)


def test_no_burst_follows_a_pause(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, throttled(60))
    let_pass(redis, seconds(60))
    assert limiter.reserve(SMS, 100).count < 10


def test_permits_from_before_a_429_do_not_come_back(make: MakeLimiter) -> None:
    limiter = make(rate=Rate(per_second=1, burst=10))
    limiter.reserve(SMS, 10)
    limiter.report(SMS, throttled(0.1))
    limiter.give_back(SMS, 5)
    time.sleep(0.15)
    limiter.give_back(SMS, 5)
    assert limiter.reserve(SMS, 100).count == 0


def test_the_rate_falls_once_for_all_429s_of_a_guard_time(make: MakeLimiter, redis: Redis) -> None:
    one, other = make("worker-1"), make("worker-2")
    for limiter in (one, other, one, other):
        limiter.report(SMS, throttled(1))
    assert effective(other) == pytest.approx(70)
    let_pass(redis, seconds(5.1))
    other.report(SMS, throttled(1))
    assert effective(one) == pytest.approx(49)


def test_the_lowered_rate_is_the_one_that_is_granted(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=Rate(per_second=100, burst=1000))
    limiter.report(SMS, throttled(0.1))
    let_pass(redis, seconds(1.1))
    assert 70 <= limiter.reserve(SMS, 1000).count <= 75


def test_the_rate_never_falls_below_its_floor(make: MakeLimiter, redis: Redis) -> None:
    fast, slow = make(), make(rate=Rate(per_second=2, burst=1))
    for _ in range(30):
        fast.report(SMS, throttled(1))
        let_pass(redis, seconds(5.1))
    assert effective(fast) == pytest.approx(1)
    slow.clear(SMS)
    for _ in range(30):
        slow.report(SMS, throttled(1))
        let_pass(redis, seconds(5.1))
    assert effective(slow) == pytest.approx(0.1)


def test_one_429_is_made_good_within_fifteen_clean_seconds(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, throttled(1))
    let_pass(redis, seconds(1.01))
    rates = []
    for _ in range(15):
        let_pass(redis, seconds(1))
        for _ in range(5):
            limiter.report(SMS, HEALTHY)
        rates.append(effective(limiter))
    assert rates[:3] == pytest.approx([72, 74, 76])
    assert rates[-1] == 100


def test_a_429_among_healthy_answers_does_not_raise_the_rate(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, throttled(1))
    let_pass(redis, seconds(4))
    limiter.report(SMS, ChannelReport(healthy=50, throttled=seconds(1)))
    assert effective(limiter) == pytest.approx(70)


def test_late_healthy_answers_during_the_pause_do_not_raise_the_rate(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, throttled(10))
    let_pass(redis, seconds(5))
    limiter.report(SMS, HEALTHY)
    assert effective(limiter) == pytest.approx(70)


def test_idling_does_not_raise_the_rate(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, throttled(1))
    let_pass(redis, timedelta(hours=1))
    assert effective(limiter) == pytest.approx(70)
    limiter.report(SMS, HEALTHY)
    assert effective(limiter) == pytest.approx(72)


def test_a_new_setting_caps_the_lowered_rate_and_leaves_it_when_raised(make: MakeLimiter) -> None:
    before = make()
    before.report(SMS, throttled(1))
    assert effective(make(rate=Rate(per_second=50, burst=5))) == 50
    assert effective(make(rate=Rate(per_second=500, burst=5))) == pytest.approx(70)


def test_a_new_setting_holds_at_once_when_the_rate_was_not_lowered(make: MakeLimiter) -> None:
    make().reserve(SMS, 1)
    assert effective(make(rate=Rate(per_second=500, burst=5))) == 500


def test_what_gathers_before_a_step_up_gathers_at_the_lower_rate(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=Rate(per_second=100, burst=1000))
    limiter.report(SMS, throttled(0.1))
    let_pass(redis, seconds(10.1))
    limiter.report(SMS, HEALTHY)
    assert effective(limiter) == pytest.approx(72)
    assert 700 <= limiter.reserve(SMS, 1000).count < 715


def test_clearing_in_the_middle_of_a_pause_frees_nothing_that_had_not_gathered(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=Rate(per_second=10, burst=10))
    limiter.report(SMS, throttled(60))
    let_pass(redis, seconds(30))
    limiter.clear(SMS)
    assert limiter.reserve(SMS, 100).count < 5


def test_clearing_lifts_the_pause_and_restores_the_rate_without_a_burst(make: MakeLimiter) -> None:
    limiter = make(rate=Rate(per_second=10, burst=10))
    limiter.report(SMS, throttled(60))
    make("operator", rate=Rate(per_second=10, burst=10)).clear(SMS)
    state = limiter.state(SMS)
    assert (state.configured_rate, state.effective_rate, state.blocked_for) == (10, 10, seconds(0))
    assert limiter.reserve(SMS, 100).count < 5
    time.sleep(0.15)
    assert limiter.reserve(SMS, 100).count >= 1
