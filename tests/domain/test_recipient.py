"""Numbers: the short way never says anything that the library would not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberDesc, PhoneNumberFormat, PhoneNumberType

from dispatcher.domain import mobiles
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.mobiles import certain_mobile, is_certain_mobile
from dispatcher.domain.recipient import mask, parse_recipient

DIGITS = "0123456789"
MOBILES = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
TYPES = sorted(set(PhoneNumberType.values()) - {PhoneNumberType.UNKNOWN})
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
COMMON = "AU NZ GB US CA DE FR IT IN BR MX AR JP ZA IE NL SE ES PL CH AT SG".split()
ODD = [
    *("", " ", "+", "12", "abc", "+61 491 570 006", " +61491570006 ", "+61491570006\n", "+6149157000x", "+١٢٣٤٥٦٧"),
    *(
        "+447700900123",
        "+447700900abc",
        "+44770090012",
        "+4477009001234",
        "+061491570006",
        "+999123456789",
        "+80012345678",
    ),
    *("0491 570 006", "(0491) 570-006", "0491.570.006", "0491/570/006", "491570006", "61491570006", "001161491570006"),
    *("0491 570 006 ext 5", "0491 570 006 x5", "0491570006#", "tel:0491570006", "0491\t570\t006", "٠٤٩١٥٧٠٠٠٦"),
    *("0491" + " " * 200 + "570006", "0491" + " " * 300 + "570006", "0" * 251, "1800 AUSSIE"),
]
PREFIXES: list[tuple[str | None, str | None]] = [
    *([(None, None)] * 4 + [("0", None), ("1", None), ("[01]", None), ("(2)|0", None)]),
    *[("0?(?:(1)5)?", r"9\1"), ("0(?=(1))", r"2\1"), ("(?=(1))", "2"), ("8|0(1)", r"\1")],
]


@cache
def examples() -> list[tuple[str, str, str]]:
    """Return region, calling code and national number of every kind in every country."""
    found = []
    for region in REGIONS:
        for kind in TYPES:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.append((region, str(number.country_code), phonenumbers.national_significant_number(number)))
    return found


def mutations(national: str, dice: random.Random, count: int) -> Iterator[str]:
    """Yield numbers like one: some digits changed, some added or left out."""
    for _ in range(count):
        digits = list(national)
        for _ in range(dice.randint(1, 4)):
            digits[dice.randrange(len(digits))] = dice.choice(DIGITS)
        match dice.randrange(6):
            case 0:
                digits.insert(dice.randint(0, 2), dice.choice(DIGITS))
            case 1 if len(digits) > 4:
                del digits[dice.randrange(len(digits))]
            case _:
                pass
        yield "".join(digits)


def by_the_library(text: str, region: str | None = None) -> str | None:
    """Return the E.164 form of a mobile, the long way; None if it is none."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed) or phonenumbers.number_type(parsed) not in MOBILES:
        return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def said(number: str, region: str | None) -> str:
    """Return the number or the complaint."""
    try:
        return str(parse_recipient(number, region=region))
    except InvalidMessage as wrong:
        return str(wrong)


def test_what_is_certain_is_what_the_library_says() -> None:
    dice = random.Random(7)
    like = [f"+{code}{each}" for _, code, example in examples() for each in (example, *mutations(example, dice, 25))]
    codes = [code for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE for _ in range(1000)]
    some = [f"+{code}{''.join(dice.choices(DIGITS, k=dice.randint(6, 12)))}" for code in codes]
    for numbers in (like, some):
        certain = [number for number in numbers if is_certain_mobile(number)]
        assert len(certain) > 4000, "the comparison would be with too few"
        assert [by_the_library(number) for number in certain] == certain


def test_what_is_certain_in_national_form_is_what_the_library_says() -> None:
    dice = random.Random(9)
    certain = 0
    for home, code, national in examples():
        for each in (national, national, *mutations(national, dice, 40)):
            prefix = dice.choice(["", "0", "0", "1", "8", "00", "06", "01", "15", f"0{dice.randint(10, 99)}", code])
            text = prefix + each
            region = dice.choice(
                [home, home, dice.choice(REGIONS), *phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)][:3]]
            )
            number = certain_mobile(text, region)
            if number is not None:
                certain += 1
                assert by_the_library(text, region) == number, (text, region)
    assert certain > 1000, "the comparison would be with too few"


def invented_kind(dice: random.Random) -> PhoneNumberDesc:
    """Return a kind of number that overlaps with most others."""
    head = dice.choice(["1", "[12]", "[0-3]", "9?[0-4]", "2[0-4]", r"\d", "0?[1-9]"])
    lengths = tuple(sorted(dice.sample(range(3, 7), dice.randint(1, 4))))
    return PhoneNumberDesc(
        national_number_pattern=head + dice.choice([r"\d\d", r"\d{2,3}", r"\d{3}", r"\d{2,5}", r"\d{4}"]),
        possible_length=dice.choice([lengths, None]),
    )


