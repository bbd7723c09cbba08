"""Files as spreadsheets write them: read right, or refused whole with one sentence."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.campaigns.cells import inert_cell
from dispatcher.campaigns.table import MAX_FIELD, open_table
from dispatcher.domain.errors import InvalidCampaign

TEXT = "recipient,name\n+61491570006,Zoë\n+61491570156,陽子\n"


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_whatever_a_spreadsheet_writes_is_read(tmp_path: Path, encoding: str, delimiter: str, ending: str) -> None:
    file = write(tmp_path / "x.csv", TEXT.replace(",", delimiter).replace("\n", ending).encode(encoding))
    table = open_table(file)
    assert table.columns == ("recipient", "name")
    assert list(table) == [(2, ["+61491570006", "Zoë"]), (3, ["+61491570156", "陽子"])]
    assert (table.rows, table.delimiter) == (2, delimiter)


def test_an_older_code_page_is_read_when_it_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", "recipient;name\n+61491570006;Zoë\n".encode("cp1252"))
    assert [cells for _, cells in open_table(file, encoding="cp1252")] == [["+61491570006", "Zoë"]]


def test_excels_own_first_line_is_honoured(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.csv", "sep=;\nrecipient;a,b\n+61491570006;1\n"))
    assert table.columns == ("recipient", "a,b")
    assert list(table) == [(3, ["+61491570006", "1"])]


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", 'recipient,note\n\n1,"two\nlines"\n,\n2,x\n')
    assert list(open_table(file)) == [(3, ["1", "two\nlines"]), (6, ["2", "x"])]


def test_cells_to_the_right_of_the_header_count_only_if_something_is_in_them(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", "recipient,name,,\n1,a,,\n2,b,c,\n3\n")
    table = open_table(file)
    assert table.columns == ("recipient", "name")
    assert [cells for _, cells in table] == [["1", "a"], ["2", "b", "c"], ["3"]]


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"", {}, "is empty"),
        (b"\n\n\n", {}, "nothing but blank lines"),
        (b"recipient\n\n", {}, "has a header and no row"),
        (b"recipient\n+614\n\xe9\n", {}, "line 3: byte 0xE9 is not UTF-8; save it as 'CSV UTF-8'"),
        (b"recipient\n\xff\n", {"encoding": "utf-8"}, "line 2: byte 0xFF is not UTF-8; give the right --encoding"),
        (b"recipient\na\x00b\n", {}, "line 2 holds a NUL; if it is UTF-16"),
        ("recipient\n+61491570006\n".encode("utf-16-le"), {}, "holds a NUL; if it is UTF-16"),
        (b"\xff\xfer", {}, "is not utf-16"),
        (b"recipient\n1\n2", {"encoding": "utf-9"}, "'utf-9' is not the name of an encoding; did you mean"),
        (b"recipient\n1\n2", {"encoding": "base64"}, "'base64' is not the name of an encoding"),
        (b"recipient\n1\n2", {"delimiter": "xy"}, "'xy' is not one character"),
        (b"a,a\n1,2\n", {}, "has two columns 'a'"),
        (b"a,,b\n1,2,3\n", {}, "has no name above column 2"),
        (b"+61491570006\n+61491570156\n", {}, "has no header"),
        (b'recipient\n"1\n', {}, "line 2: a quote is never closed"),
        (b'recipient\n"1"x\n', {}, "line 2: text follows a closing quote"),
        (b'recipient\n1\n"' + b"x\n" * 5000, {}, "line 3: a cell is longer than 65,536 characters"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_one_sentence(
    tmp_path: Path, content: bytes, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidCampaign) as caught:
        open_table(write(tmp_path / "x.csv", content), **options)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(InvalidCampaign, match="cannot be read"):
            open_table(path)


def test_a_huge_cell_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.write(b"recipient\n")
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    program = (
        "import resource, sys; from pathlib import Path; from dispatcher.campaigns.table import open_table\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: open_table(Path(sys.argv[1]))\n"
        "except ValueError as wrong: print(wrong)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(huge)], capture_output=True, text=True, check=True)
    said, megabytes = ended.stdout.splitlines()
    assert said.startswith("file: line 2: a cell is longer than 65,536 characters")
    assert int(megabytes) < 30


def test_a_cell_of_the_largest_size_is_taken(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", f"recipient,note\n1,{'x' * MAX_FIELD}\n2,{'y' * 10}\n")
    assert [len(cells[1]) for _, cells in open_table(file)] == [MAX_FIELD, 10]
    write(file, f"recipient,note\n1,{'x' * (MAX_FIELD + 1)}\n")
    with pytest.raises(InvalidCampaign, match="longer than 65,536"):
        open_table(file)


_CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 10**9).map(str), _CELLS, _CELLS), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str, encoding: str, ending: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending)
    writer.writerow(["recipient", "one", "two"])
    writer.writerows(rows)
    file = write(tmp_path / "x.csv", out.getvalue().encode(encoding))
    assert [tuple(cells) for _, cells in open_table(file)] == rows


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "=", "-"])
def test_a_formula_is_made_harmless(cell: str) -> None:
    assert inert_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+61491570006", "-12.50", "12", "Ann", "a=b", "", "x-y", "3@4"])
def test_what_is_no_formula_stays(cell: str) -> None:
    assert inert_cell(cell) == cell
