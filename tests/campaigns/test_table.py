"""Files as spreadsheets write them: read right, or refused whole with one sentence."""

from __future__ import annotations

import codecs
import csv
import doctest
import hashlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.campaigns import table
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
    opened = open_table(file)
    assert opened.columns == ("recipient", "name")
    assert list(opened) == [(2, ["+61491570006", "Zoë"]), (3, ["+61491570156", "陽子"])]
    assert (opened.rows, opened.delimiter) == (2, delimiter)
    assert opened.encoding == encoding.removesuffix("-sig")
    assert (opened.digest, opened.size) == (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size)


def test_a_byte_order_mark_is_no_part_of_a_quoted_name(tmp_path: Path) -> None:
    for encoding, named in (("utf-8-sig", None), ("utf-16", None), ("utf-8-sig", "UTF8"), ("utf-16", "utf-16-le")):
        file = write(tmp_path / "x.csv", '"recipient","last, first"\n1,2\n'.encode(encoding))
        assert open_table(file, encoding=named).columns == ("recipient", "last, first")
    big_endian = codecs.BOM_UTF16_BE + "recipient\n1\n".encode("utf-16-be")
    assert open_table(write(tmp_path / "x.csv", big_endian)).columns == ("recipient",)


def test_a_last_line_needs_no_end(tmp_path: Path) -> None:
    assert list(open_table(write(tmp_path / "x.csv", "recipient\n1\n2"))) == [(2, ["1"]), (3, ["2"])]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("recipient", ","),
        ('sep="', ","),
        ('recipient;"a,b,c"', ";"),
        ('"a ""x,y,z"" b"|recipient', "|"),
        ("\n\nrecipient;name", ";"),
        ('"first,\nname,";recipient', ";"),
        ("sep=|\nrecipient|a,b,c", "|"),
        ("SEP=\t\r\nrecipient\ta,b,c", "\t"),
    ],
)
def test_the_delimiter_is_what_the_header_has_most_of_outside_of_quotes(
    tmp_path: Path, header: str, delimiter: str
) -> None:
    assert open_table(write(tmp_path / "x.csv", f"{header}\n1\n")).delimiter == delimiter


@pytest.mark.parametrize(("named", "delimiter"), [("pipe", "|"), ("|", "|"), ("Tab", "\t"), ("\\t", "\t"), (" ", " ")])
def test_a_delimiter_that_is_given_wins(tmp_path: Path, named: str, delimiter: str) -> None:
    file = write(tmp_path / "x.csv", f"sep=;\nrecipient{delimiter}a;b,c;d\n1{delimiter}2\n")
    opened = open_table(file, delimiter=named)
    assert (opened.columns, list(opened)) == (("recipient", "a;b,c;d"), [(3, ["1", "2"])])


def test_the_name_of_an_encoding_is_told_the_plain_way(tmp_path: Path) -> None:
    assert open_table(write(tmp_path / "x.csv", "recipient\n1\n"), encoding="utf-8-sig").encoding == "utf-8"


def test_an_older_code_page_is_read_when_it_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", "recipient;name\n+61491570006;Zoë\n".encode("cp1252"))
    assert [cells for _, cells in open_table(file, encoding="cp1252")] == [["+61491570006", "Zoë"]]


def test_excels_own_first_line_is_honoured(tmp_path: Path) -> None:
    opened = open_table(write(tmp_path / "x.csv", "sep=;\nrecipient;a,b\n+61491570006;1\n"))
    assert opened.columns == ("recipient", "a,b")
    assert list(opened) == [(3, ["+61491570006", "1"])]


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", 'recipient,note\n\n1,"two\nlines"\n,\n2,x\n')
    assert list(open_table(file)) == [(3, ["1", "two\nlines"]), (6, ["2", "x"])]


