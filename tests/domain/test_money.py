"""Amounts as people, spreadsheets and programs write them: exact, or refused with the form that would be right."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_UP, Context, Decimal, Inexact, Rounded, localcontext

import pytest

from dispatcher.domain.budget import Budget, parse_budget, to_minor
from dispatcher.domain.errors import InvalidMessage, QueryError
from dispatcher.domain.money import MINOR_UNITS, NotAnAmount, parse_amount, read_amount
from dispatcher.domain.query import parse_query

REFUSED = [
    ("15,00", "EUR", "has a decimal comma: write 15.00"),
    ("1500,00", "EUR", "has a decimal comma: write 1500.00"),
    ("0,50", "EUR", "has a decimal comma: write 0.50"),
    ("1,5", "JPY", "has a decimal comma: write it as 25"),
    ("1.500,00", "EUR", "has a comma where no thousands separator stands: write 1500.00"),
    ("1,2,3", "EUR", "has several commas"),
    ("1,000", "EUR", "may separate thousands or decimals: write 1000.00 or 1.00"),
    ("1,000", "JPY", "may separate thousands or decimals: write 1000 or 1"),
    ("1.000", "EUR", "has more decimals than EUR, which has 2: write 1000.00 or 1.00"),
    ("1.000", "JPY", "has more decimals than JPY, which has 0: write 1000 or 1"),
    ("500.00", "JPY", "has more decimals than JPY, which has 0: write 500"),
    ("1.2345", "KWD", "has more decimals than KWD, which has 3"),
    ("10,00.00", "EUR", "has a comma where no thousands separator stands"),
    ("1,0000.00", "EUR", "has a comma where no thousands separator stands"),
    ("1,000'000.00", "EUR", 'has "\'"'),
    ("1.000.000", "EUR", "has several decimal points"),
    ("5_00", "EUR", "has an underscore: write 500.00"),
    ("1E2", "EUR", "has an exponent: write 100.00"),
    ("1e+2", "EUR", "has an exponent: write 100.00"),
    ("1e999999999", "EUR", "has letters"),
    ("1 000.00", "EUR", "has a space: write 1000.00"),
    ("1\u00a0000,50", "EUR", "has a space: write 1000.50"),
    ("+5", "EUR", "has a sign ('+'): write 5.00"),
    ("-5", "EUR", "is not more than zero"),
    ("\u22125", "EUR", "has '\u2212'"),
    ("$5", "EUR", "has a currency sign ('$'): write 5.00"),
    ("5 €", "EUR", "has a space: write 5.00"),
    ("EUR 5", "EUR", "has letters: write 5.00"),
    ("5 AUD", "AUD", "has letters: write 5.00"),
    (".5", "EUR", "begins with '.': write 0.50"),
    ("5.", "EUR", "ends in '.': write 5.00"),
    ("5,", "EUR", "ends in ',': write 5.00"),
    ("00005", "EUR", "begins with a 0: write 5.00"),
    ("0x10", "EUR", "has letters"),
    ("NaN", "EUR", "has no digit: write it as 25.00"),
    ("Infinity", "EUR", "has no digit"),
    ("", "EUR", "is empty"),
    (" ", "EUR", "is empty"),
    ("5%", "EUR", "has '%'"),
    ("5\u200b", "EUR", "has U+200B ZERO WIDTH SPACE"),
    ("٣٫٥", "EUR", "has '٫'"),
    ("²", "EUR", "has no digit"),
    ("1" * 100, "EUR", "is too long"),
]
READ = [
    ("25", "EUR", "25.00"),
    ("25.5", "EUR", "25.50"),
    (" 25.50\n", "EUR", "25.50"),
    ("0.01", "EUR", "0.01"),
    ("1,000.00", "EUR", "1000.00"),
    ("999,999.5", "EUR", "999999.50"),
    ("1'000.00", "CHF", "1000.00"),
    ("1’000.00", "CHF", "1000.00"),
    ("1.500", "KWD", "1.500"),
    ("500", "JPY", "500"),
    ("５００", "JPY", "500"),
    ("٣.٥", "EUR", "3.50"),
]


@pytest.mark.parametrize(("text", "currency", "says"), REFUSED)
def test_what_may_mean_another_amount_is_refused_with_the_right_form(text: str, currency: str, says: str) -> None:
    with pytest.raises(NotAnAmount) as caught:
        read_amount(text, currency)
    assert says in str(caught.value)
    with pytest.raises(InvalidMessage) as as_gift:
        parse_amount(text, currency)
    assert as_gift.value.problem.endswith(str(caught.value))
    budgets = [text, f"{text}/day"] + ([f"1/day {text}"] if text.strip() else [])
    for budget in budgets:
        with pytest.raises(ValueError, match=r"budget|empty|cap"):
            parse_budget(budget, currency)


@pytest.mark.parametrize(("text", "currency", "exact"), READ)
def test_what_is_plain_is_read_exactly_everywhere(text: str, currency: str, exact: str) -> None:
    assert str(parse_amount(text, currency)) == exact
    assert Decimal(to_minor(text, currency)) == Decimal(exact).scaleb(MINOR_UNITS[currency])
    assert str(parse_budget(f"{text.strip()}/day", currency)) == f"{exact}/day"


@pytest.mark.parametrize(
    ("number", "exact"),
    [(Decimal("1E+2"), "100.00"), (Decimal("1.000"), "1.00"), (Decimal(5), "5.00"), (Decimal("25.0000"), "25.00")],
)
def test_a_decimal_is_a_number_whatever_its_exponent(number: Decimal, exact: str) -> None:
    assert str(parse_amount(number, "EUR")) == exact


def test_a_decimal_is_read_exactly_whatever_the_application_computes_with() -> None:
    for context in (Context(prec=2), Context(prec=9, traps=[Inexact, Rounded]), Context(prec=3, rounding=ROUND_UP)):
        with localcontext(context):
            assert str(parse_amount(Decimal("1234.5000"), "EUR")) == "1234.50"
            assert str(parse_budget(Decimal("1234567.5000"), "EUR")) == "1234567.50"
            with pytest.raises(InvalidMessage, match="more decimals"):
                parse_amount(Decimal("1234.501"), "EUR")


@pytest.mark.parametrize("wrong", [Decimal("NaN"), Decimal("Infinity"), Decimal(0), Decimal(-5), Decimal("0.001")])
def test_a_decimal_that_is_no_budget_is_refused(wrong: Decimal) -> None:
    with pytest.raises(ValueError, match=r"number|greater|decimals"):
        parse_budget(wrong, "EUR")


@pytest.mark.parametrize("wrong", [5.0, 5, True, None, b"5", Decimal("NaN"), Decimal("Infinity"), Decimal("0.001")])
def test_what_is_no_exact_number_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidMessage):
        parse_amount(wrong, "EUR")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("15,00", "'15,00' is not a budget: it has a decimal comma: write 15.00"),
        ("1500,00/day", "'1500,00/day' is not a budget: '1500,00' has a decimal comma: write 1500.00"),
        ("1 000.00", "has a space that may separate thousands or two caps"),
        ("12 500.00/day", "has a space that may separate thousands or two caps"),
        ("12.00 500/day", "allows more on one day than in all: read as 12.00 500.00/day"),
        ("500 500", "has a space that may separate thousands or two caps"),
        ("500.00 500.00", "is not a budget"),
        ("5/day 5/day", "is not a budget"),
        ("500/week", "is not a budget"),
        ("500/days", "is not a budget"),
        ("/day", "is not a budget"),
        ("0", "must be greater than 0, for example 12345.00"),
        ("0.00/day", "must be greater than 0"),
    ],
)
def test_a_budget_that_may_mean_another_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"budget|caps|day|greater") as caught:
        parse_budget(text, "EUR")
    assert says in str(caught.value)


@pytest.mark.parametrize("currency", ["AUD", "JPY", "KWD"])
@pytest.mark.parametrize("total", [None, 500, 700_000, 999])
@pytest.mark.parametrize("daily", [None, 100, 400])
def test_the_ledger_reads_every_budget_that_it_wrote(currency: str, total: int | None, daily: int | None) -> None:
    if total or daily:
        budget = Budget(currency=currency, total=total, daily=daily)
        assert parse_budget(str(budget), currency) == budget


def test_a_search_reads_amounts_as_everything_else_does() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert parse_query("amount>=1,000.00", now=now).terms[0].values == ("1000.00",)
    for wrong in ("15,00", "1,000", "1E2", "5_00", "+5", "$5"):
        with pytest.raises(QueryError, match="is not an amount"):
            parse_query(f"amount>={wrong}", now=now)
