"""In which time zones a number may be: what a send window in the recipient's own zone goes by."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import available_timezones

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.phonenumberutil import PhoneNumberType, is_number_type_geographical
from phonenumbers.tzdata import TIMEZONE_DATA

_NANP = 1
"""Its numbers all begin with an area code, mobiles too."""


def zones_of(number: str) -> tuple[str, ...]:
    """Return the IANA names of all zones that a mobile in E.164 may be in; none if nobody knows.

    Where mobiles belong to no area, these are all zones of the country, as libphonenumber has it. Not so for +1: there
    the library gives a Jamaican mobile all zones from Guam to Bermuda, and no hour of the day suits them all. Whether
    the number is a valid mobile is not looked at; `parse_recipient` has done that.

    >>> zones_of("+12125550123"), zones_of("+447400123456")
    (('America/New_York',), ('Europe/Guernsey', 'Europe/Isle_of_Man', 'Europe/Jersey', 'Europe/London'))
    """
    return _zones(number[1 : 1 + _reach(number[1:5])])


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
            return tuple(sorted(set(TIMEZONE_DATA[digits[:end]]) & _known()))
    return ()


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