def invented_plan(region: str, code: int, dice: random.Random) -> PhoneMetadata:
    """Return a numbering plan that is as awkward as the library lets one be."""
    special = "premium_rate toll_free shared_cost voip personal_number pager uan voicemail".split()
    kinds: dict[str, Any] = {kind: invented_kind(dice) for kind in special if dice.random() < 0.1}
    kinds |= {kind: invented_kind(dice) for kind in ("fixed_line", "mobile") if dice.random() < 0.8}
    if "fixed_line" in kinds and dice.random() < 0.3:
        pattern = kinds["fixed_line"].national_number_pattern
        kinds["mobile"] = PhoneNumberDesc(national_number_pattern=pattern, possible_length=dice.choice([(4,), None]))
    prefix, rule = dice.choice(PREFIXES)
    return PhoneMetadata(
        id=region,
        country_code=code,
        international_prefix=dice.choice(["00", "9", "[01]0", None]),
        general_desc=PhoneNumberDesc(
            national_number_pattern=dice.choice([r"\d{3,6}", r"[1-9]\d{2,5}", r"\d{4,5}", r"[02]\d{3,4}"]),
            possible_length=tuple(sorted(dice.sample(range(3, 7), dice.randint(1, 4)))),
            possible_length_local_only=dice.choice([(3,), None]),
        ),
        national_prefix_for_parsing=prefix,
        national_prefix_transform_rule=rule,
        leading_digits=dice.choice([None, "1", "[12]", "0"]),
        register=False,
        **kinds,
    )


@pytest.fixture
def forget_plans() -> Iterator[Callable[[], None]]:
    """Let plans be compiled anew, and those of the test be forgotten after it."""

    def forget() -> None:
        mobiles._country.cache_clear()
        mobiles._dialling.cache_clear()

    yield forget
    forget()


def test_what_is_certain_would_be_so_with_any_numbering_plans(
    monkeypatch: pytest.MonkeyPatch, forget_plans: Callable[[], None]
) -> None:
    dice = random.Random(11)
    certain = 0
    for code, regions in [(64, ("NZ",)), (61, ("AU", "CC", "CX"))] * 150:
        plans = {region: invented_plan(region, code, dice) for region in regions}
        monkeypatch.setattr(PhoneMetadata, "metadata_for_region", lambda region, _, plans=plans: plans.get(region))
        forget_plans()
        for _ in range(200):
            digits = "".join(dice.choices(DIGITS[:3] + DIGITS, k=dice.randint(3, 7)))
            region = dice.choice(regions)
            text = dice.choice([digits, f"0{digits}", f"{code}{digits}"])
            whole = f"+{code}{digits}"
            answers = {text: certain_mobile(text, region), whole: whole if is_certain_mobile(whole) else None}
            for each, number in answers.items():
                if number is not None:
                    certain += 1
                    assert by_the_library(each, region) == number, (each, region, plans)
    assert certain > 1000, "the comparison would be with too few"


@pytest.mark.parametrize("text", ["", "+", "61491570006", "x61491570006", "++61491570006", "+061491570006"])
def test_what_is_not_in_the_international_form_is_never_certain(text: str) -> None:
    assert is_certain_mobile("+61491570006")
    assert not is_certain_mobile(text)


@pytest.mark.parametrize("region", COMMON)
def test_common_mobiles_take_the_short_way(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    assert example is not None
    dice = random.Random(10)
    national = phonenumbers.national_significant_number(example)
    numbers = [f"+{example.country_code}{each}" for each in (national, *mutations(national, dice, 100))]
    found = [is_certain_mobile(number) for number in numbers if by_the_library(number) == number]
    assert sum(found) > max(5, 0.95 * len(found))


@pytest.mark.parametrize(
    ("text", "region"),
    [("0491570006", "AU"), ("07911123456", "GB"), ("2025550123", "US"), ("08123456789", "IN")],
)
def test_common_mobiles_in_national_form_take_the_short_way(text: str, region: str) -> None:
    assert certain_mobile(text, region) is not None


def test_answers_and_complaints_are_those_of_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    texts = [(text, region) for text in ODD for region in (None, "AU", "au", "US", "GB", "XX", "")]
    for home, code, national in examples():
        for each in (national, *mutations(national, dice, 1)):
            texts += [(f"+{code}{each}", region) for region in (None, home)]
            texts += [
                (f"0{each}", home),
                (each, home),
                (each, "AU"),
                (f"{code}{each}", home),
                (f"00{code}{each}", home),
            ]
    short = [said(text, region) for text, region in texts]
    monkeypatch.setattr("dispatcher.domain.recipient.is_certain_mobile", lambda _: False)
    monkeypatch.setattr("dispatcher.domain.recipient.certain_mobile", lambda *_: None)
    for (text, region), answer in zip(texts, short, strict=True):
        assert answer == said(text, region), (text, region)


def test_a_number_is_what_the_library_says_of_its_digits() -> None:
    """The library reads digits; it never sees the text, from which it would take letters as digits."""
    for home, code, national in examples():
        assert said(f"+{code}{national}", None) in (
            by_the_library(f"+{code}{national}"),
            said(f"+{code}{national}", home),
        )
        read = said(national, home)
        if read.startswith("+"):
            assert read == by_the_library(national, home)


def test_a_mask_tells_the_ends_of_a_number_and_nothing_of_what_is_none() -> None:
    assert mask("+61491570006") == "+61•••••••06"
    assert mask("1234") == "••••"
    assert mask("") == ""
