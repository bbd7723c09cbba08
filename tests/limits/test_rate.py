"""The rate: permits that may be used at once, for the whole fleet together."""

from __future__ import annotations

import time
from pathlib import Path

from redis import Redis

from dispatcher import limits
from dispatcher.domain.rate import Rate
from dispatcher.ports import ChannelReport, Limiter, Permits

from .conftest import MakeLimiter
from .fleet import GIFT, SMS, let_pass, most_within, run_processes, seconds

SLOW = Rate(per_second=1, burst=5)


def test_it_is_a_limiter(make: MakeLimiter) -> None:
    limiter: Limiter = make()
    assert limiter.reserve(SMS, 1) == Permits(count=1)


def test_eight_processes_together_keep_the_rate_and_use_it(port: int) -> None:
    rate = Rate(per_second=400, burst=60)
    taken = run_processes(8, port=port, rate=rate, duration=3)
    assert most_within(taken, 1.0) <= 400 + 60
    assert most_within(taken, 0.1) <= 40 + 60
    spent = max(grant.after for grant in taken) - min(grant.before for grant in taken)
    assert 0.95 * 400 * spent <= sum(grant.count for grant in taken) <= 400 * spent + 60


def test_a_request_for_more_than_there_is_gets_what_there_is(make: MakeLimiter) -> None:
    limiter = make(rate=SLOW)
    assert limiter.reserve(SMS, 3).count == 3
    assert limiter.reserve(SMS, 100).count == 2


def test_an_empty_bucket_says_exactly_when_the_next_permit_is_due(make: MakeLimiter) -> None:
    limiter = make(rate=Rate(per_second=10, burst=1))
    limiter.reserve(SMS, 1)
    refused = limiter.reserve(SMS, 1)
    assert refused.count == 0
    assert refused.reason == "rate"
    assert seconds(0) < refused.wait <= seconds(0.1)
    time.sleep(refused.wait.total_seconds())
    assert limiter.reserve(SMS, 1).count == 1


def test_after_idling_the_burst_may_go_and_no_more(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=SLOW)
    limiter.reserve(SMS, 5)
    let_pass(redis, seconds(3600))
    assert limiter.reserve(SMS, 100).count == 5
    assert limiter.reserve(SMS, 100).count == 0


def test_a_flushed_server_grants_no_more_than_the_burst(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=SLOW)
    limiter.reserve(SMS, 100)
    redis.flushall()
    assert limiter.reserve(SMS, 100).count == 5
    assert limiter.reserve(SMS, 100).count == 0


def test_flushed_scripts_are_loaded_again(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=SLOW)
    limiter.reserve(SMS, 2)
    redis.script_flush()
    assert limiter.reserve(SMS, 100).count == 3


def test_channels_do_not_take_from_each_other(make: MakeLimiter) -> None:
    limiter = make(rate=SLOW)
    assert limiter.reserve(SMS, 5).count == 5
    assert limiter.reserve(GIFT, 5).count == 5


def test_asking_for_nothing_takes_nothing(make: MakeLimiter) -> None:
    limiter = make(rate=SLOW)
    assert limiter.reserve(SMS, 0) == Permits(count=0)
    assert limiter.reserve(SMS, 5).count == 5


def test_a_very_slow_rate_is_not_starved_by_frequent_asking(make: MakeLimiter, redis: Redis) -> None:
    limiter = make(rate=Rate(per_second=1 / 3600, burst=1))
    limiter.reserve(SMS, 1)
    for _ in range(100):
        let_pass(redis, seconds(36.1))
        if limiter.reserve(SMS, 1).count:
            return
    raise AssertionError("an hour went by and no permit was granted")


def test_a_clock_set_back_does_not_stop_the_channel(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.reserve(SMS, 10)
    let_pass(redis, seconds(-7200))
    limiter.reserve(SMS, 1)
    time.sleep(0.05)
    assert limiter.reserve(SMS, 1).count == 1


def test_a_text_decoding_client_works_too(make: MakeLimiter, port: int) -> None:
    limiter = make(redis=Redis(port=port, decode_responses=True), rate=SLOW)
    assert limiter.reserve(SMS, 100).count == 5
    assert limiter.reserve(SMS, 1).reason == "rate"
    limiter.give_back(SMS, 3)
    assert limiter.reserve(SMS, 100).count in {2, 3}
    assert limiter.state(SMS).breaker == "closed"


def test_all_keys_of_a_channel_share_a_slot_and_expire(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.reserve(SMS, 1)
    limiter.report(SMS, ChannelReport(healthy=1))
    keys = {str(key, "ascii") for key in redis.keys("*") if isinstance(key, bytes)}
    assert keys == {f"dispatcher:{{limits:sms}}:{part}" for part in ("state", "window", "holders")}
    assert all(redis.ttl(key) > 0 for key in keys)


def test_every_script_states_its_arguments_and_reply() -> None:
    scripts = sorted(Path(limits.__file__).parent.glob("*.lua"))
    assert [script.stem for script in scripts] == ["channel", "clear", "give_back", "report", "reserve", "state"]
    for script in scripts:
        head = script.read_text().split("\n\n")[0]
        assert "KEYS" in head
        assert "ARGV" in head
        assert "reply" in script.read_text() or script.stem == "channel"


def test_unused_permits_can_be_used_by_another(make: MakeLimiter) -> None:
    first, second = make("worker-1", rate=SLOW), make("worker-2", rate=SLOW)
    first.reserve(SMS, 5)
    first.give_back(SMS, 4)
    assert second.reserve(SMS, 100).count in {3, 4}  # what gathered meanwhile is taken off, a few milliseconds' worth


def test_giving_back_never_makes_more_than_the_burst(make: MakeLimiter) -> None:
    limiter = make(rate=SLOW)
    limiter.reserve(SMS, 2)
    for _ in range(5):
        limiter.give_back(SMS, 100)
    assert limiter.reserve(SMS, 100).count == 5
    assert limiter.reserve(SMS, 100).count == 0


def test_no_more_is_given_back_than_was_last_granted(make: MakeLimiter) -> None:
    limiter = make(rate=SLOW)
    limiter.reserve(SMS, 3)
    limiter.reserve(SMS, 1)
    limiter.give_back(SMS, 3)
    limiter.give_back(SMS, 1)
    assert limiter.reserve(SMS, 100).count in {1, 2}


def test_permits_given_back_late_do_not_come_on_top_of_a_full_bucket(make: MakeLimiter) -> None:
    rate = Rate(per_second=20, burst=5)
    late, other = make("late", rate=rate), make("other", rate=rate)
    late.reserve(SMS, 5)
    time.sleep(0.3)
    at_once = other.reserve(SMS, 100).count
    late.give_back(SMS, 5)
    at_once += other.reserve(SMS, 100).count
    assert 5 <= at_once <= 6
