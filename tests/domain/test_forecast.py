"""When a burst will be over: compared with a walk in small steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.domain.budget import Budget, parse_budget
from dispatcher.domain.forecast import finish_at
from dispatcher.domain.window import parse_window

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


def test_without_a_window_it_is_a_division() -> None:
    assert finish_at({"": 3600}, per_second=2, window=None, start=START) == START + timedelta(minutes=30)


def test_nothing_left_is_over_now() -> None:
    assert finish_at({}, per_second=2, window=parse_window("09:00-10:00 UTC"), start=START) == START


def test_nights_between_count() -> None:
    window = parse_window("09:00-17:00 UTC")
    found = finish_at({"": 12 * 3600}, per_second=1, window=window, start=START)
    assert found == datetime(2026, 11, 25, 13, tzinfo=UTC)


def test_what_never_opens_or_takes_years_has_no_end() -> None:
    apart = parse_window("09:00-12:00")
    assert finish_at({"Europe/London Australia/Sydney": 1}, per_second=1, window=apart, start=START) is None
    assert finish_at({"": 10**9}, per_second=1, window=parse_window("09:00-10:00 UTC"), start=START) is None


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Europe/London", "Australia/Sydney", "America/New_York"]), st.integers(1, 40_000), min_size=1
    ),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_zones_share_the_rate_while_they_are_open(waiting: dict[str, int], per_second: float) -> None:
    window = parse_window("09:00-17:00")
    found = finish_at(waiting, per_second=per_second, window=window, start=START)
    left, now, step = {zone: float(count) for zone, count in waiting.items()}, START, timedelta(minutes=1)
    while any(count > 1e-6 for count in left.values()):
        open_now = [zone for zone, count in left.items() if count > 1e-6 and window.is_open(now, (zone,))]
        together = sum(left[zone] for zone in open_now)
        for zone in open_now:
            left[zone] -= min(left[zone], left[zone] * per_second * 60 / together)
        now += step
    assert found is not None
    assert abs(found - now) < timedelta(minutes=10)


def test_a_budget_is_read_back_as_it_was_written() -> None:
    for text in ("12345.00", "500.00/day", "12345.00 500.00/day"):
        assert str(parse_budget(text, "AUD")) == text
    assert parse_budget("500", "JPY") == Budget(currency="JPY", total=500, daily=None)
    assert parse_budget("500/day, 12,345.50", "AUD") == Budget(currency="AUD", total=1234550, daily=50000)
