"""Rates, backoff, identifiers, states: small values with exact meanings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.backoff import Backoff
from dispatcher.domain.budget import parse_budget
from dispatcher.domain.identity import uuid7
from dispatcher.domain.rate import parse_rate
from dispatcher.domain.state import TRANSITIONS, State, sources_of

BACKOFF = Backoff(first=timedelta(seconds=2), cap=timedelta(minutes=5))


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_backoff_never_passes_its_cap(attempt: int, roll: float) -> None:
    assert timedelta(0) <= BACKOFF.wait(attempt, roll=roll) <= BACKOFF.cap


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.integers(0, 900))
def test_a_retry_after_is_a_floor(attempt: int, roll: float, seconds: int) -> None:
    floor = timedelta(seconds=seconds)
    assert floor <= BACKOFF.wait(attempt, roll=roll, floor=floor) <= floor + BACKOFF.first


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_a_uuid7_holds_its_time_and_says_what_it_is(unix_ms: int, entropy: int) -> None:
    made = uuid7(unix_ms, entropy)
    assert (made.int >> 80, made.version, made.variant) == (unix_ms, 7, "specified in RFC 4122")


@pytest.mark.parametrize("wrong", ["", "50", "0/s", "-1/s", "50/d", "50/s burst 0", "fast", "50 / s burst"])
def test_a_wrong_rate_shows_the_form(wrong: str) -> None:
    with pytest.raises(ValueError, match="write it as 50/s"):
        parse_rate(wrong)


@pytest.mark.parametrize("wrong", ["9" * 400 + "/s", "1000001/s", "0.01/h", f"1/s burst {'9' * 30}"])
def test_a_rate_that_nobody_means_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(wrong)


@pytest.mark.parametrize("text", ["1000000/s burst 7", "0.000027777778/s burst 1", "16.6667/s burst 1", "50/s burst 5"])
def test_a_rate_reads_back_from_its_text_since_the_ledger_keeps_that(text: str) -> None:
    assert str(parse_rate(text)) == text


def test_a_budget_is_never_rounded() -> None:
    with pytest.raises(ValueError, match="more decimals"):
        parse_budget(f"1.{'0' * 40}1", "AUD")


def test_settled_states_have_no_way_on_but_by_a_person_or_a_receipt() -> None:
    assert TRANSITIONS.keys() == set(State)
    assert sources_of(State.SENDING) == {State.QUEUED}, "nothing is sent that was not claimed"
    assert State.ACCEPTED not in TRANSITIONS[State.DELIVERED], "outcomes do not move backwards"
    assert not TRANSITIONS[State.SUPPRESSED], "what was opted out of is never sent"
