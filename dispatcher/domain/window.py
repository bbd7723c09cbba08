"""Send windows: the hours of the day, the days and the place in which a campaign may send."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY_DAY = frozenset(range(7))
_FORM = re.compile(
    r"(?:(?P<days>[a-z][a-z,\- ]*?)\s+)?"
    r"(?P<opens>\d{1,2}:\d{2})\s*-\s*(?P<closes>\d{1,2}:\d{2})"
    r"(?:\s+(?P<zone>(?!except\b)\S+))?"
    r"(?:\s+except\s+holidays\s+(?P<holidays>[a-z0-9\-]+))?\Z",
    re.IGNORECASE,
)
_EXAMPLE = "write it as 09:00-20:00 or Mon-Fri 09:00-17:00 Australia/Sydney except holidays AU"
_HORIZON = 400
"""Days that are looked at for the next opening."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWindow:
    """When sending is allowed, by the clock on the wall.

    Daylight saving follows from that: where a clock is put back, a window may open twice, and an opening that the clock
    jumps over comes when it has jumped.
    """

    days: frozenset[int]
    """0 is Monday."""
    opens: int
    """Minutes since midnight."""
    closes: int
    """Minutes since midnight, exclusive, 1440 at the most. Before ``opens``: it runs past midnight, and what follows
    midnight belongs to the day on which it opened."""
    zone: str | None
    """IANA name; None for the recipient's own."""
    holidays: str | None
    """On the holidays of this region (ISO 3166, ``AU`` or ``AU-NSW``) it does not open."""

    def is_open(self, moment: datetime, zones: Sequence[str] = ()) -> bool:
        """Say whether sending is allowed: in the window's zone, or in each of those that the recipient may be in.

        :param moment: aware.
        :param zones: the recipient's; only looked at if the window names none.
        :raises ValueError: there is no zone at all.
        """
        return all(self._is_open(moment.astimezone(zone)) for zone in self._in(zones))

    def interval(self, moment: datetime, zones: Sequence[str] = ()) -> tuple[datetime, datetime] | None:
        """Return the present opening, or else the next one, with its end (exclusive), in UTC.

        :return: None if it does not open within 400 days.
        :raises ValueError: there is no zone at all.

        >>> window = parse_window("09:00-20:00 Europe/London")
        >>> [f"{at:%d %H:%M}" for at in window.interval(datetime(2026, 7, 1, 22, tzinfo=UTC))]
        ['02 08:00', '02 19:00']
        """
        now = moment.astimezone(UTC)
        places = self._in(zones)
        streams = [self._openings(now, zone) for zone in places]
        current = [next(stream, None) for stream in streams]
        while True:
            known = [each for each in current if each is not None]
            if len(known) < len(current):
                return None
            opens, closes = max(each[0] for each in known), min(each[1] for each in known)
            if opens < closes:
                return opens, closes
            first = min(range(len(known)), key=lambda place: known[place][1])
            current[first] = next(streams[first], None)

    def __str__(self) -> str:
        """Return the text that ``parse_window`` reads back."""
        text = f"{_clock(self.opens)}-{_clock(self.closes)}"
        if self.days != _EVERY_DAY:
            text = f"{','.join(_DAYS[day] for day in sorted(self.days))} {text}"
        if self.zone is not None:
            text = f"{text} {self.zone}"
        return text if self.holidays is None else f"{text} except holidays {self.holidays}"

    def _in(self, zones: Sequence[str]) -> list[ZoneInfo]:
        names = (self.zone,) if self.zone is not None else tuple(zones)
        if not names:
            raise ValueError("the window is in the recipient's own zone, and none is known")
        return [ZoneInfo(name) for name in names]

    def _is_open(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        today = local.date()
        if self.opens < self.closes:
            return self.opens <= minute < self.closes and self._opens_on(today)
        return (minute >= self.opens and self._opens_on(today)) or (
            minute < self.closes and self._opens_on(today - _DAY)
        )

    def _opens_on(self, day: date) -> bool:
        return day.weekday() in self.days and not (self.holidays and day in _calendar(self.holidays))

    def _openings(self, now: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
        """Yield the openings in one zone that end after a moment."""
        start = now.astimezone(zone).date() - 2 * _DAY  # far enough back for a window past midnight and any jump
        opened: datetime | None = None
        for change in self._changes(zone, start):
            is_open = self._is_open(change.astimezone(zone))
            if opened is not None and (not is_open or change - opened >= _DAY):  # one that never closes goes by days
                if change > now:
                    yield opened, change
                opened = None
            if is_open and opened is None:
                opened = change

    def _changes(self, zone: ZoneInfo, start: date) -> Iterator[datetime]:
        """Yield, in order, every moment at which the window may open or close: its hours, midnights, clock changes."""
        marks = sorted({0, self.opens, self.closes % 1440})
        pending: set[datetime] = set()
        told = datetime.min.replace(tzinfo=UTC)
        for offset in range(_HORIZON + 4):
            day = start + offset * _DAY
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the clock on a wall, its zone follows
            pending.update(
                (midnight + timedelta(minutes=mark)).replace(tzinfo=zone, fold=fold).astimezone(UTC)
                for mark in marks
                for fold in (0, 1)
            )
            noon_before = midnight.replace(tzinfo=UTC) - _DAY / 2
            pending.update(_clock_changes(zone, noon_before - _DAY / 2, noon_before + _DAY))
            settled = noon_before + timedelta(hours=20)  # the days to come begin later than this, wherever they are
            for moment in sorted(moment for moment in pending if moment < settled):
                pending.discard(moment)
                if moment > told:
                    told = moment
                    yield moment


def parse_window(text: str) -> SendWindow:
    """Read a window: ``[days] HH:MM-HH:MM [zone] [except holidays REGION]``.

    :raises ValueError: with a sentence that shows the form.

    >>> str(parse_window("mon-fri 9:00-17:30 recipient"))
    'Mon,Tue,Wed,Thu,Fri 09:00-17:30'
    """
    found = _FORM.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a window; {_EXAMPLE}")
    opens, closes = _minutes(found["opens"]), _minutes(found["closes"])
    if opens == closes or (opens, closes) == (1440, 0):
        raise ValueError(f"{text!r} never opens, since it closes when it opens; {_EXAMPLE}")
    if opens == 1440:
        raise ValueError(f"{text!r} opens at the end of a day; write 00:00 for the beginning of the next")
    return SendWindow(
        days=_days(found["days"]),
        opens=opens,
        closes=closes if closes or opens == 0 else 1440,
        zone=_zone(found["zone"]),
        holidays=_region(found["holidays"]),
    )


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _minutes(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise ValueError(f"{text!r} is not a time of day; write it as 09:00, 24:00 at the latest")
    return hour * 60 + minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return _EVERY_DAY
    days: set[int] = set()
    for part in re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", text.strip())):
        if part:
            ends = [_day(name) for name in part.split("-")]
            if len(ends) > 2:
                raise ValueError(f"{part!r} is not a span of days; write it as Mon-Fri")
            span = (ends[-1] - ends[0]) % 7
            days |= {(ends[0] + step) % 7 for step in range(span + 1)}
    return frozenset(days)


def _day(name: str) -> int:
    given = name.lower()
    for number, full in enumerate(_FULL):
        if given in (full, full[:3]):
            return number
    raise ValueError(f"{name!r} is not a day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")


def _zone(name: str | None) -> str | None:
    if name is None or name.lower() == "recipient":
        return None
    known = {each.lower(): each for each in _zone_names()}
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = (
            f"did you mean {known[near[0]]}?" if near else "write it as Australia/Sydney, or recipient for each one's"
        )
        raise ValueError(f"{name!r} is not a time zone; {hint}")
    return known[name.lower()]


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _region(code: str | None) -> str | None:
    if code is None:
        return None
    region = code.upper()
    try:
        _calendar(region)
    except NotImplementedError:
        raise ValueError(
            f"no holidays are known of {code!r}; give a country or its part, such as AU or AU-NSW"
        ) from None
    return region


@lru_cache(maxsize=64)
def _calendar(region: str) -> Any:
    """Return the public holidays of a region, which fill themselves in year by year."""
    import holidays  # slow to import, and few windows need it

    country, _, part = region.partition("-")
    return holidays.country_holidays(country, subdiv=part or None)


@lru_cache(maxsize=4096)
def _clock_changes(zone: ZoneInfo, begins: datetime, ends: datetime) -> tuple[datetime, ...]:
    """Return the moments in a span of a few days at which a zone's clock is changed, to the second."""
    found = []
    while begins < ends:
        step = min(begins + timedelta(hours=6), ends)
        if begins.astimezone(zone).utcoffset() != step.astimezone(zone).utcoffset():
            low, high = begins, step
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
                same = middle.astimezone(zone).utcoffset() == begins.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        begins = step
    return tuple(found)
