"""Phone numbers as people, spreadsheets and programs write them: read as meant, or refused with the reason."""

from __future__ import annotations

import random

import phonenumbers
import pytest

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.recipient import FICTION, parse_recipient, read_recipient
from dispatcher.domain.written_number import Form, character

INTERNATIONAL = [
    *("+61 491 570 006", "+61-491-570-006", "+61 (491) 570 006", "(+61) 491 570 006", "+61.491.570.006"),
    *("\u202a+61491570006\u202c", "\u202d+61491570006\u202c", "+61491570006\u200b", "\ufeff+61491570006"),
    *(
        "+61\u00a0491\u00a0570\u00a0006",
        "+61\u2009491\u202f570\u3000006",
        "+61\u00ad491570006",
        "+6\u2060149\u200d1570006",
    ),
    *("+61\u2011491\u2013570\u2014006", "+61\u2212491\u2212570006", "+61 491 570 006 ", "\t+61491570006\n"),
    *("tel:+61-491-570-006", "TEL: +61491570006", "'+61491570006", "+61 (0)491 570 006", "+61 0491 570 006"),
    *("+61.491570006", "+ 61 491570006", "\ufe0f+61491570006", "+61 4 9 1 5 7 0 0 0 6"),
    *("＋６１４９１５７０００６", "+٦١ ٤٩١ ٥٧٠ ٠٠٦", "+۶۱۴۹۱۵۷۰۰۰۶", "+६१ ४९१ ५७० ००६", "+６1491570006"),
]
NATIONAL = [
    *("0491 570 006", "(0491) 570-006", "0491.570.006", "0491-570-006", "0491570006", "tel:0491570006", "'0491570006"),
    *("(04) 9157 0006", "０４９１ ５７０ ００６", "0491\u00a0570\u00a0006", "\u200e0491 570 006", "0491 570-006"),
    *("491570006", "491 570 006", "61491570006", "61 491 570 006", "0061491570006", "00 61 491 570 006"),
    *("0011 61 491 570 006", "0061 (0)491 570 006", "(0)491 570 006", "491.570.006"),
]


@pytest.mark.parametrize("text", INTERNATIONAL)
@pytest.mark.parametrize("region", [None, "AU", "DE"])
def test_international_form_needs_no_region_however_it_is_spaced(text: str, region: str | None) -> None:
    assert parse_recipient(text, region=region) == "+61491570006"


@pytest.mark.parametrize("text", NATIONAL)
def test_national_form_is_read_with_a_region_and_refused_without(text: str) -> None:
    assert parse_recipient(text, region="AU") == parse_recipient(text, region="au") == "+61491570006"
    with pytest.raises(InvalidMessage, match=r"is not E\.164"):
        parse_recipient(text)


