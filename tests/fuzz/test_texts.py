"""What people type: any text is read or refused by the error that its module names, in a bounded time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from dispatcher.campaigns.check import hidden
from dispatcher.cli.when import parse_moment
from dispatcher.domain.budget import parse_budget
from dispatcher.domain.campaign import Wanted, check_campaign
from dispatcher.domain.errors import InvalidCampaign, InvalidMessage, QueryError
from dispatcher.domain.fields import FIELDS, Kind
from dispatcher.domain.forecast import finish_at
from dispatcher.domain.message import Intake, Sms, check_message
from dispatcher.domain.money import MINOR_UNITS, parse_amount, parse_currency, read_amount
from dispatcher.domain.query import Query, parse_query
from dispatcher.domain.rate import parse_rate
from dispatcher.domain.recipient import E164, parse_recipient
from dispatcher.domain.segments import segments
from dispatcher.domain.template import EmptyField, field_name, parse_template
from dispatcher.domain.window import parse_window
from dispatcher.ledger import Books, InspectionBooks
from tests.fuzz.hostile import AGES, MOMENTS, TEXTS, mutated, repeated
from tests.fuzz.tally import TALLY, examples
from tests.fuzz.written import Amount, Number, amounts, damaged_numbers, numbers
from tests.making import NUMBER, gift, new_id, sms

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
CURRENCIES = st.sampled_from(["AUD", "JPY", "KWD"])


@dataclass(frozen=True, slots=True)
class Reading:
    """How one kind of text is read."""

    read: Callable[[str], object]
    refusal: type[Exception]
    good: st.SearchStrategy[str]
    pieces: tuple[str, ...]
    """What its form is made of."""


READINGS = {
    "template": Reading(
        parse_template,
        ValueError,
        st.sampled_from(["Hi {First name|there}, {code}. {{sic}}", "{a}{b|c}", "}}{{"]),
        ("{", "}", "{{", "{a", "{a|", "a ", "|"),
    ),
    "query": Reading(
        lambda text: parse_query(text, now=NOW),
        QueryError,
        st.sampled_from(['channel:gift dead:<2h status:5xx attempts>=3 "quota"', "-tag:a,b to:+614*", "amount:<10"]),
        ("a", "-", '"', ":", "a:", " ", "_", "<", "dead:<1d ", "status:5xx,"),
    ),
    "window": Reading(
        parse_window,
        ValueError,
        st.sampled_from(
            ["Mon-Fri 09:00-17:00 Australia/Sydney except holidays AU-NSW", "9:00-17:30", "sat,sun 22:00-6:00"]
        ),
        ("a", " ", "-", ",", "a ", "Mon-", "Mon ", "1:00-", "09:00-17:00 ", "except holidays ", "\t"),
    ),
    "rate": Reading(
        parse_rate,
        ValueError,
        st.builds(
            "{}/{}{}".format,
            st.sampled_from(["50", "0.5", "600", "1000000", "0.00001", "123456.789", "9" * 30, "9" * 400]),
            st.sampled_from("smh"),
            st.sampled_from(["", " burst 10", " burst 1", f" burst {'9' * 40}", f" burst {'9' * 5000}"]),
        ),
        ("9", " ", ".", "/", "1.", "0.0", "burst "),
    ),
    "budget": Reading(
        lambda text: parse_budget(text, "AUD"),
        ValueError,
        st.sampled_from(["12345.00 500/day", "1,000", "500 / day", "1_000.50", f"1.{'0' * 30}1", "9" * 40]),
        ("9", " ", ",", "'", "_", "/", "1,", ".1", "1/day "),
    ),
    "recipient": Reading(
        lambda text: parse_recipient(text, region="AU"),
        InvalidMessage,
        st.sampled_from(
            ["+61491570006", "0491 570 006", "(04) 9157-0006", "+1 212 555 0123;ext=5", "tel:+61491570006"]
        ),
        ("9", "+", " ", "(", "-", "x", "+61", ";ext=", "tel:", "("),
    ),
    "amount": Reading(
        lambda text: parse_amount(text, "AUD"),
        InvalidMessage,
        st.sampled_from(["25.00", "1e3", "0.001", "1e-999999999", "1e999999999", "1e99999999999999999999", "sNaN"]),
        ("9", "0", ".", "e", "-", "_", "1_"),
    ),
    "currency": Reading(parse_currency, InvalidMessage, st.sampled_from(["AUD", "aud", "XXX"]), ("A", " ")),
    "moment": Reading(
        lambda text: parse_moment(text, field="due_at", now=NOW),
        InvalidMessage,
        MOMENTS | st.sampled_from(["+10m", "+1h30m", "+99999d", "+99999d999999h9999999m99999999s"]),
        ("9", "+", "1d", "0", "-", ":", "T", "+1"),
    ),
    "text of an SMS": Reading(segments, InvalidMessage, st.text(), ("a", "é", "€", "😀", "\u0301")),
}


@pytest.mark.parametrize("name", READINGS)
def test_any_text_is_read_or_refused_by_name(name: str) -> None:
    reading = READINGS[name]

    @examples(300)
    @given(text=TEXTS | mutated(reading.good) | reading.good)
    def reads(text: str) -> None:
        with TALLY.trying(name, reading.refusal):
            reading.read(text)

    reads()


@pytest.mark.parametrize("name", READINGS)
def test_no_text_takes_long_to_read(name: str) -> None:
    reading = READINGS[name]

    @examples(40, shrink=False)
    @given(text=repeated(*reading.pieces))
    def reads(text: str) -> None:
        with TALLY.trying(f"{name}, 50,000 characters", reading.refusal):
            reading.read(text)

    reads()


def test_whitespace_between_days_and_hours_is_read_in_a_bounded_time() -> None:
    """Found once: a regular expression that tried each of the blanks as the end of the days."""
    with TALLY.trying("window, 50,000 characters", ValueError) as trial:
        parse_window(f"mon{' ' * 50_000}x")
    assert not trial.accepted


@examples(150)
@given(text=TEXTS | mutated(READINGS["template"].good), values=st.lists(TEXTS, min_size=8, max_size=8))
def test_a_template_holds_what_the_row_says_and_nothing_else(text: str, values: list[str]) -> None:
    with TALLY.trying("template", ValueError) as trial:
        template = parse_template(text)
    if trial.accepted and len(template.fields) <= len(values):
        places = {name: place for place, name in enumerate(template.fields)}
        assert all(name == field_name(name) != "" for name in template.fields)
        with TALLY.trying("template", EmptyField):
            filled = template.placed(places).filled(values)
            assert len(filled) <= len(text) + sum(map(len, values)) * max(1, text.count("{"))


@examples(300)
@given(text=READINGS["rate"].good | mutated(READINGS["rate"].good))
def test_a_rate_is_written_as_it_is_read(text: str) -> None:
    """The ledger keeps a campaign's rate as its text, in fifty characters."""
    with TALLY.trying("rate", ValueError) as trial:
        rate = parse_rate(text)
        assert len(str(rate)) <= 50
        again = parse_rate(str(rate))
        assert again.burst == rate.burst
        assert again.per_second == pytest.approx(rate.per_second, rel=1e-5)
        finish_at({"": 10_000_000}, per_second=rate.per_second, window=None, start=NOW)
    assert trial.accepted == (trial.refusal is None)


