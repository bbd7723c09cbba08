"""The breaker: a sick API is left alone, then asked by one probe of the whole fleet."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from dispatcher.limits import Breaker, RedisLimiter
from dispatcher.ports import ChannelReport, Permits

from .conftest import MakeLimiter
from .fleet import GIFT, SMS, let_pass, seconds

HEALTHY, SICK, SILENT = ChannelReport(healthy=1), ChannelReport(sick=1), ChannelReport()


def stage(limiter: RedisLimiter) -> str:
    return limiter.state(SMS).breaker


def open_it(limiter: RedisLimiter) -> None:
    limiter.report(SMS, ChannelReport(sick=10))
    assert stage(limiter) == "open"


def half_open_it(limiter: RedisLimiter, redis: Redis) -> None:
    open_it(limiter)
    let_pass(redis, seconds(5))
    assert stage(limiter) == "half_open"


def test_ten_sick_outcomes_of_several_workers_open_it_for_all(make: MakeLimiter) -> None:
    workers = [make(f"worker-{n}") for n in range(5)]
    for worker in workers:
        assert worker.reserve(SMS, 1).count == 1
        worker.report(SMS, ChannelReport(sick=2))
    for worker in workers:
        refused = worker.reserve(SMS, 10)
        assert (refused.count, refused.reason, refused.probe) == (0, "breaker", False)
        assert seconds(3.5) < refused.wait <= seconds(5)
    assert workers[0].reserve(GIFT, 1).count == 1


def test_nine_sick_outcomes_do_not(make: MakeLimiter) -> None:
    limiter = make()
    limiter.report(SMS, ChannelReport(sick=9))
    assert stage(limiter) == "closed"


@pytest.mark.parametrize(("healthy", "expected"), [(20, "open"), (21, "closed")])
def test_only_a_half_sick_window_opens_it(make: MakeLimiter, healthy: int, expected: str) -> None:
    limiter = make()
    limiter.report(SMS, ChannelReport(healthy=healthy))
    limiter.report(SMS, ChannelReport(sick=20))
    assert stage(limiter) == expected


@pytest.mark.parametrize(("later", "expected"), [(24.0, "open"), (33.0, "closed")])
def test_what_is_older_than_the_window_does_not_count(
    make: MakeLimiter, redis: Redis, later: float, expected: str
) -> None:
    limiter = make()
    limiter.report(SMS, ChannelReport(sick=6))
    let_pass(redis, seconds(later))
    limiter.report(SMS, ChannelReport(sick=6))
    assert stage(limiter) == expected


def test_late_answers_change_nothing_while_it_is_open(make: MakeLimiter) -> None:
    limiter = make()
    open_it(limiter)
    wait = limiter.state(SMS).breaker_wait
    limiter.report(SMS, ChannelReport(healthy=50))
    assert stage(limiter) == "open"
    limiter.report(SMS, ChannelReport(sick=50))
    assert stage(limiter) == "open"
    assert limiter.state(SMS).breaker_wait <= wait


def test_half_open_lets_one_probe_of_the_whole_fleet_through(make: MakeLimiter, redis: Redis) -> None:
    workers = [make(f"worker-{n}") for n in range(4)]
    half_open_it(workers[0], redis)
    answers = [worker.reserve(SMS, 10) for worker in workers]
    assert answers[0] == Permits(count=1, probe=True)
    for refused in answers[1:]:
        assert (refused.count, refused.reason, refused.wait) == (0, "breaker", seconds(0.25))
    assert workers[0].reserve(SMS, 10).count == 0


def test_it_half_opens_by_itself_in_real_time(make: MakeLimiter) -> None:
    limiter = make(breaker=Breaker(open_for=seconds(0.2)))
    open_it(limiter)
    time.sleep(limiter.reserve(SMS, 1).wait.total_seconds())
    assert limiter.reserve(SMS, 5) == Permits(count=1, probe=True)


def test_a_healthy_probe_closes_it_with_a_clean_window(make: MakeLimiter, redis: Redis) -> None:
    prober, other = make("prober"), make("other")
    half_open_it(prober, redis)
    prober.reserve(SMS, 1)
    prober.report(SMS, HEALTHY)
    assert stage(other) == "closed"
    assert other.reserve(SMS, 5).count == 5
    other.report(SMS, ChannelReport(sick=9))
    assert stage(other) == "closed"


def test_each_sick_probe_doubles_the_wait_up_to_a_minute(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(random=lambda: 0.0)
    open_it(limiter)
    waits = [limiter.state(SMS).breaker_wait]
    for _ in range(5):
        let_pass(redis, seconds(61))
        assert limiter.reserve(SMS, 1).probe
        limiter.report(SMS, SICK)
        waits.append(limiter.state(SMS).breaker_wait)
    assert [round(wait.total_seconds()) for wait in waits] == [5, 10, 20, 40, 60, 60]


def test_the_wait_is_jittered_by_up_to_a_fifth(make: MakeLimiter) -> None:
    limiter = make(random=lambda: 1.0)
    open_it(limiter)
    assert seconds(3.8) < limiter.state(SMS).breaker_wait <= seconds(4)


def test_closing_starts_the_doubling_anew(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(random=lambda: 0.0)
    half_open_it(limiter, redis)
    limiter.reserve(SMS, 1)
    limiter.report(SMS, SICK)
    let_pass(redis, seconds(10))
    limiter.reserve(SMS, 1)
    limiter.report(SMS, HEALTHY)
    open_it(limiter)
    assert limiter.state(SMS).breaker_wait <= seconds(5)


def test_late_failures_of_others_do_not_spoil_the_probe(make: MakeLimiter, redis: Redis) -> None:
    prober, other = make("prober"), make("other")
    half_open_it(prober, redis)
    other.report(SMS, ChannelReport(sick=30))
    assert prober.reserve(SMS, 1).probe
    other.report(SMS, ChannelReport(sick=30))
    assert stage(prober) == "half_open"
    prober.report(SMS, HEALTHY)
    assert stage(prober) == "closed"


def test_any_healthy_answer_closes_it_while_it_is_half_open(make: MakeLimiter, redis: Redis) -> None:
    prober, other = make("prober"), make("other")
    half_open_it(prober, redis)
    prober.reserve(SMS, 1)
    other.report(SMS, HEALTHY)
    assert stage(prober) == "closed"


def test_a_probe_whose_worker_died_frees_itself(make: MakeLimiter, redis: Redis) -> None:
    dead, other = make("dead"), make("other")
    half_open_it(dead, redis)
    assert dead.reserve(SMS, 1).probe
    let_pass(redis, seconds(39))
    assert other.reserve(SMS, 1).count == 0
    let_pass(redis, seconds(1))
    assert other.reserve(SMS, 1).probe


def test_an_unused_probe_goes_to_the_next_who_asks(make: MakeLimiter, redis: Redis) -> None:
    idle, other = make("idle"), make("other")
    half_open_it(idle, redis)
    assert idle.reserve(SMS, 1).probe
    idle.give_back(SMS, 1)
    assert other.reserve(SMS, 1).probe


@pytest.mark.parametrize("verdict", [SILENT, ChannelReport(throttled=seconds(0.1))])
def test_a_probe_without_a_verdict_frees_its_place(make: MakeLimiter, redis: Redis, verdict: ChannelReport) -> None:
    prober, other = make("prober"), make("other")
    half_open_it(prober, redis)
    prober.reserve(SMS, 1)
    prober.report(SMS, verdict)
    let_pass(redis, seconds(1))
    assert other.reserve(SMS, 1).probe


def test_a_probe_waits_for_a_429_pause(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    open_it(limiter)
    limiter.report(SMS, ChannelReport(throttled=seconds(60)))
    let_pass(redis, seconds(5))
    assert limiter.reserve(SMS, 1).reason == "throttled"


def test_an_hour_of_outage_grants_only_probes(make: MakeLimiter, redis: Redis) -> None:
    workers = [make(f"worker-{n}") for n in range(3)]
    workers[0].report(SMS, ChannelReport(sick=10))
    granted = 0
    for _ in range(360):
        let_pass(redis, seconds(10), bucket=seconds(3))
        for worker in workers:
            permits = worker.reserve(SMS, 10)
            granted += permits.count
            if permits.count:
                assert permits.probe
                worker.report(SMS, SICK)
    assert 50 <= granted <= 90


def test_clearing_closes_it(make: MakeLimiter) -> None:
    limiter = make()
    open_it(limiter)
    make("operator").clear(SMS)
    assert stage(limiter) == "closed"
    assert limiter.reserve(SMS, 5).count == 5


def test_a_flushed_server_means_a_closed_breaker(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    open_it(limiter)
    redis.flushall()
    assert stage(limiter) == "closed"
    assert limiter.reserve(SMS, 5).count == 5
