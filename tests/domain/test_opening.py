"""The first opening of a window: in all zones of a number, or in those of most people, or never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.domain.opening import Opening, first_opening
from dispatcher.domain.window import parse_window
from dispatcher.domain.zones import zones_of

SUMMER, WINTER = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)  # in Australia
MONTH = timedelta(days=30)


def opening(window: str, number: str, start: datetime = SUMMER, life: timedelta = MONTH) -> Opening | None:
    return first_opening(parse_window(window), zones_of(number), start=start, end=start + life)


@pytest.mark.parametrize(
    "number",
    [
        *("+61491570006", "+6421123456", "+34600000000", "+351912345678", "+593991234567", "+56912345678"),
        *("+5581912345678", "+5511912345678", "+12125550123", "+16135550123", "+4740612345", "+447400123456"),
        *("+33612345678", "+262692123456", "+525512345678", "+6281123456789", "+18085550123", "+19072345678"),
    ],
)
@pytest.mark.parametrize("start", [SUMMER, WINTER])
def test_a_morning_comes_for_every_number_within_two_days(number: str, start: datetime) -> None:
    found = opening("09:00-12:00", number, start)
    assert found is not None
    assert found.opens_at - start < timedelta(days=2)
    assert all(parse_window("09:00-12:00").is_open(found.opens_at, (zone,)) for zone in found.zones)
    assert set(found.zones) | set(found.left_out) == set(zones_of(number))


def test_a_window_that_is_open_everywhere_leaves_no_zone_out() -> None:
    found = opening("09:00-20:00", "+61491570006")
    assert found is not None
    assert (found.left_out, found.opens_at) == ((), SUMMER + timedelta(hours=1))  # nine in Perth
    winter = opening("09:00-12:00", "+61491570006", WINTER)
    assert winter is not None
    assert winter.left_out == ()


def test_a_window_that_is_too_short_for_all_goes_by_most_people() -> None:
    """In the Australian summer Perth is three hours behind Sydney."""
    found = opening("09:00-12:00", "+61491570006")
    assert found is not None
    assert found.left_out == ("Australia/Perth",)
    canary = opening("09:00-10:00", "+34600000000")
    assert canary is not None
    assert canary.left_out == ("Atlantic/Canary",)


@pytest.mark.parametrize(
    ("window", "number"),
    [
        ("09:00-10:00", "+61491570006"),  # Sydney and Brisbane, a third of the people apart
        ("09:00-12:00", "+79161234567"),
        ("09:00-10:00", "+243991234567"),
    ],
)
def test_a_window_that_suits_too_few_never_opens(window: str, number: str) -> None:
    assert opening(window, number) is None


def test_a_window_that_opens_after_the_messages_expire_never_opens() -> None:
    monday = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert opening("Sat 09:00-12:00", "+12125550123", monday, timedelta(days=3)) is None
    assert opening("Sat 09:00-12:00", "+12125550123", monday, timedelta(days=6)) is not None
    assert first_opening(parse_window("Sat 09:00-12:00 UTC"), (), start=monday, end=monday + timedelta(days=3)) is None


def test_an_opening_that_has_begun_begins_with_the_campaign() -> None:
    found = opening("09:00-20:00", "+33612345678", SUMMER + timedelta(hours=12))
    assert found is not None
    assert found.opens_at == SUMMER + timedelta(hours=12)
