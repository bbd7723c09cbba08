"""The local share by itself, on a clock turned by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.rate import Rate
from dispatcher.limits.share import LocalShare
from dispatcher.limits.tuning import Adaptation, Breaker, Fallback
from dispatcher.ports import ChannelReport

from .fleet import seconds

STEPS = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 20), st.booleans()), max_size=60)


def share(rate: Rate = Rate(per_second=100, burst=10), *, chance: float = 0.0) -> LocalShare:  # noqa: B008
    return LocalShare(rate, breaker=Breaker(), adaptation=Adaptation(), fallback=Fallback(), random=lambda: chance)


def opened(now: float) -> LocalShare:
    """Return a share that knows Redis, lost it and has gathered a permit."""
    ours = share()
    ours.learn(effective=100, holders=1, now=now - 5)
    ours.reserve(1, now=now - 5)
    return ours


@given(
    steps=STEPS,
    holders=st.integers(1, 20),
    per_second=st.floats(0.1, 1000),
    burst=st.integers(1, 200),
    chance=st.floats(0, 1),
)
def test_no_window_gets_more_than_its_share(
    steps: list[tuple[float, int, bool]], holders: int, per_second: float, burst: int, chance: float
) -> None:
    ours = share(Rate(per_second=per_second, burst=burst), chance=chance)
    ours.learn(effective=per_second, holders=holders, now=0)
    now, used = 0.0, []
    for pause, want, returned in steps:
        now += pause
        count = ours.reserve(want, now=now).count
        if returned:
            ours.give_back(count, probe=False, now=now)
        elif count:
            used.append((now, count))
    most = max(1.0, burst / (2 * holders))
    for first, (start, _) in enumerate(used):
        total = 0
        for end, count in used[first:]:
            total += count
            assert total <= per_second / (2 * holders) * (end - start) + most + 1e-6
    assert sum(count for _, count in used) <= per_second / (2 * holders) * now + 1e-6


def test_the_share_starts_empty_and_at_a_moment_of_its_own() -> None:
    for chance, wait in ((0.0, 0.02), (0.5, 0.03)):
        ours = share(chance=chance)
        ours.learn(effective=100, holders=1, now=0)
        refused = ours.reserve(10, now=0)
        assert refused.count == 0
        assert abs(refused.wait - seconds(wait)) < seconds(0.001)


def test_it_never_asks_to_wait_longer_than_redis_may_be_away() -> None:
    ours = share(Rate(per_second=0.001, burst=1))
    assert ours.reserve(1, now=0).wait == seconds(1)


def test_a_429_met_during_the_outage_pauses_this_process() -> None:
    ours = opened(100)
    ours.report(ChannelReport(throttled=seconds(3)), now=100)
    assert ours.reserve(1, now=102.9).reason == "throttled"
    assert ours.reserve(10, now=103.03).count == 1


def test_ten_failures_in_a_row_during_the_outage_open_its_own_breaker() -> None:
    ours = opened(100)
    ours.report(ChannelReport(sick=9), now=100)
    assert ours.reserve(1, now=100).count == 1
    ours.report(ChannelReport(sick=1), now=100)
    assert ours.reserve(1, now=104.9).reason == "breaker"
    assert ours.reserve(5, now=105.1).probe
    assert ours.reserve(5, now=106).count == 0
    ours.report(ChannelReport(sick=1), now=106)
    assert ours.reserve(1, now=115.9).reason == "breaker"
    assert ours.reserve(5, now=117).probe
    ours.report(ChannelReport(healthy=1), now=117)
    assert ours.reserve(5, now=118).count == 5


def test_a_probe_that_was_not_used_or_said_nothing_can_be_had_again() -> None:
    ours = opened(100)
    ours.report(ChannelReport(sick=10), now=100)
    assert ours.reserve(1, now=106).probe
    ours.give_back(1, probe=True, now=106)
    assert ours.reserve(1, now=106).probe
    ours.report(ChannelReport(), now=106)
    assert ours.reserve(1, now=107).probe


def test_redis_back_and_well_ends_what_was_held() -> None:
    ours = opened(100)
    ours.report(ChannelReport(sick=10), now=100)
    ours.learn(effective=100, holders=1, now=101)
    ours.pass_on(blocked=seconds(0), breaker="closed", breaker_wait=seconds(0), now=101)
    ours.reserve(1, now=101)
    assert ours.reserve(5, now=102).count == 5
