"""Numbers: the short way never says anything that the library would not."""

from __future__ import annotations

import random

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.mobiles import certain_mobile, is_certain_mobile
from dispatcher.domain.recipient import mask, parse_recipient

_MOBILES = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
_TYPES = [value for name, value in vars(PhoneNumberType).items() if name.isupper() and value != 99]
COMMON = "AU NZ GB US CA DE FR IT IN BR ZA IE NL SE ES PL CH AT JP SG".split()


def by_the_library(text: str, region: str | None = None) -> str | None:
    """Return the E.164 form of a mobile, the long way; None if it is none."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed) or phonenumbers.number_type(parsed) not in _MOBILES:
        return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def examples() -> list[tuple[str, str]]:
    """Return region and number of every kind in every country."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in _TYPES:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.append((region, phonenumbers.format_number(number, PhoneNumberFormat.E164)))
    return found


def mutations(number: str, dice: random.Random, count: int) -> list[str]:
    """Return numbers like one: some digits changed, some added or left out."""
    found = []
    for _ in range(count):
        digits = list(number)
        for _ in range(dice.randint(1, 5)):
            place = dice.randrange(2, len(digits))
            match dice.randrange(8):
                case 0 if len(digits) < 16:
                    digits.insert(place, dice.choice("0123456789"))
                case 1 if len(digits) > 8:
                    del digits[place]
                case _:
                    digits[place] = dice.choice("0123456789")
        found.append("".join(digits))
    return found


def test_what_is_certain_is_what_the_library_says() -> None:
    dice = random.Random(7)
    certain = 0
    for _, example in examples():
        for number in [example, *mutations(example, dice, 30)]:
            if is_certain_mobile(number):
                certain += 1
                assert by_the_library(number) == number
    assert certain > 3000


def test_what_is_certain_in_national_form_is_what_the_library_says() -> None:
    dice = random.Random(7)
    certain = 0
    for region, example in examples():
        parsed = phonenumbers.parse(example)
        national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
        plain = phonenumbers.national_significant_number(parsed)
        candidates = [national, plain, f"0{plain}", f"1{plain}", f"00{plain}", f"{parsed.country_code}{plain}"]
        candidates += [each[1:] for each in mutations(example, dice, 5)]
        for text in candidates:
            number = certain_mobile(text, region)
            if number is not None:
                certain += 1
                assert by_the_library(text, region) == number, (text, region)
    assert certain > 300


@pytest.mark.parametrize("region", COMMON)
def test_common_mobiles_take_the_short_way(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    assert example is not None
    assert is_certain_mobile(phonenumbers.format_number(example, PhoneNumberFormat.E164))


def test_answers_and_complaints_are_those_of_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    texts = [each for _, example in examples() for each in [example, *mutations(example, dice, 3)]]
    texts += [
        "",
        " ",
        "+",
        "12",
        "abc",
        "+61 491 570 006",
        " +61491570006 ",
        "0491 570 006",
        "+6149157000x",
        "+١٢٣٤٥٦٧",
    ]
    short = [said(text, region) for text in texts for region in (None, "AU")]
    monkeypatch.setattr("dispatcher.domain.recipient.is_certain_mobile", lambda _: False)
    monkeypatch.setattr("dispatcher.domain.recipient.certain_mobile", lambda *_: None)
    assert short == [said(text, region) for text in texts for region in (None, "AU")]


def said(text: str, region: str | None) -> str:
    """Return the number or the complaint."""
    try:
        return str(parse_recipient(text, region=region))
    except InvalidMessage as wrong:
        return str(wrong)


def test_a_mask_tells_the_ends_of_a_number_and_nothing_of_what_is_none() -> None:
    assert mask("+61491570006") == "+61•••••••06"
    assert mask("1234") == "••••"
    assert mask("") == ""
