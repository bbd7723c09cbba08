"""In which time zones a number may be: what a send window in the recipient's own zone goes by."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import available_timezones

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.phonenumberutil import PhoneNumberType, is_number_type_geographical
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

_NANP = 1
"""Its numbers all begin with an area code, mobiles too."""


def zones_of(number: str) -> tuple[str, ...]:
    """Return the IANA names of all zones that a mobile in E.164 may be in; none if nobody knows.

    Where mobiles belong to no area, these are all zones of the country.

    >>> zones_of("+12125550123"), zones_of("+447400123456")
    (('America/New_York',), ('Europe/Guernsey', 'Europe/Isle_of_Man', 'Europe/Jersey', 'Europe/London'))
    """
    country = next((number[1:end] for end in (2, 3, 4) if int(number[1:end]) in COUNTRY_CODE_TO_REGION_CODE), "")
    if not country:
        return ()
    return _zones(number[1 : 1 + TIMEZONE_LONGEST_PREFIX] if _has_areas(country) else country)


@lru_cache(maxsize=512)
def _has_areas(country: str) -> bool:
    return int(country) == _NANP or is_number_type_geographical(PhoneNumberType.MOBILE, int(country))


@lru_cache(maxsize=100_000)
def _zones(digits: str) -> tuple[str, ...]:
    for end in range(len(digits), 0, -1):
        if digits[:end] in TIMEZONE_DATA:
            return tuple(sorted(set(TIMEZONE_DATA[digits[:end]]) & _known()))
    return ()


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
