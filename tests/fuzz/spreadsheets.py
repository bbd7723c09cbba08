"""Files built from what people write: tables as several programs export them, some saved again by another."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from dispatcher.campaigns.export import HEAD
from dispatcher.campaigns.missing import is_placeholder
from tests.campaigns.making import numbers

NUMBERS = numbers(40)
NAMES = (
    "Ann",
    "Zo\u00eb",
    "Zoe\u0308",
    "\u0906\u0936\u093e",
    "\u0130smail",
    "O'Neil",
    'Bo "Z" X',
    "Li, Na",
    "a;b",
    "two\nlines",
    "  padded ",
)
GAPS = ("", " ", "\u00a0", "\u200b")
PLACEHOLDERS = ("NULL", "#N/A", "nan", "None", "-", "\\N")
HEADERS = ("first_name", "First Name", "FIRST NAME", "first-name", "\ufefffirst_name", " first_name\u200b")
UNUSED = ("", "", "notes", "Notes", "notes", "#", "%", "Opt in?", "Opt-in", "\u0928\u093e\u092e", "\U0001f381", "2026")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as its owner knows it."""

    header: str
    rows: list[tuple[str, str]]
    """Number and name."""
    unused: list[str]
    """The other columns; their cells may hold anything."""
    junk: list[str]
    first: bool
    """Whether the unused columns come first."""
    blanks: list[int] = field(default_factory=list)
    """The rows before which there is a blank one."""

    def table(self) -> list[list[str]]:
        """Return the cells with the header."""
        head = self._row(["recipient", self.header], self.unused)
        cells = [self._row([number, name], self._junk(place)) for place, (number, name) in enumerate(self.rows)]
        for place in sorted(self.blanks, reverse=True):
            cells.insert(place, [])
        return [head, *cells]

    @property
    def missing(self) -> int:
        """How many rows have no name."""
        return sum(name in GAPS for _, name in self.rows)

    @property
    def placeholders(self) -> int:
        """How many rows have a name that says that there is none."""
        return sum(is_placeholder(name) for _, name in self.rows)

    def _junk(self, row: int) -> list[str]:
        return [self.junk[(row + place) % len(self.junk)] for place in range(len(self.unused))]

    def _row(self, used: list[str], unused: list[str]) -> list[str]:
        return [*unused, *used] if self.first else [*used, *unused]


def _written(rows: Sequence[Sequence[str]], delimiter: str, ending: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def _padded(rows: Sequence[Sequence[str]], surplus: int = 0) -> list[list[str]]:
    """Give every row, blank ones too, as many cells as the widest."""
    width = max(len(row) for row in rows) + surplus
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _ragged(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Leave out the empty cells at the end of rows, as Excel does where a block of rows has none."""
    short = []
    for row in rows:
        cells = list(row)
        while len(cells) > 1 and not cells[-1]:
            cells.pop()
        short.append(cells)
    return [short[0] + [""] * (len(rows[0]) - len(short[0])), *short[1:]]


def excel(rows: Sequence[Sequence[str]]) -> bytes:
    """As "CSV UTF-8" with a list separator of semicolons, line ends of the cells as they were typed."""
    return _written(_padded(rows), ";", "\r\n").encode("utf-8-sig")


def excel_with_separator(rows: Sequence[Sequence[str]]) -> bytes:
    """As programs write CSV for Excel: the first line names the separator."""
    return ("sep=;\r\n" + _written(_ragged(rows), ";", "\r\n")).encode("utf-8-sig")


def excel_unicode(rows: Sequence[Sequence[str]]) -> bytes:
    """As "Unicode Text": tabs, UTF-16."""
    return _written(_padded(rows, surplus=2), "\t", "\r\n").encode("utf-16")


def excel_for_mac(rows: Sequence[Sequence[str]]) -> bytes:
    """As the old Excel for Mac: CR alone; line ends of cells are CR too."""
    cells = [[cell.replace("\n", "\r") for cell in row] for row in _ragged(rows)]
    return _written(cells, ",", "\r").encode("utf-8-sig")


def libreoffice(rows: Sequence[Sequence[str]]) -> bytes:
    """With every text in quotes."""
    return _written(_padded(rows), ",", "\n", csv.QUOTE_ALL).encode()


def google_sheets(rows: Sequence[Sequence[str]]) -> bytes:
    """Commas, CR LF without a last one, LF inside cells."""
    return _written(_padded(rows), ",", "\r\n").removesuffix("\r\n").encode()


def numbers_app(rows: Sequence[Sequence[str]]) -> bytes:
    """As Apple's Numbers: semicolons in Europe, blank rows and columns of the canvas included."""
    canvas = [*_padded(rows, surplus=3), *[[""] * (len(rows[0]) + 3)] * 4]
    return _written(canvas, ";", "\r\n").encode()


def pandas(rows: Sequence[Sequence[str]]) -> bytes:
    """As ``DataFrame.to_csv()``: an index without a name comes first."""
    head, *rest = _padded([row for row in rows if row])
    return _written([["", *head], *[[str(place), *row] for place, row in enumerate(rest)]], ",", "\n").encode()


def copied(rows: Sequence[Sequence[str]]) -> bytes:
    """As cells that were copied into a text file: tabs, several kinds of line ends, blank lines around."""
    lines = _written(_padded(rows), "\t", "\n", csv.QUOTE_ALL).encode()
    return b"\n  \n\r\n" + lines.replace(b'"\n"', b'"\r\n"') + b"\n\n"


PROGRAMS: tuple[Callable[[Sequence[Sequence[str]]], bytes], ...] = (
    excel,
    excel_with_separator,
    excel_unicode,
    excel_for_mac,
    libreoffice,
    google_sheets,
    numbers_app,
    pandas,
    copied,
)

sheets = st.builds(
    Sheet,
    st.sampled_from(HEADERS),
    st.lists(
        st.tuples(st.sampled_from(NUMBERS), st.sampled_from([*NAMES, *GAPS, *PLACEHOLDERS])),
        min_size=1,
        max_size=10,
        unique_by=lambda row: row[0],
    ),
    st.lists(st.sampled_from(UNUSED), max_size=4),
    st.lists(
        st.sampled_from(["", "x", "NULL", "1,5", 'a "b"', "=SUM(A1)", "two\nlines", "\u200b"]), min_size=1, max_size=5
    ),
    st.booleans(),
    st.lists(st.integers(0, 10), max_size=2),
)
"""Sheets whose every row can get a message, if the template has a stand-in."""


@st.composite
def saved_exports(draw: st.DrawFn) -> tuple[bytes, int, int]:
    """Return an export of a campaign that a spreadsheet saved again, how many rows are left whole, and how many not."""
    whole, rounded = draw(st.integers(0, 6)), draw(st.integers(0, 3))
    states = st.sampled_from(["accepted", "dead", "expired", "cancelled"])
    rows = [[number[1:], draw(states), "", "1", "no", "", "", "id"] for number in NUMBERS[:whole]]
    rows += [["6.14911E+10", draw(states), "'=1+1", "1", "no", "", "", "id"] for _ in range(rounded)]
    shuffled = draw(st.permutations(rows))
    return draw(st.sampled_from(PROGRAMS[:7]))([list(HEAD), *shuffled]), whole, rounded
