"""The short way to "this is a mobile": the numbering plans of phonenumbers, compiled once for each country.

Whatever is not certain here is for the library itself to say, which takes twenty times as long. A million recipients
are mostly certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc

_WRITTEN = re.compile(r"[\d ()./-]+\Z", re.ASCII)
_APART = str.maketrans("", "", " ()./-")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the library checks of a number of one region, in its order."""

    leading: re.Pattern[str] | None
    """If there is one, it alone decides whether a number belongs to the region."""
    general: re.Pattern[str]
    lengths: frozenset[int]
    special: re.Pattern[str]
    """Premium, toll-free and other numbers, which win over mobile where patterns overlap."""
    fixed: re.Pattern[str]
    mobile: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Country:
    """The plans of all regions behind one calling code, and what the library might take for a prefix and strip."""

    plans: tuple[_Plan, ...]
    prefix: re.Pattern[str] | None


def is_certain_mobile(text: str) -> bool:
    """Say whether a text is for certain a valid mobile in E.164, in its canonical form.

    False means no more than "ask the library".

    >>> is_certain_mobile("+61491570006"), is_certain_mobile("+61280000000")
    (True, False)
    """
    for end in (2, 3, 4):
        country = _country(text[1:end])
        if country is not None:
            return _is_mobile(text[end:], country)
    return False


def certain_mobile(text: str, region: str) -> str | None:
    """Return the E.164 form of what is for certain a mobile in its country's own form; None: ask the library.

    >>> certain_mobile("0491 570 006", "AU")
    '+61491570006'
    """
    rules = _dialling(region)
    if rules is None or not _WRITTEN.match(text):
        return None
    code, international, prefix = rules
    digits = text.translate(_APART)
    if digits.startswith(code) or (international is not None and international.match(digits)):
        return None
    stripped = None if prefix is None else prefix.match(digits)
    if stripped is not None:
        if stripped.lastindex is not None:  # a carrier's code, or digits to be moved
            return None
        digits = digits[stripped.end() :]
    number = f"+{code}{digits}"
    return number if is_certain_mobile(number) else None


def _is_mobile(national: str, country: _Country) -> bool:
    if national[:1] == "0" or (country.prefix is not None and country.prefix.match(national)):
        return False
    for plan in country.plans:
        if plan.leading is not None and len(country.plans) > 1 and not plan.leading.match(national):
            continue
        if plan.general.match(national):
            if plan.special.match(national):
                return False
            if plan.mobile.match(national):
                return len(national) in plan.lengths
            if plan.fixed.match(national):
                return False
        if plan.leading is not None:
            return False
    return False


@lru_cache(maxsize=2048)
def _country(code: str) -> _Country | None:
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code)) if code.isascii() and code.isdigit() else None
    if regions is None or regions[0] == "001":  # a network without a country
        return None
    found = [PhoneMetadata.metadata_for_region(region, None) for region in regions]
    if any(metadata is None for metadata in found):
        return None
    main = found[0]
    return _Country(
        plans=tuple(_plan(metadata) for metadata in found if metadata is not None),
        prefix=_begins(None if main is None else main.national_prefix_for_parsing),
    )


def _plan(metadata: PhoneMetadata) -> _Plan:
    mobile = metadata.fixed_line if metadata.same_mobile_and_fixed_line_pattern else metadata.mobile
    special = (
        *(metadata.premium_rate, metadata.toll_free, metadata.shared_cost, metadata.voip),
        *(metadata.personal_number, metadata.pager, metadata.uan, metadata.voicemail),
    )
    lengths = frozenset(mobile.possible_length if mobile is not None else ())
    return _Plan(
        leading=_begins(metadata.leading_digits),
        general=_whole([metadata.general_desc]),
        lengths=lengths or frozenset(metadata.general_desc.possible_length if metadata.general_desc else ()),
        special=_whole(special),
        fixed=_whole([metadata.fixed_line]),
        mobile=_whole([mobile]),
    )


@lru_cache(maxsize=512)
def _dialling(region: str) -> tuple[str, re.Pattern[str] | None, re.Pattern[str] | None] | None:
    metadata = PhoneMetadata.metadata_for_region(region.upper(), None)
    if metadata is None or metadata.country_code is None:
        return None
    return (
        str(metadata.country_code),
        _begins(metadata.international_prefix),
        _begins(metadata.national_prefix_for_parsing),
    )


def _begins(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern, re.ASCII) if pattern else None


def _whole(descriptions: Iterable[PhoneNumberDesc | None]) -> re.Pattern[str]:
    """Compile what matches a whole number of one of several kinds; nothing, if there are none."""
    patterns = [each.national_number_pattern for each in descriptions if each is not None]
    known = [f"(?:{pattern})" for pattern in patterns if pattern]
    return re.compile(f"(?:{'|'.join(known)})\\Z" if known else r"(?!)", re.ASCII)