@examples(200)
@given(text=READINGS["window"].good | mutated(READINGS["window"].good))
def test_a_window_is_written_as_it_is_read(text: str) -> None:
    with TALLY.trying("window", ValueError):
        window = parse_window(text)
        assert parse_window(str(window)) == window
        assert len(str(window)) <= 200


@examples(200)
@given(text=READINGS["budget"].good | mutated(READINGS["budget"].good), currency=CURRENCIES)
def test_a_budget_is_written_as_it_is_read_and_never_rounded(text: str, currency: str) -> None:
    with TALLY.trying("budget", ValueError):
        budget = parse_budget(text, currency)
        assert parse_budget(str(budget), currency) == budget
        assert len(str(budget)) <= 50
        if budget.daily is None and budget.total is not None:
            said = read_amount(text.strip(" ,;"), currency)
            assert said == Decimal(budget.total) / 10 ** MINOR_UNITS[currency]


@examples(200)
@given(text=READINGS["amount"].good | mutated(READINGS["amount"].good) | st.decimals().map(str), currency=CURRENCIES)
def test_an_amount_is_exact(text: str, currency: str) -> None:
    with TALLY.trying("amount", InvalidMessage):
        amount = parse_amount(text, currency)
        assert amount == Decimal(re.sub("[,'\N{RIGHT SINGLE QUOTATION MARK}]", "", text))
        assert amount > 0
        assert parse_amount(str(amount), currency) == amount


