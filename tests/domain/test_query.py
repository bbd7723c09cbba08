"""The query language: read once, and every mistake told with its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.errors import QueryError
from dispatcher.domain.fields import FIELDS, Kind
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "position", "sentence"),
    [
        ("chanel:sms", 0, "there is no field 'chanel'; did you mean channel?"),
        ("state:dead foo:1", 11, "there is no field 'foo'"),
        ("channel:fax", 8, "'fax' is no channel; give one of sms, gift"),
        ("state:daed", 6, "'daed' is no state; did you mean dead?"),
        ("status:900", 7, "'900' is not an HTTP status"),
        ("attempts>=many", 10, "'many' is not a whole number"),
        ("amount>lots", 7, "'lots' is not an amount"),
        ("amount>NaN", 7, "'NaN' is not an amount"),
        ("amount>1e400", 7, "'1e400' is not an amount"),
        ("created:<soon", 8, "'soon' is neither an age nor a date"),
        ("created:>0001-01-01T00:00+10:00", 8, "is neither an age nor a date"),
        ("code:a\x00", 6, "a NUL or half a surrogate pair"),
        ("code:\ud800", 5, "a NUL or half a surrogate pair"),
        ("to<5", 2, "to cannot be compared with <"),
        ('code:"QUOTA', 5, "the quote is never closed"),
        ("channel:", 8, "channel has no value"),
        ("state:dead -", 11, "'-' stands alone"),
        ('""', 0, "the text has no value"),
        ("x" * 501, 500, "it is longer than 500 characters"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, position: int, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text, now=NOW)
    assert sentence in str(caught.value)
    assert caught.value.position == position
    assert str(caught.value).startswith(f"query: at character {position + 1}: ")


def test_ages_and_dates() -> None:
    younger, older, since, until = parse_query(
        "created:<2h updated>1d due>=2026-11-01 accepted:<2026-11-24T08:00:00+01:00", now=NOW
    ).terms
    assert (younger.operator, younger.moment, younger.age) == ("<", NOW - timedelta(hours=2), True)
    assert (older.operator, older.moment, older.age) == (">", NOW - timedelta(days=1), True)
    assert (since.operator, since.moment, since.age) == (">=", datetime(2026, 11, 1, tzinfo=UTC), False)
    assert (until.operator, until.moment) == ("<", datetime(2026, 11, 24, 7, tzinfo=UTC))


def test_what_can_match_is_known_by_its_states() -> None:
    assert parse_query("state:dead,expired dead:<2h", now=NOW).states == frozenset({State.DEAD})
    assert parse_query("-state:dead channel:sms", now=NOW).states is None


def test_quotes_keep_blanks_and_a_minus_negates() -> None:
    words = parse_query('-tag:test "no such number" failure:"QUOTA: limit of # reached"', now=NOW).terms
    assert [(term.field, term.values, term.negated) for term in words] == [
        ("tag", ("test",), True),
        ("", ("no such number",), False),
        ("failure", ("QUOTA: limit of # reached",), False),
    ]


def place_of_mistake(text: str) -> int:
    """Return where a text cannot be read; its length if it can."""
    try:
        parse_query(text, now=NOW)
    except QueryError as wrong:
        return wrong.position
    return len(text)


@given(st.one_of(st.text(max_size=60), st.text(st.sampled_from('abc:<>=-",. *'), max_size=30)))
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    assert 0 <= place_of_mistake(text) <= len(text)


def test_every_field_has_its_help() -> None:
    assert all(field.help for field in FIELDS.values())
    assert {field.kind for field in FIELDS.values()} == set(Kind)
