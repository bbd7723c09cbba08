"""Send windows: the hours of the day, the days and the place in which a campaign may send."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY_DAY = frozenset(range(7))
_FORM = re.compile(
    r"(?:(?P<days>[a-z][a-z,\-\s]*?)\s+)?"
    r"(?P<opens>\d{1,2}:\d{2})\s*-\s*(?P<closes>\d{1,2}:\d{2})"
    r"(?:\s+(?P<zone>(?!except\b)\S+))?"
    r"(?:\s+except\s+holidays\s+(?P<holidays>[a-z0-9\-]+))?\Z",
    re.IGNORECASE,
)
_REGION = re.compile(r"[A-Z]{2}(?:-(?:[A-Z0-9]{1,3}|NATIONAL))?\Z", re.ASCII)
_PART = re.compile(r"[A-Z0-9]{1,3}\Z", re.ASCII)
_EXAMPLE = "write it as 09:00-20:00 or Mon-Fri 09:00-17:00 Australia/Sydney except holidays AU-NSW"
_NATIONAL = "NATIONAL"
"""Stands for a part of a country: only those holidays that all parts have."""
_YEARS = (2025, 2026, 2027)
"""Years that show which holidays a country has in some of its parts only."""
_LONGEST = 200  # characters; also what the ledger keeps
_HORIZON = 400  # days that are looked at for the next opening
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
    """On the holidays of this region (ISO 3166, ``JP`` or ``AU-NSW``; ``AU-NATIONAL``) it does not open."""

    def __post_init__(self) -> None:
        if not self.days or not self.days <= _EVERY_DAY:
            raise ValueError("a window opens on one day at least, 0 (Monday) to 6")
        if not 0 <= self.opens < 1440 or not 0 < self.closes <= 1440 or self.opens == self.closes:
            raise ValueError("a window opens at a minute from 0 to 1439 and closes at another, from 1 to 1440")

    def is_open(self, moment: datetime, zones: Sequence[str] = ()) -> bool:
        """Say whether sending is allowed: in the window's zone, or in each of those that the recipient may be in.

        :param moment: aware.
        :param zones: the recipient's; only looked at if the window names none.
        :raises ValueError: there is no zone at all.
        """
        return all(self._is_open(moment.astimezone(zone)) for zone in self._in(zones))

    def interval(
        self, moment: datetime, zones: Sequence[str] = (), *, before: datetime | None = None
    ) -> tuple[datetime, datetime] | None:
        """Return the present opening, or else the next one, with its end (exclusive), in UTC.

        :param before: when an opening has to begin.
        :return: None if it does not open before that, or within 400 days.
        :raises ValueError: there is no zone at all.

        >>> window = parse_window("09:00-20:00 Europe/London")
        >>> [f"{at:%d %H:%M}" for at in window.interval(datetime(2026, 7, 1, 22, tzinfo=UTC))]
        ['02 08:00', '02 19:00']
        """
        now = moment.astimezone(UTC)
        streams = [self._openings(now, zone) for zone in self._in(zones)]
        try:
            current = [next(stream) for stream in streams]
            while True:
                opens, closes = max(each[0] for each in current), min(each[1] for each in current)
                if before is not None and opens >= before:
                    return None
                if opens < closes:
                    return opens, closes
                first = min(range(len(current)), key=lambda place: current[place][1])
                current[first] = next(streams[first])
        except StopIteration:
            return None

    def __str__(self) -> str:
        """Return the text that ``parse_window`` reads back."""
        text = "{:02d}:{:02d}-{:02d}:{:02d}".format(*divmod(self.opens, 60), *divmod(self.closes, 60))
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
        minute, today = local.hour * 60 + local.minute, local.date()
        if self.opens < self.closes:
            return self.opens <= minute < self.closes and self._opens_on(today)
        late, early = minute >= self.opens, minute < self.closes
        return (late and self._opens_on(today)) or (early and self._opens_on(today - _DAY))

    def _opens_on(self, day: date) -> bool:
        return day.weekday() in self.days and not (self.holidays and day in _closed(self.holidays, day.year))

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
        pending: set[datetime] = set()
        told = datetime.min.replace(tzinfo=UTC)
        for offset in range(_HORIZON + 4):
            day = start + offset * _DAY
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the clock on a wall, its zone follows
            pending.update(
                (midnight + timedelta(minutes=mark)).replace(tzinfo=zone, fold=fold).astimezone(UTC)
                for mark in {0, self.opens, self.closes % 1440}
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
    if len(text) > _LONGEST:
        raise ValueError(f"a window is not longer than {_LONGEST} characters; {_EXAMPLE}")
    found = _FORM.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a window; {_EXAMPLE}")
    opens, closes = _minutes(found["opens"]), _minutes(found["closes"])
    if opens == closes or (opens, closes) == (1440, 0):
        raise ValueError(f"{text!r} never opens, since it closes when it opens; {_EXAMPLE}")
    if opens == 1440:
        raise ValueError(f"{text!r} opens at the end of a day; write 00:00 for the beginning of the next")
    days, zone, holidays = _days(found["days"]), _zone(found["zone"]), _region(found["holidays"])
    return SendWindow(days=days, opens=opens, closes=closes or 1440, zone=zone, holidays=holidays)


def _minutes(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise ValueError(f"{text!r} is not a time of day; write it as 09:00, 24:00 at the latest")
    return hour * 60 + minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return _EVERY_DAY
    days: set[int] = set()
    for part in filter(None, re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", text.strip()))):
        names = part.split("-")
        if len(names) > 2 or not all(names):
            raise ValueError(f"{part!r} is not a span of days; write it as Mon-Fri")
        first, last = _day(names[0]), _day(names[-1])
        days |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return frozenset(days)


def _day(name: str) -> int:
    for number, full in enumerate(_FULL):
        if name.lower() in (full, full[:3]):
            return number
    raise ValueError(f"{name!r} is not a day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")


def _zone(name: str | None) -> str | None:
    if name is None or name.lower() == "recipient":
        return None
    known = _zone_names()
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        how = f"did you mean {known[near[0]]}?" if near else "write it as Australia/Sydney, or recipient for each one's"
        raise ValueError(f"{name!r} is not a time zone; {how}")
    return known[name.lower()]


@lru_cache(maxsize=1)
def _zone_names() -> dict[str, str]:
    no_places = {"Factory", "localtime"}  # the second is another one on each machine
    return {name.lower(): name for name in available_timezones() - no_places}


def _region(code: str | None) -> str | None:
    if code is None:
        return None
    region = code.upper()
    country, _, part = region.partition("-")
    try:
        if _REGION.match(region) is None:  # the library has names that are not codes of places, too
            raise NotImplementedError
        _closed(region, _YEARS[0])
        choices = _regional(country)
    except NotImplementedError:
        raise ValueError(
            f"no holidays are known of {code!r}; give a country or a part of it: JP or AU-NSW{_parts(country)}"
        ) from None
    if choices and not part:
        raise ValueError(
            f"{code!r} alone lacks the holidays of its parts; write one of {', '.join(choices)}, "
            f"or {country}-{_NATIONAL} for the holidays that all of them have"
        )
    return region


def _parts(country: str) -> str:
    """Return the known parts of a country, as the end of a sentence."""
    import holidays

    parts = [part for part in holidays.list_supported_countries().get(country, ()) if _PART.match(part)]
    return f"; of {country} the parts {', '.join(parts)} are known" if parts else ""


@lru_cache(maxsize=256)
def _regional(country: str) -> tuple[str, ...]:
    """Return all parts of a country if some have public holidays that the country as a whole has not, else none."""
    import holidays

    parts = [part for part in holidays.list_supported_countries().get(country, ()) if _PART.match(part)]
    whole = holidays.country_holidays(country, years=_YEARS, expand=False).keys()
    for part in parts:
        if holidays.country_holidays(country, subdiv=part, years=_YEARS, expand=False).keys() - whole:
            return tuple(f"{country}-{each}" for each in parts)
    return ()


@lru_cache(maxsize=256)
def _closed(region: str, year: int) -> frozenset[date]:
    """Return a region's public holidays in a year: as a value, since the library's own grows as it is asked."""
    import holidays  # slow to import, and few windows need it

    country, _, part = region.partition("-")
    subdivision = None if part in ("", _NATIONAL) else part
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year, expand=False))


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
