"""Cells that an export writes: no spreadsheet runs them, and numbers stay numbers."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.campaigns import cells
from dispatcher.campaigns.cells import inert_cell, original_cell


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "+", "@"])
def test_a_formula_is_made_harmless(cell: str) -> None:
    assert inert_cell(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", [" =1", "  +1+1", "\n=1", "\u00a0@SUM(A1)", "\ufeff=1", "\u200b=1", "＝1+1", "＠SUM(A1)"]
)
def test_what_hides_a_formula_does_not_save_it(cell: str) -> None:
    assert inert_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["\tx", "\rx", "\nx"])
def test_a_tab_or_a_line_end_in_front_is_enough(cell: str) -> None:
    assert inert_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+61491570006", "-12.50", "+0", "12", "Ann", "a=b", "", "x-y", "3@4", " Ann", "陽子"])
def test_what_is_no_formula_stays(cell: str) -> None:
    assert inert_cell(cell) == cell


@pytest.mark.parametrize("cell", ["+61491570006\n", "+61491570006+1", "-12.50-1", "-12.", "+٦١", "+1.2.3", "--1"])
def test_what_only_begins_as_a_number_is_no_number(cell: str) -> None:
    assert inert_cell(cell) == f"'{cell}"


@given(st.text())
def test_nothing_is_lost_and_nothing_dangerous_is_first(text: str) -> None:
    made = inert_cell(text)
    assert made in (text, f"'{text}")
    if made[:1] in tuple("=+-@\t\r"):
        assert made.isascii()
        assert made[1:].replace(".", "", 1).isdigit()


@given(st.text() | st.text("'=+-1 \t\r\n", max_size=5))
def test_a_cell_is_read_back_as_it_was(text: str) -> None:
    assert original_cell(inert_cell(text)) == text


def test_the_examples_hold() -> None:
    assert doctest.testmod(cells).failed == 0
