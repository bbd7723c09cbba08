"""Zones of numbers: the library's own answer, many times as fast, but for two calling codes: +1 and +691."""

from __future__ import annotations

import random
from collections.abc import Iterator
from zoneinfo import available_timezones

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType
from phonenumbers.timezone import time_zones_for_number

from dispatcher.domain.zones import zones_of

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


def test_a_mobile_is_where_the_library_says() -> None:
    others = [number for number in MOBILES if not number.startswith(("+1", "+691"))]
    assert len(others) > 5000
    wrong = {number[:6]: zones_of(number) for number in others if zones_of(number) != as_the_library_says(number)}
    assert not wrong


def test_a_north_american_mobile_is_in_its_area() -> None:
    narrower = 0
    for number in MOBILES:
        if number.startswith("+1"):
            ours, theirs = zones_of(number), as_the_library_says(number)
            assert ours, number[:5]
            assert ours == theirs or set(ours) < set(theirs) == set(zones_of("+1")), number[:5]
            narrower += ours != theirs
    assert narrower, "the library has learned it: this exception can go"


def test_a_micronesian_mobile_may_be_on_any_of_its_islands() -> None:
    for number in MOBILES:
        if number.startswith("+691"):
            assert set(zones_of(number)) >= set(as_the_library_says(number))


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+12125550123", ("America/New_York",)),
        ("+18765551234", ("America/Jamaica",)),
        ("+447700900123", ("Europe/Guernsey", "Europe/Isle_of_Man", "Europe/Jersey", "Europe/London")),  # for fiction
        ("+6421123456", ("Pacific/Auckland", "Pacific/Chatham")),
        ("+999123456", ()),
    ],
)
def test_zones_are_sorted_and_told_once(number: str, zones: tuple[str, ...]) -> None:
    assert zones_of(number) == zones


def test_an_australian_mobile_may_be_anywhere_in_australia() -> None:
    zones = zones_of("+61491570006")
    assert {"Australia/Sydney", "Australia/Perth", "Australia/Adelaide"} <= set(zones)
    assert list(zones) == sorted(set(zones))
    assert set(zones) <= KNOWN