@examples(200)
@given(
    text=READINGS["recipient"].good | mutated(READINGS["recipient"].good), region=st.sampled_from([None, "AU", "US"])
)
def test_a_recipient_is_e164_and_reads_back(text: str, region: str | None) -> None:
    with TALLY.trying("recipient", InvalidMessage) as trial:
        number = parse_recipient(text, region=region)
        assert E164.match(number)
        assert parse_recipient(number) == number
    if trial.refusal is not None and len(text.strip()) > 7:
        told = str(trial.refusal).replace("+61491570006", "")  # the example of what would be right
        assert text.strip() not in told, "a refusal does not tell the number"
    assert len(hidden(text)) <= 20


@examples(400)
@given(number=numbers())
def test_a_number_is_read_as_it_is_meant_in_every_form_that_people_use(number: Number) -> None:
    with TALLY.trying("number as people write it", InvalidMessage) as trial:
        assert parse_recipient(number.text, region=number.region) == number.meant
    assert trial.accepted, trial.refusal


@examples(400)
@given(number=damaged_numbers())
def test_a_damaged_number_reaches_the_one_who_was_meant_or_nobody(number: Number) -> None:
    with TALLY.trying("number as spreadsheets damage it", InvalidMessage):
        assert parse_recipient(number.text, region=number.region) == number.meant


@examples(300)
@given(
    text=numbers() | damaged_numbers(),
    put=st.sampled_from(["", " ", "0", "+", ".", "-"]) | TEXTS,
    place=st.integers(0, 20),
)
def test_the_short_way_and_the_long_way_agree(text: Number, put: str, place: int) -> None:
    """Most numbers are certain by the compiled plans; the library is asked about all others."""
    written = text.text[:place] + put + text.text[place:]

    def answer() -> str:
        try:
            return str(parse_recipient(written, region=text.region))
        except InvalidMessage as refused:
            return str(refused)

    with TALLY.trying("number, both ways", InvalidMessage):
        short = answer()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dispatcher.domain.recipient.is_certain_mobile", lambda _: False)
            patch.setattr("dispatcher.domain.recipient.certain_mobile", lambda *_: None)
            assert answer() == short


@examples(400)
@given(amount=amounts())
def test_an_amount_is_what_its_writer_means_or_it_is_refused(amount: Amount) -> None:
    with TALLY.trying("amount as people write it", InvalidMessage) as trial:
        assert parse_amount(amount.text, amount.currency) == amount.meant
    assert trial.accepted or not amount.plain, trial.refusal
    with TALLY.trying("budget as people write it", ValueError) as trial:
        budget = parse_budget(f"{amount.text}/day", amount.currency)
        assert budget.daily == amount.meant.scaleb(MINOR_UNITS[amount.currency])
    assert trial.accepted or not amount.plain, trial.refusal


soon = st.datetimes(datetime(2026, 11, 24), datetime(2026, 12, 24), timezones=st.timezones())  # noqa: DTZ001


@examples(300)
@given(
    due=st.none() | soon | st.datetimes() | st.datetimes(timezones=st.timezones()) | MOMENTS,
    expires=st.none() | soon | st.datetimes(timezones=st.timezones()) | MOMENTS,
    tags=st.just(("vip",))
    | st.none()
    | TEXTS
    | st.lists(TEXTS | st.integers() | st.lists(st.integers(), max_size=1), max_size=25),
)
def test_a_schedule_is_checked_whatever_it_is(due: object, expires: object, tags: Any) -> None:
    request = Sms(
        recipient=NUMBER,
        body="hello",
        due_at=_moment(due),  # type: ignore[arg-type]
        expires_at=_moment(expires),  # type: ignore[arg-type]
        tags=tags,
    )
    with TALLY.trying("due_at, expires_at, tags", InvalidMessage):
        message = check_message(request, id=new_id(NOW), now=NOW, intake=Intake())
        assert NOW <= message.due_at < message.expires_at


def _moment(given: object) -> object:
    """Make a moment of a text if it is one, as a caller would."""
    try:
        return datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        return given


