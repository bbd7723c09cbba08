"""Files of recipients as spreadsheets write them: looked at whole before the first row is used, never held whole."""

from __future__ import annotations

import codecs
import csv
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from encodings.aliases import aliases
from io import TextIOWrapper
from pathlib import Path

from dispatcher.campaigns.formats import other_format
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.texts import is_blank, trimmed, with_newlines

MAX_FIELD = 65_536
"""Characters in a cell; what is longer is a mistake, most often a quote that was never closed."""
_MAX_ROW = 4 * MAX_FIELD
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_MARKS = (  # the longer ones first: that of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = ("_codec", "rot_13", "mbcs")  # encodings to Python, yet none of text, or not on every system
_SEPARATOR = re.compile(r'sep=([^"\r\n\0])\s*\Z', re.IGNORECASE)
"""The line before the header that names the delimiter to Excel."""
_OLD_SEPARATOR = re.compile(r'(?:sep=[^"\r\n\0]?|"sep=[^"\r\n\0]?")[,;\t| ]*\s*\Z', re.IGNORECASE)
"""The same line after a program read it as a row and wrote it again: its delimiter need not be the file's."""
_QUOTED = re.compile(r'"[^"]*(?:"|\Z)')
_ENDING = re.compile(r"\r\n?|\n")
_UNENDING = f"a cell is longer than {MAX_FIELD:,} characters, most likely since its quote is never closed"
_REASONS = {
    "end of data": "a quote is never closed; close it, or write it twice where it is meant",
    "expected after": "text follows a closing quote; inside of quotes write a quote twice",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file that was looked at from end to end; iterating reads it once more."""

    path: Path = field(repr=False)
    columns: tuple[str, ...]
    encoding: str
    delimiter: str
    digest: str  # SHA-256 of its bytes
    rows: int  # blank lines not counted
    size: int  # bytes

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each row's first line (the file's first is 1), and its cells.

        Spreadsheets leave out the empty cells at the end of a row, or write too many of them: a row has as many cells
        as the header, and more only if the surplus is not blank.
        """
        width = len(self.columns)
        with _text(self.path, self.encoding) as text:
            rows = _Rows(text, self.delimiter).read()
            next(rows, None)  # the header
            for line, cells in rows:
                while len(cells) > width and is_blank(cells[-1]):
                    cells.pop()
                if len(cells) < width:
                    cells.extend([""] * (width - len(cells)))
                yield line, cells


def open_table(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> Table:
    """Look at a whole file, and say what is in it.

    :param encoding: of the file; if left out its byte order mark decides, else it is UTF-8. Older code pages are never
        guessed: a wrong guess would go to everybody.
    :param delimiter: a character or its name; if left out, what the header has most of.
    :raises InvalidCampaign: what is wrong with it, and in which line.
    """
    try:
        other = other_format(path)
        if other is not None:
            raise _wrong(other)
        digest, size, mark = _bytes(path)
        if size == 0:
            raise _wrong("is empty; give one with a header and a row for each recipient")
        known = _encoding(encoding) if encoding is not None else mark
        separator = _delimiter(delimiter) if delimiter is not None else _most_likely(_header(path, known))
        with _text(path, known) as text:
            rows = _Rows(text, separator).read()
            columns = _columns(next(rows, (0, []))[1])
            count = sum(1 for _ in rows)
    except OSError as error:
        raise _wrong(f"cannot be read: {error.strerror or error} ({path.name})") from None
    except UnicodeError as error:
        raise _wrong(_undecodable(path, known, named=encoding, error=error)) from None
    if count == 0:
        raise _wrong("has a header and no row; give a row for each recipient")
    return Table(path=path, columns=columns, encoding=known, delimiter=separator, digest=digest, rows=count, size=size)


def _text(path: Path, encoding: str, errors: str = "strict") -> TextIOWrapper:
    return path.open(encoding=encoding, errors=errors, newline="")


class _Rows:
    """Rows with the line on which each begins; one that does not end is refused before it fills the memory."""

    def __init__(self, text: TextIOWrapper, delimiter: str) -> None:
        self._text = text
        self._delimiter = delimiter
        self._line = self._begun = self._length = 0
        self._taken: list[str] = []

    def read(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            self._begun, self._length, self._taken = self._line + 1, 0, []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._refused(str(error)) from None
            if self._length > MAX_FIELD and any(len(cell) > MAX_FIELD for cell in cells):
                raise self._refused(_UNENDING)
            if all(map(is_blank, cells)):
                continue
            if len(self._taken) > 1:
                cells = [with_newlines(cell) for cell in cells]
            yield self._begun, cells

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(_MAX_ROW + 1):
            self._line += 1
            if self._line == 1:
                line = line.removeprefix("\ufeff")
                if _OLD_SEPARATOR.match(line):
                    self._begun = 2
                    continue
            self._length += len(line)
            self._taken.append(line)
            if "\x00" in line:
                raise _wrong(_nul(self._line, self._text.encoding))
            if self._length > _MAX_ROW:
                raise self._refused(f"the row is longer than {_MAX_ROW:,} characters; leave out what is not used")
            yield line

    def _refused(self, why: str) -> InvalidCampaign:
        """Say what is wrong with the row that is being read, and in which line the cell at fault begins."""
        before, cell = _at_fault("".join(self._taken), self._delimiter)
        line = self._begun + len(_ENDING.findall(before))
        told = next((told for part, told in _REASONS.items() if part in why), None)
        return _wrong(f"line {line}: {told or (_UNENDING if len(cell) > MAX_FIELD else why)}")


def _at_fault(row: str, delimiter: str) -> tuple[str, str]:
    """Divide a row before the first cell that is too long, else before the one that does not end as a cell should.

    >>> _at_fault('1,"two\\nlines","never closed\\n', ",")
    ('1,"two\\nlines",', '"never closed\\n')
    """
    end = re.escape(delimiter)
    whole = re.compile(rf'(?:"((?:[^"]|"")*+)"|(?!")[^{end}\r\n]*+){end}')
    place = 0
    while cell := whole.match(row, place):
        if len(cell[0][:-1] if cell[1] is None else cell[1].replace('""', '"')) > MAX_FIELD:
            break
        place = cell.end()
    return row[:place], row[place:]


def _bytes(path: Path) -> tuple[str, int, str]:
    """Return the file's digest, its size, and the encoding that its beginning tells."""
    with path.open("rb") as file:
        begin = file.read(4)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell(), next((name for mark, name in _MARKS if begin.startswith(mark)), "utf-8")


def _header(path: Path, encoding: str) -> str:
    """Return the first lines that are not blank: one, or more if a name in quotes goes over its end."""
    header = ""
    with _text(path, encoding) as text:
        while line := text.readline(MAX_FIELD):
            header = line.removeprefix("\ufeff") if is_blank(header) else f"{header}{line}"
            if _OLD_SEPARATOR.match(header) and not _SEPARATOR.match(header):
                header = ""
            if not is_blank(header) and (header.count('"') % 2 == 0 or len(header) > MAX_FIELD):
                break
    return header


def _most_likely(header: str) -> str:
    """Return what a header has most of outside of quotes, unless Excel's own line says it.

    >>> _most_likely('name;"a,b,c";phone'), _most_likely("sep=|")
    (';', '|')
    """
    said = _SEPARATOR.match(header)
    if said is not None:
        return said[1]
    counts = Counter(_QUOTED.sub("", header))
    return max(_DELIMITERS.values(), key=lambda delimiter: counts[delimiter])


def _delimiter(given: str) -> str:
    known = _DELIMITERS.get(given.strip().lower(), given.replace("\\t", "\t"))
    if len(known) != 1 or known in '"\r\n\0':
        raise InvalidCampaign("delimiter", f"{given!r} is not one character; give comma, semicolon, tab or pipe")
    return known


def _encoding(given: str) -> str:
    try:
        "x".encode(given)
    except (LookupError, ValueError):
        every = (*aliases.values(), *aliases)
        known = [name for name in every if not aliases.get(name, name).endswith(_NO_TEXT)]
        near = difflib.get_close_matches(given.lower().replace("-", "_"), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; give utf-8, utf-16, cp1252 or another"
        raise InvalidCampaign("encoding", f"{given!r} is not the name of an encoding{hint}") from None
    return codecs.lookup(given).name.removesuffix("-sig")


def _columns(header: list[str]) -> tuple[str, ...]:
    """Return the columns' names; a column without one, or with the name of another, matters only where it is used."""
    if not header:
        raise _wrong("has nothing but blank lines; give a header and a row for each recipient")
    return tuple(trimmed(name) for name in header)


def _undecodable(path: Path, encoding: str, *, named: str | None, error: UnicodeError) -> str:
    """Say which line holds what is not of the encoding; what cannot be decoded is read as a mark that shows."""
    hint = "give the right --encoding" if named else "save it as 'CSV UTF-8', or name its encoding: --encoding cp1252"
    shown = encoding.upper() if encoding.startswith("utf") else encoding
    wide = encoding.startswith(("utf-16", "utf-32"))
    line, errors, mark = (1, "replace", "\ufffd") if wide else (1, "surrogateescape", "[\udc80-\udcff]")
    with suppress(UnicodeError), _text(path, encoding, errors) as text:
        while piece := text.readline(MAX_FIELD):
            if "\x00" in piece:
                return _nul(line, encoding)
            if wrong := re.search(mark, piece):
                what = "" if wide else f": byte 0x{ord(wrong[0]) & 0xFF:02X}"
                return f"line {line}{what} is not {shown}; {hint}"
            line += piece.endswith(("\r", "\n"))
    return f"is not {shown} ({getattr(error, 'reason', error)}); {hint}"


def _nul(line: int, encoding: str) -> str:
    likely = "if it is UTF-16 without its mark, name it: --encoding utf-16-le (or utf-16-be)"
    return f"line {line} holds a NUL; {likely if encoding == 'utf-8' else 'take it out'}"


def _wrong(problem: str) -> InvalidCampaign:
    return InvalidCampaign("file", problem)