def test_rows_have_as_many_cells_as_the_header_unless_the_surplus_says_something(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", "recipient,name\n1,a,,\n2,b,c,\n3\n4,d, ,\u00a0\u200b\n")
    opened = open_table(file)
    assert opened.columns == ("recipient", "name")
    assert [cells for _, cells in opened] == [["1", "a"], ["2", "b", "c"], ["3", ""], ["4", "d"]]


def test_columns_without_a_name_are_columns(tmp_path: Path) -> None:
    opened = open_table(write(tmp_path / "x.csv", "\ufeff\ufeff,recipient\u200b , ,\n1,2,3,4\n"))
    assert opened.columns == ("", "recipient", "", "")
    assert list(opened) == [(2, ["1", "2", "3", "4"])]


@pytest.mark.parametrize("blank", ["", ",", ",,,,", " , ", "\u00a0,\u200b", '"",""', '" "'])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_blank_rows_are_no_rows(tmp_path: Path, blank: str, ending: str) -> None:
    lines = [blank, "recipient,name", blank, "1,Ann", blank, blank, "2,Ben", blank]
    opened = open_table(write(tmp_path / "x.csv", ending.join(lines)))
    assert (opened.columns, opened.rows) == (("recipient", "name"), 2)
    assert list(opened) == [(4, ["1", "Ann"]), (7, ["2", "Ben"])]


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_line_end_inside_a_cell_is_one_newline(tmp_path: Path, inside: str, ending: str) -> None:
    text = f'recipient,note{ending}1,"two{inside}lines"{ending}2,x{ending}'
    assert list(open_table(write(tmp_path / "x.csv", text))) == [(2, ["1", "two\nlines"]), (4, ["2", "x"])]


@pytest.mark.parametrize("line", ['"sep=,"', "sep=;,,", "sep=,,", "sep=", '"sep=;"'])
def test_a_line_for_excel_that_another_program_wrote_again_is_no_header(tmp_path: Path, line: str) -> None:
    opened = open_table(write(tmp_path / "x.csv", f"{line}\nrecipient\tname\n1\t2\n"))
    assert (opened.columns, opened.delimiter) == (("recipient", "name"), "\t")
    assert list(opened) == [(3, ["1", "2"])]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_every_byte_order_mark_is_known(tmp_path: Path, encoding: str) -> None:
    opened = open_table(write(tmp_path / "x.csv", "\ufeffrecipient,name\r\n1,Zo\u00eb\r\n".encode(encoding)))
    assert list(opened) == [(2, ["1", "Zo\u00eb"])]


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
        ("recipient,name\n1,Zoë\n".encode("utf-16-be"), {}, "line 1 holds a NUL; if it is UTF-16"),
        ("recipient\n\0\n".encode("utf-16"), {}, "line 2 holds a NUL; take it out"),
        (b"\xff\xfer", {}, "line 1 is not UTF-16; save it as"),
        ("recipient\r\n1\r\n".encode("utf-16") + b"\x00\xd8a\x00", {}, "line 3 is not UTF-16"),
        (b"recipient\r1\r\xe9\r", {}, "line 3: byte 0xE9 is not UTF-8"),
        (b'recipient\r\n"1\r\n"\r\n\xe9\r\n', {}, "line 4: byte 0xE9 is not UTF-8"),
        (b"recipient\n" + b"+61491570006\n" * 20_000 + b"\xc3", {}, "line 20002: byte 0xC3 is not UTF-8"),
        (b"recipient\n1\n\x81\n", {"encoding": "cp1252"}, "line 3: byte 0x81 is not cp1252; give the right"),
        (b"recipient\n1\n2", {"encoding": "utf-9"}, "'utf-9' is not the name of an encoding; did you mean"),
        (b"recipient\n1\n2", {"encoding": "base64"}, "'base64' is not the name of an encoding"),
        (b"recipient\n1\n2", {"encoding": "cp-1252"}, "did you mean cp1252?"),
        (b"recipient\n1\n2", {"encoding": "undefined"}, "'undefined' is not the name of an encoding; give utf-8"),
        (b"recipient\n1\n2", {"encoding": "utf\0"}, "is not the name of an encoding"),
        (b"recipient\n1\n2", {"delimiter": "\0"}, "is not one character"),
        (b"recipient\n1\n2", {"delimiter": "xy"}, "'xy' is not one character"),
        (b'recipient\n"1\n', {}, "line 2: a quote is never closed"),
        (b'recipient\n"1"x\n', {}, "line 2: text follows a closing quote"),
        (b'recipient,a,b\n1,"two\nlines","never\n2,x,y\n', {}, "line 3: a quote is never closed"),
        (b'sep=;\n"recipient\n', {}, "line 2: a quote is never closed"),
        (b'a,b\n%b,"two\n","never\n' % (b"x" * MAX_FIELD), {}, "line 3: a quote is never closed"),
        (b'a,b\n"%b","two\n","never\n' % (b'""' * MAX_FIELD), {}, "line 3: a quote is never closed"),
        (b'recipient,a,b\r\n1,"two\r\nlines","' + b"x\r\n" * 90_000, {}, "line 3: a cell is longer than 65,536"),
        (b'recipient\n1\n"' + b"x\n" * 5000, {}, "line 3: a quote is never closed"),
        (b'recipient\n1\n"' + b"x\n" * 2_500_000, {}, "line 3: a cell is longer than 65,536 characters"),
        (b'recipient,a\n1,2\n3,"' + b"x" * 10_000_000 + b'"\n', {}, "line 3: a cell is longer than 65,536"),
        (b"a,b,c,d,e,f\n" + b",".join([b"x" * 60_000] * 6), {}, "line 2: the row is longer than 262,144"),
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


@pytest.mark.parametrize("heading", ["recipient,2024-01-01", "recipient,code 12", "recipient,1", "recipient,+1"])
def test_a_header_with_a_date_or_a_small_number_is_a_header(tmp_path: Path, heading: str) -> None:
    assert ",".join(open_table(write(tmp_path / "x.csv", f"{heading}\n1,2\n")).columns) == heading


def test_a_cell_may_have_many_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", 'recipient,note\n1,"' + "x\n" * 5000 + '"\n2,y\n')
    assert [(line, cells[0]) for line, cells in open_table(file)] == [(2, "1"), (5003, "2")]


def test_the_limit_of_fields_that_other_code_sees_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    with pytest.raises(InvalidCampaign):
        open_table(write(tmp_path / "x.csv", "recipient\n" + "x" * 1_000_000))
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("begins", "says"),
    [
        (b"recipient\n", "line 2: a cell is longer than 65,536 characters"),
        (b"recipient\n\xe9", "line 2: byte 0xE9 is not UTF-8"),
        (b"", "line 1: a cell is longer than 65,536 characters"),
        (b'"', "line 1: a cell is longer than 65,536 characters"),
    ],
)
def test_a_huge_line_is_refused_before_it_fills_the_memory(tmp_path: Path, begins: bytes, says: str) -> None:
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.write(begins)
        for _ in range(100):
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
    assert said.startswith(f"file: {says}")
    assert int(megabytes) < 20


def test_a_cell_of_the_largest_size_is_taken(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", f"recipient,note\n1,{'x' * MAX_FIELD}\n2,{'y' * 10}\n")
    assert [len(cells[1]) for _, cells in open_table(file)] == [MAX_FIELD, 10]
    write(file, f"recipient,note\n1,{'x' * (MAX_FIELD + 1)}\n")
    with pytest.raises(InvalidCampaign, match="longer than 65,536"):
        open_table(file)


_CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 10**9).map(str), _CELLS, _CELLS), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_written_is_read_back_with_the_lines_that_an_editor_shows(
    tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str, encoding: str, ending: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(["recipient", "one", "two"])
    expected = []
    for row in rows:
        cells = [re.sub(r"\r\n|\r", "\n", cell) for cell in row]
        expected.append((1 + len(re.findall(r"\r\n|\r|\n", out.getvalue())), cells))
        writer.writerow(row)
    file = write(tmp_path / "x.csv", out.getvalue().encode(encoding))
    opened = open_table(file)
    assert list(opened) == expected
    assert opened.rows == len(rows)
    assert list(opened) == expected, "a table can be read again"


def test_the_examples_hold() -> None:
    assert doctest.testmod(table).failed == 0
