"""Missing values of Python and of its libraries, and the texts in which programs write that there is none."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dispatcher.campaigns import missing
from dispatcher.campaigns.missing import cell_text, is_placeholder
from dispatcher.campaigns.source import open_source
from dispatcher.domain.errors import InvalidCampaign


class NAType:
    """As pandas.NA: comparing it gives itself, and it is neither true nor false."""

    def __ne__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = object.__hash__


class Unequal:
    """As pandas.NaT and numpy's NaT: it differs from itself."""

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


@pytest.mark.parametrize("value", [None, float("nan"), Decimal("NaN"), Decimal("sNaN"), NAType(), Unequal()])
def test_a_missing_value_is_an_empty_cell(value: object) -> None:
    assert cell_text(value) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nan", "nan"),
        (1200.0, "1200"),
        (-0.0, "0"),
        (61491570006.0, "61491570006"),
        (1e22, "10000000000000000000000"),
        (19.99, "19.99"),
        (1e-7, "0.0000001"),
        (float("inf"), "inf"),
        (Decimal("1200.00"), "1200.00"),
        (Decimal("1.2E+4"), "12000"),
        (Fraction(1, 2), "1/2"),
        (10**20, "100000000000000000000"),
        (True, "True"),
        (date(2026, 11, 24), "2026-11-24"),
        (datetime(2026, 11, 24), "2026-11-24"),  # noqa: DTZ001 - as pandas has dates
        (datetime(2026, 11, 24, 9, 5, tzinfo=UTC), "2026-11-24 09:05:00+00:00"),
        (datetime(2026, 11, 24, tzinfo=UTC), "2026-11-24 00:00:00+00:00"),
        (b"Zo\xc3\xab", "Zo\u00eb"),
    ],
)
def test_every_other_value_is_written_as_people_write_it(value: object, text: str) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize(
    "text",
    [
        *("NULL", "null", "(null)", "\\N", "None", "nil", "undefined", "nan", "NaN", "<NA>", "NaT", "N/A", "n/a", "NA"),
        *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#####", "Err:502", "-", "--", "\u2014", "?", " NULL "),
    ],
)
def test_what_programs_write_for_a_missing_value_is_known(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize("text", ["", " ", "Ann", "Nathan", "Nanette", "Nullarbor", "0", "#", "#1", "No", "N", "a-b"])
def test_what_people_write_is_no_placeholder(text: str) -> None:
    assert not is_placeholder(text)


class Frame:
    """As a DataFrame of pandas: iterating it gives the names of its columns."""

    def __iter__(self) -> Any:
        return iter(["recipient"])

    def iterrows(self) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("recipients", "sentence"),
    [
        ({"recipient": "+61491570006"}, "are one mapping; give a list of them"),
        (Frame(), r"are a Frame; give its rows: .to_dict\('records'\)"),
    ],
)
def test_what_would_give_columns_for_rows_is_refused(recipients: Any, sentence: str) -> None:
    with pytest.raises(InvalidCampaign, match=sentence):
        open_source(recipients)


def test_mappings_become_cells_under_the_first_ones_keys() -> None:
    rows = [{"recipient": 61491570006.0, "name": float("nan")}, {"name": "Ann"}, None, 61491570156]
    source = open_source(rows)  # type: ignore[arg-type]
    assert list(source.rows) == [(1, ["61491570006", ""]), (2, ["", "Ann"]), (3, [""]), (4, ["61491570156"])]


def test_an_export_that_a_spreadsheet_saved_again_has_its_plus_signs(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(
        "recipient,state,reason\n61491570006,accepted,\n+61491570156,dead,\n4.47701E+11,accepted,\n491570157,NSW,\n"
    )
    assert [cells[0] for _, cells in open_source(file).rows] == [
        "+61491570006",
        "+61491570156",
        "4.47701E+11",  # what was rounded away stays away
        "491570157",  # no state of ours: not a row of the export
    ]
    file.write_text("recipient,name\n61491570006,accepted\n")
    assert [cells[0] for _, cells in open_source(file).rows] == ["61491570006"]


def test_the_examples_hold() -> None:
    assert doctest.testmod(missing).failed == 0
