"""Zones of numbers: the library's answer, many times as fast, except where it knows less or remote islands count."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType
from phonenumbers.timezone import time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from dispatcher.domain.zones import _PEOPLE, by_clock, narrower, share_of, zones_of

MAYBE_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
KNOWN = available_timezones()


def as_the_library_says(number: str) -> tuple[str, ...]:
    """Ask the slow way."""
    return tuple(sorted(set(time_zones_for_number(phonenumbers.parse(number))) & KNOWN))


def mobiles() -> Iterator[str]:
    """Yield valid mobiles of every region: the library's example, and others with some of its digits changed."""
    dice = random.Random(20261124)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if example is None:
            continue
        number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        yield number
        for changed in [*range(1, min(8, len(number) - 4))] * 8:  # never those of the country
            other = number[:-changed] + "".join(dice.choice("0123456789") for _ in range(changed))
            parsed = phonenumbers.parse(other)
            if phonenumbers.number_type(parsed) in MAYBE_MOBILE:
                yield phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


MOBILES = tuple(mobiles())
OURS = tuple(sorted((f"+{code}" for code in _PEOPLE), key=len, reverse=True))
WITH_ISLANDS = ("+55",)


def clocks(zone: str) -> tuple[timedelta | None, timedelta | None]:
    """Return a zone's offsets in January and July."""
    summer, winter = (datetime(2027, month, 1, tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset() for month in (1, 7))
    return summer, winter


def test_a_mobile_is_where_the_library_says() -> None:
    others = [number for number in MOBILES if not number.startswith(("+1", *OURS, *WITH_ISLANDS))]
    assert len(others) > 5000
    wrong = {number[:6]: zones_of(number) for number in others if zones_of(number) != as_the_library_says(number)}
    assert not wrong


def test_a_north_american_mobile_is_in_its_area() -> None:
    narrower = 0
    for number in MOBILES:
        if number.startswith("+1"):
            ours, theirs = zones_of(number), as_the_library_says(number)
            assert ours, number[:5]
            anywhere = set(theirs) == set(TIMEZONE_DATA["1"]) & KNOWN
            assert ours == theirs or (anywhere and len(ours) < 5), number[:5]
            narrower += ours != theirs
    assert narrower, "the library has learned it: this exception can go"


def test_a_range_of_a_country_is_in_the_zones_where_its_people_live() -> None:
    checked = set()
    for number in MOBILES:
        code = next((code for code in OURS if number.startswith(code)), None)
        if code is not None:
            people = _PEOPLE[code[1:]]
            assert zones_of(number) == tuple(sorted(zone for zone, share in people.items() if share >= 10)), number[:6]
            assert set(people) <= KNOWN
            checked.add(code)
    assert checked == set(OURS)


@pytest.mark.parametrize("code", sorted(_PEOPLE))
def test_the_people_of_a_range_add_up(code: str) -> None:
    assert sum(_PEOPLE[code].values()) == 1000


def test_every_clock_that_the_library_knows_of_a_range_is_one_of_ours() -> None:
    """A zone that tzdata or phonenumbers adds to a country has to be given its share here."""
    for number in MOBILES:
        code = next((code for code in OURS if number.startswith(code)), None)
        if code is None or code.startswith(("+7", "+262")):  # there the library does not tell two countries apart
            continue
        ours = {clocks(zone) for zone in _PEOPLE[code[1:]]}
        assert {clocks(zone) for zone in as_the_library_says(number)} <= ours, number[:6]


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+12125550123", ("America/New_York",)),
        ("+18765551234", ("America/Jamaica",)),
        ("+447700900123", ("Europe/Guernsey", "Europe/Isle_of_Man", "Europe/Jersey", "Europe/London")),  # for fiction
        ("+6421123456", ("Pacific/Auckland",)),  # without Chatham
        ("+34600000000", ("Atlantic/Canary", "Europe/Madrid")),
        ("+351912345678", ("Atlantic/Azores", "Europe/Lisbon")),
        ("+593991234567", ("America/Guayaquil",)),  # without the Gal\u00e1pagos
        ("+56912345678", ("America/Santiago",)),  # without Easter Island
        ("+33612345678", ("Europe/Paris",)),
        ("+262692123456", ("Indian/Reunion",)),
        ("+262639123456", ("Indian/Mayotte",)),
        ("+77011234567", ("Asia/Almaty",)),
        ("+5511912345678", ("America/Sao_Paulo",)),
        ("+5581912345678", ("America/Recife",)),  # not Fernando de Noronha, which has the same area code
        ("+19072345678", ("America/Anchorage",)),  # not Adak
        ("+525512345678", ("America/Mexico_City",)),
        ("+6281123456789", ("Asia/Jakarta", "Asia/Jayapura", "Asia/Makassar")),
        ("+4740612345", ("Arctic/Longyearbyen", "Europe/Oslo")),  # one clock
        ("+999123456", ()),
    ],
)
def test_zones_are_sorted_and_told_once(number: str, zones: tuple[str, ...]) -> None:
    assert zones_of(number) == zones


def test_an_australian_mobile_may_be_anywhere_on_the_mainland() -> None:
    zones = zones_of("+61491570006")
    assert zones == ("Australia/Adelaide", "Australia/Brisbane", "Australia/Perth", "Australia/Sydney")


def test_a_russian_mobile_may_be_anywhere_from_moscow_to_vladivostok() -> None:
    zones = by_clock(zones_of("+79161234567"), datetime(2026, 11, 24, tzinfo=UTC))
    assert (zones[0], zones[-1], len(zones)) == ("Europe/Moscow", "Asia/Vladivostok", 8)


@pytest.mark.parametrize(
    ("number", "choices"),
    [
        ("+34600000000", [("Europe/Madrid",)]),
        ("+61491570006", [("Australia/Adelaide", "Australia/Brisbane", "Australia/Sydney")]),
        ("+12125550123", []),
        ("+243991234567", []),
    ],
)
def test_a_narrower_choice_still_covers_seven_in_eight(number: str, choices: list[tuple[str, ...]]) -> None:
    assert [choice for choice in narrower(zones_of(number)) if len(choice) != 3 or "Australia/Perth" not in choice] == (
        choices
    )
    shares = [share_of(zones_of(number), choice) for choice in narrower(zones_of(number))]
    assert shares == sorted(shares, reverse=True)
    assert all(share >= 0.875 for share in shares)
