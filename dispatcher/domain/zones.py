"""The time zones that a number may be in, for send windows in the recipient's own zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import combinations
from types import MappingProxyType
from zoneinfo import ZoneInfo, available_timezones

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.phonenumberutil import PhoneNumberType, is_number_type_geographical
from phonenumbers.tzdata import TIMEZONE_DATA

_NANP = 1
"""Its numbers all begin with an area code, mobiles too."""
_FEW = 10
"""Per mille of the people behind a range of numbers: a zone where fewer of them live does not count for it."""
_MOST = 875
"""Per mille of them that a narrower choice of zones still covers: seven in eight."""
_PEOPLE: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "243": {"Africa/Kinshasa": 555, "Africa/Lubumbashi": 445},
        "26263": {"Indian/Mayotte": 1000},
        "26269": {"Indian/Reunion": 1000},
        "299": {"America/Godthab": 980, "America/Thule": 14, "America/Scoresbysund": 6},
        "34": {"Europe/Madrid": 956, "Atlantic/Canary": 44},
        "351": {"Europe/Lisbon": 981, "Atlantic/Azores": 19},
        "593": {"America/Guayaquil": 998, "Pacific/Galapagos": 2},
        "61": {
            "Australia/Sydney": 606,
            "Australia/Brisbane": 206,
            "Australia/Perth": 112,
            "Australia/Adelaide": 68,
            "Australia/Darwin": 8,
            "Australia/Eucla": 0,
            "Australia/Lord_Howe": 0,
            "Indian/Christmas": 0,
            "Indian/Cocos": 0,
        },
        "62": {"Asia/Jakarta": 824, "Asia/Makassar": 145, "Asia/Jayapura": 31},
        "64": {"Pacific/Auckland": 999, "Pacific/Chatham": 1},
        "686": {"Pacific/Tarawa": 937, "Pacific/Kiritimati": 63, "Pacific/Enderbury": 0},
        "689": {"Pacific/Tahiti": 982, "Pacific/Marquesas": 13, "Pacific/Gambier": 5},
        "691": {"Pacific/Truk": 493, "Pacific/Ponape": 314, "Pacific/Kosrae": 193},
        "7": {
            "Europe/Moscow": 635,
            "Asia/Yekaterinburg": 135,
            "Asia/Krasnoyarsk": 84,
            "Europe/Samara": 59,
            "Asia/Vladivostok": 24,
            "Asia/Irkutsk": 22,
            "Asia/Yakutsk": 16,
            "Asia/Omsk": 11,
            "Europe/Kaliningrad": 6,
            "Asia/Sakhalin": 5,
            "Asia/Kamchatka": 3,
        },
        "77": {"Asia/Almaty": 1000},
        "976": {"Asia/Ulaanbaatar": 919, "Asia/Hovd": 81},
    }
)
"""How many of a thousand people live in each zone, for ranges of mobiles that do not say where in it a number is.

Sums of the population of places, by zone, from GeoNames (cities500, 2026), rounded; zones with one clock are one. All
other ranges have a single clock, or an area code that has its zone in libphonenumber's data.
"""
_INSTEAD = MappingProxyType({"America/Adak": "America/Anchorage", "America/Noronha": "America/Recife"})
"""Islands with some hundred inhabitants that share an area code with a state: the zone of the others."""


def zones_of(number: str) -> tuple[str, ...]:
    """Return the IANA names of all zones that a mobile in E.164 may be in; none if no zone is known.

    Where mobiles belong to no area, these are the zones of the country, without those in which fewer than one in a
    hundred of its people live: remote islands would else close every short window for the whole country. Numbers of +1
    have the zones of their area code; libphonenumber gives a Jamaican mobile all zones from Guam to Bermuda. The
    function does not check whether the number is a valid mobile; `parse_recipient` does.

    >>> zones_of("+12125550123"), zones_of("+6421123456")
    (('America/New_York',), ('Pacific/Auckland',))
    """
    digits = number[1:]
    people = _people(digits[:5])
    if people is not None:
        return people
    return _zones(digits[: _reach(digits[:4])])


def narrower(zones: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield choices of a range's zones in which seven in eight of its people live, those with the most people first.

    >>> list(narrower(zones_of("+34600000000")))
    [('Europe/Madrid',)]
    """
    shares = _shares().get(zones, {})
    fewer = [each for size in range(1, len(zones)) for each in combinations(zones, size)]
    people = {each: sum(shares.get(zone, 0) for zone in each) for each in fewer}
    yield from sorted((each for each in fewer if people[each] >= _MOST), key=lambda each: -people[each])


def share_of(zones: tuple[str, ...], some: tuple[str, ...]) -> float:
    """Return which share of the people of a range's zones live in some of them; 0 where that is unknown."""
    shares = _shares().get(zones, {})
    return sum(shares.get(zone, 0) for zone in some) / 1000


def by_clock(zones: Iterable[str], moment: datetime) -> list[str]:
    """Return zones in the order of their clocks at a moment, the western first."""
    return sorted(zones, key=lambda zone: (moment.astimezone(ZoneInfo(zone)).utcoffset(), zone))


@lru_cache(maxsize=100_000)
def _people(digits: str) -> tuple[str, ...] | None:
    for end in range(len(digits), 0, -1):
        if digits[:end] in _PEOPLE:
            return _peopled(digits[:end])
    return None


def _peopled(code: str) -> tuple[str, ...]:
    return tuple(sorted(zone for zone, share in _PEOPLE[code].items() if share >= _FEW))


@lru_cache(maxsize=1)
def _shares() -> dict[tuple[str, ...], Mapping[str, int]]:
    return {_peopled(code): shares for code, shares in _PEOPLE.items()}


@lru_cache(maxsize=10_000)
def _reach(digits: str) -> int:
    """Return how many digits decide, by the first four: a country's or, where its mobiles have one, an area's."""
    for end in (1, 2, 3):
        country = digits[:end]
        if int(country) in COUNTRY_CODE_TO_REGION_CODE:
            if int(country) != _NANP and not is_number_type_geographical(PhoneNumberType.MOBILE, int(country)):
                return end
            return max((len(prefix) for prefix in TIMEZONE_DATA if prefix.startswith(digits)), default=len(digits))
    return 0


@lru_cache(maxsize=100_000)
def _zones(digits: str) -> tuple[str, ...]:
    for end in range(len(digits), 0, -1):
        if digits[:end] in TIMEZONE_DATA:
            known = (zone for zone in TIMEZONE_DATA[digits[:end]] if zone in _known())
            return tuple(sorted({_INSTEAD.get(zone, zone) for zone in known}))
    return ()


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
