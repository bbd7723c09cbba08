"""The short way to "this is a mobile": the numbering plans of phonenumbers, compiled once for each country.

Whatever is not certain here is for the library itself to say, which takes twenty times as long. A million recipients
are mostly certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata, PhoneNumberDesc

_CODES = {str(code): regions for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the library checks of a number of one region, in its order."""

    leading: re.Pattern[str] | None
    """If there is one, it alone decides which of the regions behind a calling code a number belongs to."""
    general: re.Pattern[str]
    special: re.Pattern[str]
    """Premium, toll-free and other numbers, which win over mobile where patterns overlap."""
    mobile: re.Pattern[str]
    lengths: frozenset[int]
    fixed: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Country:
    """The plans of all regions behind one calling code, and what the library might take for a prefix and strip."""

    plans: tuple[_Plan, ...]
    prefix: re.Pattern[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialling:
    """How a number is dialled inside a region, and what must be left of it without the prefix."""

    code: str
    international: re.Pattern[str] | None
    prefix: re.Pattern[str] | None
    general: re.Pattern[str]
    lengths: frozenset[int]
    zero: bool
    """Whether a number begins with a 0 inside the region, and without it elsewhere."""


def calling_code(region: str) -> str | None:
    """Return the country code of a region; None for an unknown region.

    >>> calling_code("AU"), calling_code("XX")
    ('61', None)
    """
    dialling = _dialling(region)
    return None if dialling is None else dialling.code


def is_calling_code(digits: str) -> bool:
    """Say whether digits are the country code of some country.

    >>> is_calling_code("44"), is_calling_code("4")
    (True, False)
    """
    return digits in _CODES


def dials_zero(region: str) -> bool:
    """Say whether national numbers of a region begin with a 0 that their international form lacks.

    >>> dials_zero("AU"), dials_zero("US")
    (True, False)
    """
    dialling = _dialling(region)
    return dialling is not None and dialling.zero


def is_certain_mobile(text: str) -> bool:
    """Say whether a text is for certain a valid mobile in E.164, in its canonical form.

    False means no more than "ask the library".

    >>> is_certain_mobile("+61491570006"), is_certain_mobile("+61280000000")
    (True, False)
    """
    if not text.startswith("+"):
        return False
    for end in (2, 3, 4):  # no calling code begins another
        if text[1:end] in _CODES:
            country = _country(text[1:end])
            return country is not None and _is_mobile(text[end:], country)
    return False


def certain_mobile(digits: str, region: str) -> str | None:
    """Return the E.164 form of what is for certain a mobile in its country's own form; None: ask the library.

    :param digits: the number's ASCII digits, without the characters between them.

    >>> certain_mobile("0491570006", "AU")
    '+61491570006'
    """
    dialling = _dialling(region)
    if dialling is None or digits.startswith(("00", dialling.code)):  # these have a second reading
        return None
    if dialling.international and dialling.international.match(digits):
        return None
    stripped = dialling.prefix and dialling.prefix.match(digits)
    if stripped:
        if stripped.lastindex is not None:  # a carrier's code, or digits to be moved
            return None
        digits = digits[stripped.end() :]
        if len(digits) not in dialling.lengths or not dialling.general.match(digits):  # it might have stayed
            return None
    number = f"+{dialling.code}{digits}"
    return number if is_certain_mobile(number) else None


def _is_mobile(national: str, country: _Country) -> bool:
    stripped = country.prefix and country.prefix.match(national)
    if stripped and (stripped.end() or stripped.lastindex is not None):
        return False
    for plan in country.plans:
        if plan.leading is not None and not plan.leading.match(national):
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


@lru_cache(maxsize=512)
def _country(code: str) -> _Country | None:
    plans = []
    for region in _CODES[code]:
        metadata = PhoneMetadata.metadata_for_region(region, None)
        if metadata is None:  # a network without a country
            return None
        plans.append(_plan(metadata))
    main = PhoneMetadata.metadata_for_region(_CODES[code][0], None)
    return _Country(plans=tuple(plans), prefix=_begins(main.national_prefix_for_parsing if main else None))


def _plan(metadata: PhoneMetadata) -> _Plan:
    mobile = metadata.fixed_line if metadata.same_mobile_and_fixed_line_pattern else metadata.mobile
    special = (
        *(metadata.premium_rate, metadata.toll_free, metadata.shared_cost, metadata.voip),
        *(metadata.personal_number, metadata.pager, metadata.uan, metadata.voicemail),
    )
    return _Plan(
        leading=_begins(metadata.leading_digits),
        general=_whole([metadata.general_desc]),
        special=_whole(special),
        mobile=_whole([mobile]),
        lengths=_lengths(metadata.general_desc) & (_lengths(mobile) or _lengths(metadata.general_desc)),
        fixed=_whole([metadata.fixed_line]),
    )


@lru_cache(maxsize=512)
def _dialling(region: str) -> _Dialling | None:
    metadata = PhoneMetadata.metadata_for_region(region, None) if region in SUPPORTED_REGIONS else None
    if metadata is None or metadata.general_desc is None:
        return None
    return _Dialling(
        code=str(metadata.country_code),
        international=_begins(metadata.international_prefix),
        prefix=_begins(metadata.national_prefix_for_parsing),
        general=_whole([metadata.general_desc]),
        lengths=_lengths(metadata.general_desc).difference(metadata.general_desc.possible_length_local_only),
        zero=metadata.national_prefix == "0",
    )


def _begins(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern, re.ASCII) if pattern else None


def _lengths(description: PhoneNumberDesc | None) -> frozenset[int]:
    return frozenset(description.possible_length if description is not None else ())


def _whole(descriptions: Iterable[PhoneNumberDesc | None]) -> re.Pattern[str]:
    """Compile what matches a whole number of one of several kinds; nothing, if there are none."""
    patterns = [each.national_number_pattern for each in descriptions if each is not None]
    known = [f"(?:{pattern})" for pattern in patterns if pattern]
    return re.compile(f"(?:{'|'.join(known)})\\Z" if known else r"(?!)", re.ASCII)