@pytest.mark.parametrize(
    ("text", "region", "names"),
    [
        ("4.9157011E8", "AU", "exponent ('E')"),
        ("4,9157011E+08", "AU", "exponent ('E')"),
        ("4.9e+08", "AU", "exponent ('e')"),
        ("4.47701E+11", "GB", "exponent ('E')"),
        ("+4.9157011E8", "AU", "exponent"),
        ("0400 XXX XXX", "AU", "the letter 'X'; give the digits of one number: character 6"),
        ("1800 AUSSIE", "AU", "the letter 'A'"),
        ("0491 570 O06", "AU", "the letter 'O'"),
        ("0491 570 l06", "AU", "the letter 'l'"),
        ("0491 570 \u041e06", "AU", "U+041E CYRILLIC CAPITAL LETTER O"),
        ("Mobile: 0491570006", "AU", "the letter 'M'"),
        ("211234567.0", "NZ", "the number ends in '.0'"),
        ("64211234567.0", "NZ", "the number ends in '.0'"),
        ("+64211234567.0", None, "the number ends in '.0'"),
        ("0211234567.0", "NZ", "the number ends in '.0'"),
        ("491570110.00", "AU", "the number ends in '.00'"),
        ("491570110.000", "AU", "the number ends in '.000'"),
        ("491 570 110.0", "AU", "the number ends in '.0'"),
        ("0664.123.456.0", "AT", "decimal point"),
        ("491570.110", "AU", "decimal point"),
        ("2.11234567", "NZ", "decimal point"),
        ("491570110,0", "AU", "','"),
        ("491,570,110", "AU", "','"),
        ("0491570110/0491570156", "AU", "'/'; give one number, without it: character 11"),
        ("0491 570 110; 0491 570 156", "AU", "';'"),
        ("0491 570 110 | 0491 570 156", "AU", "'|'"),
        ("0491570110\n0491570156", "AU", "line break"),
        ("0491570110 0491570156", "AU", "too long"),
        ("+61491570110+61491570156", None, "'+' after"),
        ("0491+570110", "AU", "'+' after"),
        ("++61491570110", None, "'+' after"),
        ("+0491570110", "AU", "0 after the '+'"),
        ("+0061491570110", "AU", "0 after the '+'"),
        ("0491570110 x123", "AU", "extension ('x')"),
        ("0491570110 ext. 5", "AU", "extension ('ext')"),
        ("tel:+61491570110;ext=5", None, "extension ('ext')"),
        ("0491570110 #5", "AU", "extension ('#')"),
        ("0664 1234567-8", "AT", "after a dash"),
        ("0664 1234567-12", "AT", "after a dash"),
        ("0664 1234567 (8)", "AT", "ends in parentheses"),
        ("0491570110#", "AU", "'#'"),
        ("*0491570110", "AU", "'*'"),
        ("~0491570110", "AU", "'~'"),
        ('="0491570110"', "AU", "'='"),
        ('"0491570110"', "AU", "'\"'"),
        ("-0491570110", "AU", "begins with '-'"),
        ("-1006", "AU", "begins with '-'"),
        ("0491570110-", "AU", "ends in '-'"),
        ("0491570110.", "AU", "ends in '.'"),
        ("(0491 570 110", "AU", "parenthesis"),
        ("0491) 570 110", "AU", "parenthesis"),
        ("0491 (0)570110", "AU", "0 in parentheses"),
        ("\u202e011075194160", None, "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\u3164+61491570110", None, "the letter U+3164 HANGUL FILLER"),
        ("+61491570110\x00", None, "U+0000"),
        ("+6149157011²", None, "'²' (U+00B2 SUPERSCRIPT TWO)"),
        ("📱+61491570110", None, "U+1F4F1 MOBILE PHONE"),
        ("\u0600+61491570110", None, "U+0600 ARABIC NUMBER SIGN"),
        ("n/a", "AU", "the letter 'n'"),
        ("---", "AU", "no digit"),
        ("\u200b\u200b", "AU", "is empty"),
        ("1" * 500, "AU", "more than 100 characters"),
        ("0091 7012345678", "CO", "can be read as two numbers"),
        ("0491 570 006", "XX", "'XX' is no country"),
    ],
)
def test_what_is_no_number_is_refused_and_the_reason_named(text: str, region: str | None, names: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_recipient(text, region=region)
    assert names in caught.value.problem
    assert "\n" not in str(caught.value).replace(repr(text), "")


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("07700 900123", "GB", "+447700900123"),
        ("+44 (0)7700 900123", None, "+447700900123"),
        ("+44 7700 900123", None, "+447700900123"),
        ("0044 7700-900-123", "GB", "+447700900123"),
        ("447700900123", "GB", "+447700900123"),
        ("00447700900123", "US", "+447700900123"),
        ("7700900123", "GB", "+447700900123"),
        ("tel:+44-7700-900123", "AU", "+447700900123"),
        ("06 39 98 00 12", "FR", "+33639980012"),
        ("+353 20 912 3456", None, "+353209123456"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("070-174 06 05", "SE", "+46701740605"),
    ],
)
def test_numbers_kept_for_fiction_are_read_in_every_form(text: str, region: str | None, meant: str) -> None:
    assert parse_recipient(text, region=region) == meant