ANYTHING = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.sampled_from(["sms", "gift"]) | TEXTS,
        "template": TEXTS | READINGS["template"].good,
        "starts_at": st.datetimes() | st.datetimes(timezones=st.timezones()),
        "expires_at": st.datetimes(timezones=st.timezones()),
        "window": TEXTS | READINGS["window"].good,
        "rate": TEXTS | READINGS["rate"].good,
        "budget": TEXTS | READINGS["budget"].good,
        "sku": TEXTS,
        "amount": TEXTS | READINGS["amount"].good,
        "currency": TEXTS | CURRENCIES,
        "region": TEXTS | st.sampled_from(["AU", "au"]),
        "columns": st.dictionaries(TEXTS, TEXTS, max_size=3),
    },
)
COMMON = {"window": READINGS["window"].good, "rate": READINGS["rate"].good, "columns": st.dictionaries(TEXTS, TEXTS)}
SMS = st.fixed_dictionaries({"template": TEXTS | READINGS["template"].good}, optional=COMMON)
GIFTS = st.fixed_dictionaries(
    {"channel": st.just("gift"), "currency": CURRENCIES},
    optional={"template": TEXTS, "amount": READINGS["amount"].good, "budget": READINGS["budget"].good, **COMMON},
)


@examples(300)
@given(name=TEXTS, wanted=ANYTHING | SMS | GIFTS)
def test_a_campaign_is_checked_whatever_it_is(name: str, wanted: Wanted) -> None:
    with TALLY.trying("campaign's terms", InvalidCampaign):
        terms = check_campaign(name, wanted, now=NOW)
        told = [terms.name, terms.template_text or "", *terms.columns, *terms.columns.values()]
        assert not any("\x00" in text for text in told), "no database keeps it"
        "".join(told).encode()


values = st.one_of(TEXTS, AGES, MOMENTS, st.integers().map(str), st.decimals().map(str), st.just("1e999999999"))
terms = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(list(FIELDS)),
    st.sampled_from([":", "<", "<=", ">", ">=", "=", ":<", ":>="]),
    values.map(lambda value: f'"{value}"' if " " in value and '"' not in value else value)
    | st.sampled_from([choice for field in FIELDS.values() for choice in field.choices])
    | st.sampled_from(["5xx", "503", "503,4xx", "+614*", "*", "a*,b"]),
)
choices = st.builds(
    "{}{}:{}".format,
    st.sampled_from(["", "-"]),
    st.just("state"),
    st.sampled_from(FIELDS["state"].choices),
)
queries = st.lists(terms | choices | TEXTS, min_size=1, max_size=4).map(" ".join)


@examples(250)
@given(text=queries)
def test_what_is_read_as_a_query_can_be_searched_for(inspected: InspectionBooks, text: str) -> None:
    with TALLY.trying(f"search, {inspected.engine.dialect.name}", QueryError, within=5):
        query = parse_query(text, now=NOW)
        _looked_for(inspected, query)


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_of_the_query_language_can_be_searched_for(inspected: InspectionBooks, field: str) -> None:
    moments = ("2h", "99999d", "0001-01-01", "9999-12-31T23:59", "0001-01-01T00:00+23:00", "9999-12-31T23:59-23:00")
    compared = [f"{operator}{value}" for operator in ("", "<", ">=") for value in (*moments, "3", "1e400", "1e-400")]
    for value in (*compared, "5xx", "a*", "\x00", "\ud800", "\U0010ffff*", *FIELDS[field].choices):
        with TALLY.trying(f"search, {inspected.engine.dialect.name}", QueryError, within=5):
            _looked_for(inspected, parse_query(f"{field}:{value} -{field}:{value}", now=NOW))
    assert FIELDS[field].kind in Kind


def _looked_for(books: InspectionBooks, query: Query) -> None:
    found = books.search(query, limit=5)
    assert books.count(query) >= len(found)
    books.groups(query)
    books.worth(query)


@pytest.fixture
def inspected(engine: Engine) -> InspectionBooks:
    """Return a ledger with some messages in it."""
    now = NOW - timedelta(hours=1)
    Books(engine=engine).enqueue([sms(now), sms(now, tags=("vip",)), gift(now)], source="test")
    return InspectionBooks(engine=engine)
