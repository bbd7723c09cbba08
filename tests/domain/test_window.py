"""Send windows: by the clock on the wall, through every change of that clock, compared with a walk minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.domain.window import SendWindow, parse_window

ZONES = (
    "Australia/Sydney",
    "Europe/London",
    "America/New_York",
    "Asia/Kolkata",
    "America/St_Johns",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Pacific/Apia",  # 30 December 2011 never was
)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def changes_of(zone: str) -> list[datetime]:
    """Return the hours from 2024 to 2028 in which a zone's clock is changed."""
    hours = [datetime(2024, 1, 1, tzinfo=UTC) + count * HOUR for count in range(5 * 366 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[place] for place in range(1, len(hours)) if offsets[place] != offsets[place - 1]]


CHANGES = (
    *(change for zone in ZONES for change in changes_of(zone)),
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia leaves out a day
)
_CALENDARS = {
    code: set(holidays.country_holidays(code[:2], subdiv=part, years=range(2010, 2032)))
    for code, part in (("AU-NATIONAL", None), ("GB-ENG", "ENG"), ("JP", None))
}


def open_by_the_wall(window: SendWindow, moment: datetime, zones: tuple[str, ...]) -> bool:
    """Say it from the definition alone, in other words than the code does."""
    for name in (window.zone,) if window.zone else zones:
        local = moment.astimezone(ZoneInfo(name))
        minute = local.hour * 60 + local.minute
        if window.opens < window.closes:
            day: date | None = local.date() if window.opens <= minute < window.closes else None
        elif minute >= window.opens:
            day = local.date()
        else:
            day = local.date() - timedelta(days=1) if minute < window.closes else None
        if day is None or day.weekday() not in window.days:
            return False
        if window.holidays and day in _CALENDARS[window.holidays]:
            return False
    return True


def times() -> st.SearchStrategy[int]:
    """Times of day; often those that clocks jump over or pass twice."""
    return st.one_of(st.integers(0, 1439), st.integers(55, 195), st.sampled_from([0, 60, 120, 150, 180, 540, 1200]))


@st.composite
def windows(draw: st.DrawFn) -> SendWindow:
    opens, closes = draw(times()), draw(st.one_of(times(), st.just(1440)))
    if closes in (opens, 0):
        closes = 1440
    return SendWindow(
        days=draw(st.frozensets(st.integers(0, 6), min_size=1)),
        opens=opens,
        closes=closes,
        zone=draw(st.one_of(st.none(), st.sampled_from(ZONES))),
        holidays=draw(st.sampled_from([None, None, *_CALENDARS])),
    )


def moments() -> st.SearchStrategy[datetime]:
    """Moments around changes of the clock, and anywhere; whole minutes as often as not."""
    start, day = datetime(2024, 1, 1, tzinfo=UTC), 24 * 3600
    near = st.builds(
        lambda change, seconds: change + timedelta(seconds=seconds),
        st.sampled_from(CHANGES),
        st.integers(-2 * day, 2 * day),
    )
    anywhere = st.integers(0, 5 * 365 * day).map(lambda seconds: start + timedelta(seconds=seconds))
    exact = st.one_of(near, anywhere)
    return st.one_of(exact, exact.map(lambda moment: moment.replace(second=0)))


def by_walking(window: SendWindow, moment: datetime, zones: tuple[str, ...]) -> tuple[datetime, datetime]:
    """Find the present or next opening by looking at every minute from a moment on (all clocks change on a minute)."""
    at = moment.replace(second=0)
    while not open_by_the_wall(window, at, zones):
        at += MINUTE
    ends = at
    while open_by_the_wall(window, ends, zones) and ends - at < timedelta(days=2):
        ends += MINUTE
    return max(at, moment), ends


@settings(max_examples=400, deadline=None)
@given(windows(), moments(), st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True).map(tuple))
@example(parse_window("02:30-03:30 Australia/Sydney"), datetime(2026, 10, 3, 12, tzinfo=UTC), ())
@example(parse_window("02:15-02:45 Australia/Sydney"), datetime(2026, 4, 4, 12, tzinfo=UTC), ())
@example(parse_window("01:30-02:00 Europe/London"), datetime(2026, 10, 25, 0, 59, tzinfo=UTC), ())
@example(parse_window("00:30-01:15 America/New_York"), datetime(2026, 11, 1, 5, 20, tzinfo=UTC), ())
@example(parse_window("09:00-23:59 Europe/London"), datetime(2026, 6, 1, 9, tzinfo=UTC), ())
@example(parse_window("00:00-24:00"), datetime(2026, 11, 1, 5, 20, tzinfo=UTC), ("America/New_York", "UTC"))
@example(parse_window("Sun 23:00-04:00 America/New_York"), datetime(2026, 3, 8, 12, tzinfo=UTC), ())
@example(parse_window("Fri 09:00-17:00 Pacific/Apia"), datetime(2011, 12, 29, 12, tzinfo=UTC), ())
def test_the_interval_is_what_a_walk_by_the_minute_finds(
    window: SendWindow, moment: datetime, zones: tuple[str, ...]
) -> None:
    found = window.interval(moment, zones)
    if found is None:  # two places with no hour in common
        assert not any(open_by_the_wall(window, moment + step * 7 * MINUTE, zones) for step in range(3000))
        return
    opens, closes = found
    assert closes > moment
    assert opens < closes
    assert open_by_the_wall(window, closes - SECOND, zones)
    assert all(open_by_the_wall(window, opens + step * MINUTE, zones) for step in range(-((opens - closes) // MINUTE)))
    if opens > moment:
        assert not open_by_the_wall(window, opens - SECOND, zones)
    if opens - moment > timedelta(days=9):  # holidays in a row: a walk would take too long
        assert not any(open_by_the_wall(window, moment + step * 10 * MINUTE, zones) for step in range(1290))
        return
    walked_opens, walked_closes = by_walking(window, moment, zones)
    assert max(opens, moment) == walked_opens
    if walked_closes - walked_opens < timedelta(days=2):
        assert closes <= walked_closes
    if closes < walked_closes:  # it may be told in two parts that join
        following = window.interval(closes, zones)
        assert following is not None
        assert following[0] <= closes


@settings(max_examples=300, deadline=None)
@given(windows(), moments(), st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True).map(tuple))
def test_open_means_open_in_every_zone(window: SendWindow, moment: datetime, zones: tuple[str, ...]) -> None:
    assert window.is_open(moment, zones) == open_by_the_wall(window, moment, zones)


@settings(max_examples=300, deadline=None)
@given(windows())
def test_a_window_is_read_back_as_it_was_written(window: SendWindow) -> None:
    assert parse_window(str(window)) == window


def test_an_opening_that_the_clock_jumps_over_comes_when_it_has_jumped() -> None:
    window = parse_window("02:30-05:00 Europe/Berlin")  # at 02:00 it becomes 03:00
    found = window.interval(datetime(2026, 3, 28, 22, tzinfo=UTC))
    assert found == (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 3, tzinfo=UTC))


def test_an_hour_that_comes_twice_opens_twice() -> None:
    window = parse_window("02:15-02:45 Europe/Berlin")
    first = window.interval(datetime(2026, 10, 24, 22, tzinfo=UTC))
    assert first == (datetime(2026, 10, 25, 0, 15, tzinfo=UTC), datetime(2026, 10, 25, 0, 45, tzinfo=UTC))
    second = window.interval(first[1])
    assert second == (datetime(2026, 10, 25, 1, 15, tzinfo=UTC), datetime(2026, 10, 25, 1, 45, tzinfo=UTC))


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    window = parse_window("Fri 22:00-02:00 UTC")
    assert window.interval(datetime(2026, 11, 28, 1, tzinfo=UTC)) == (
        datetime(2026, 11, 27, 22, tzinfo=UTC),
        datetime(2026, 11, 28, 2, tzinfo=UTC),
    )
    assert not window.is_open(datetime(2026, 11, 27, 1, tzinfo=UTC)), "that is Thursday's night"


def test_it_stays_closed_on_holidays() -> None:
    window = parse_window("Mon-Fri 09:00-17:00 Australia/Sydney except holidays AU-NSW")
    found = window.interval(datetime(2026, 12, 24, 12, tzinfo=UTC))
    assert found is not None
    assert f"{found[0].astimezone(ZoneInfo('Australia/Sydney')):%d %b}" == "29 Dec", "Christmas to its day in lieu"


def test_several_zones_leave_the_hours_that_they_share() -> None:
    window = parse_window("09:00-17:00")
    found = window.interval(datetime(2026, 7, 1, tzinfo=UTC), ("Europe/London", "America/New_York"))
    assert found == (datetime(2026, 7, 1, 13, tzinfo=UTC), datetime(2026, 7, 1, 16, tzinfo=UTC))


def test_zones_without_a_common_hour_never_open() -> None:
    window = parse_window("09:00-12:00")
    assert window.interval(datetime(2026, 7, 1, tzinfo=UTC), ("Europe/London", "Australia/Sydney")) is None


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("9:00-20:00", "09:00-20:00"),
        ("MON-FRI 09:00-17:00 australia/sydney", "Mon,Tue,Wed,Thu,Fri 09:00-17:00 Australia/Sydney"),
        ("Fri-Mon 09:00 - 17:00", "Mon,Fri,Sat,Sun 09:00-17:00"),
        ("monday, Wednesday 00:00-24:00 UTC", "Mon,Wed 00:00-24:00 UTC"),
        ("sat 20:00-00:00", "Sat 20:00-24:00"),
        ("Mon\t-\tTue , fri 08:00-09:00", "Mon,Tue,Fri 08:00-09:00"),
        ("Mon-Sun 08:00-09:00 recipient except holidays au-nsw", "08:00-09:00 except holidays AU-NSW"),
        ("08:00-09:00 except holidays gb-national", "08:00-09:00 except holidays GB-NATIONAL"),
        ("08:00-09:00 except holidays jp", "08:00-09:00 except holidays JP"),
    ],
)
def test_windows_are_read_as_people_write_them(text: str, means: str) -> None:
    assert str(parse_window(text)) == means


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not a window; write it as"),
        ("at night", "'at night' is not a window"),
        (f"mon{' ' * 200}x", "not longer than 200 characters"),
        ("09:00-09:00", "never opens"),
        ("25:00-26:00", "'25:00' is not a time of day"),
        ("09:60-10:00", "'09:60' is not a time of day"),
        ("24:00-08:00", "opens at the end of a day"),
        ("Foo 09:00-10:00", "'Foo' is not a day"),
        ("Mon- 09:00-10:00", "'Mon-' is not a span of days"),
        ("Mon-Wed-Fri 09:00-10:00", "'Mon-Wed-Fri' is not a span of days"),
        ("09:00-10:00 localtime", "'localtime' is not a time zone"),
        ("09:00-10:00 Australia/Sidney", "did you mean Australia/Sydney?"),
        ("09:00-10:00 +10:00", "'+10:00' is not a time zone"),
        ("09:00-10:00 except holidays AU", "'AU' alone lacks the holidays of its parts; write one of AU-ACT, AU-NSW"),
        ("09:00-10:00 except holidays gb", "GB-ENG, GB-NIR, GB-SCT, GB-WLS, or GB-NATIONAL"),
        ("09:00-10:00 except holidays AU-XXX", "of AU the parts ACT, NSW, NT, QLD, SA, TAS, VIC, WA are known"),
        ("09:00-10:00 except holidays XX", "no holidays are known of 'XX'"),
        ("09:00-10:00 except holidays AU-XXX", "no holidays are known of 'AU-XXX'"),
        ("09:00-10:00 except holidays AU-", "no holidays are known of 'AU-'"),
        ("09:00-10:00 except holidays MON", "no holidays are known of 'MON'"),  # a constant of the library's
        ("09:00-10:00 except holidays NYSE", "no holidays are known of 'NYSE'"),
    ],
)
def test_what_is_no_window_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_window(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("days", "opens", "closes"),
    [(set[int](), 540, 600), ({7}, 540, 600), ({0}, 540, 540), ({0}, 1440, 600), ({0}, 540, 0)],
)
def test_a_window_that_could_not_be_written_is_not_made(days: set[int], opens: int, closes: int) -> None:
    with pytest.raises(ValueError, match="a window opens"):
        SendWindow(days=frozenset(days), opens=opens, closes=closes, zone=None, holidays=None)


def test_without_any_zone_nothing_can_be_said() -> None:
    with pytest.raises(ValueError, match="the recipient's own zone"):
        parse_window("09:00-10:00").is_open(datetime(2026, 7, 1, tzinfo=UTC))