def test_the_ranges_for_fiction_are_not_in_use_so_that_the_list_is_needed() -> None:
    for beginning, length in FICTION:
        number = beginning + "1234567890"[: length - len(beginning)]
        assert not phonenumbers.is_valid_number(phonenumbers.parse(number))
        assert parse_recipient(number) == number


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("+44 (0)7400 123456", None, "+447400123456"),
        ("+39 (0)333 1234567", None, "+393331234567"),
        ("06.12.34.56.00", "FR", "+33612345600"),
        ("+33 6.12.34.56.00", None, "+33612345600"),
        ("0664 123 45 67", "AT", "+436641234567"),
        ("0664-123-45-67", "AT", "+436641234567"),
        ("9123456789", "IN", "+919123456789"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("393 123 4567", "IT", "+393931234567"),
        ("011 61 491 570 006", "US", "+61491570006"),
    ],
)
def test_other_countries_habits_are_read_as_meant(text: str, region: str | None, meant: str) -> None:
    assert parse_recipient(text, region=region) == meant


def test_a_text_that_could_mean_two_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Colombia 009 dials abroad by one carrier, so 00 91 … is either Indian or American."""
    for number in ("+917012345678", "+17012345678"):
        assert parse_recipient(number) == number
    with pytest.raises(InvalidMessage, match="two numbers"):
        parse_recipient("00917012345678", region="CO")
    assert parse_recipient("00917012345678", region="AU") == "+917012345678"


@pytest.mark.parametrize(
    ("text", "region", "form"),
    [
        ("+61491570006", None, None),
        ("+61 491 570 006", None, Form.SPACED),
        ("tel:+61491570006", None, Form.SPACED),
        ("+61491570006\u200b", None, Form.INVISIBLE),
        ("+٦١٤٩١٥٧٠٠٠٦", None, Form.OTHER_DIGITS),
        ("+61 (0)491 570 006", None, Form.TRUNK_ZERO),
        ("+610491570006", None, Form.TRUNK_ZERO),
        ("0061 491 570 006", "AU", Form.PREFIX),
        ("0011 64 21 123 4567", "AU", Form.PREFIX),
        ("0491 570 006", "AU", Form.NATIONAL),
        ("(202) 555-0123", "US", Form.NATIONAL),
        ("491570006", "AU", Form.NO_ZERO),
        ("61491570006", "AU", Form.NO_PLUS),
    ],
)
def test_the_form_of_a_number_is_known(text: str, region: str | None, form: Form | None) -> None:
    assert read_recipient(text, region=region).form == form


@pytest.mark.parametrize("wrong", [None, 61491570006, 491570006.0, float("nan"), True, b"+61491570006"])
def test_what_is_no_text_is_refused_by_its_type(wrong: object) -> None:
    with pytest.raises(InvalidMessage, match=r"recipient: is (missing|of type \w+); give the number as text"):
        read_recipient(wrong)


def test_a_refused_number_is_masked() -> None:
    for text in ("0491570006x", "+61 491 570 006;", "4.9157011E8", "0491570006 ext 5"):
        with pytest.raises(InvalidMessage) as caught:
            parse_recipient(text, region="AU")
        assert "570" not in str(caught.value)
        assert "9157" not in str(caught.value)


def test_rows_with_the_same_fault_are_counted_together_wherever_it_stands() -> None:
    faults = set()
    for text in ("0491y70006", "049157000y", "0400 yyy yyy"):
        with pytest.raises(InvalidMessage) as caught:
            parse_recipient(text, region="AU")
        faults.add(caught.value.fault.split("' ", 1)[1])
    assert len(faults) == 1


def test_no_country_has_a_mobile_that_a_trailing_zero_could_reach() -> None:
    """A float column writes 211234567.0; without its point that is another valid mobile in nine countries."""
    dice = random.Random(5)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if example is None:
            continue
        national = phonenumbers.national_significant_number(example)
        for text in (
            national,
            f"0{national}",
            f"{example.country_code}{national}",
            f"+{example.country_code}{national}",
        ):
            with pytest.raises(InvalidMessage):
                parse_recipient(text + dice.choice([".0", ".00", ",0", ",00", ".000", "E8", "e+08"]), region=region)


def test_a_character_is_named_so_that_it_differs_from_its_likes() -> None:
    assert character("x") == "'x'"
    assert character("'") == "an apostrophe"
    assert character("\u200b") == "U+200B ZERO WIDTH SPACE"
    assert character("é") == "'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)"
    assert character("\ud800") == "U+D800"
