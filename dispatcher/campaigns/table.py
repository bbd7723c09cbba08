"""Files of recipients as spreadsheets write them: looked at whole before the first row is used, never held whole."""

from __future__ import annotations

import codecs
import csv
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from encodings.aliases import aliases
from io import TextIOWrapper
from pathlib import Path

from dispatcher.domain.errors import InvalidCampaign

MAX_FIELD = 65_536
"""Characters in a cell; what is longer is a mistake, most often a quote that was never closed."""
MAX_LINES = 1000
"""Lines that one row may take."""
_MAX_ROW = 4 * MAX_FIELD
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEPARATOR = re.compile(r"\ufeff?sep=(.)\s*\Z", re.IGNORECASE)
"""What Excel may write before the header."""
_QUOTED = re.compile(r'"[^"]*"')
_LOOKS_LIKE_A_NUMBER = re.compile(r"\+?\d[\d ()-]{8,}\Z")
_UNENDING = f"a cell is longer than {MAX_FIELD:,} characters, most likely since its quote is never closed"
_REASONS = {
    "limit": _UNENDING,
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
    digest: str
    """SHA-256 of its bytes."""
    rows: int
    """Blank lines not counted."""
    size: int
    """Bytes."""

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each row's first line (the file's first is 1), and its cells; ragged rows as they are."""
        width = len(self.columns)
        with _rows(self.path, self.encoding, self.delimiter) as rows:
            next(rows, None)  # the header
            for line, cells in rows:
                while len(cells) > width and not cells[-1]:
                    cells.pop()
                yield line, cells


def open_table(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> Table:
    """Look at a whole file, and say what is in it.

    :param encoding: of the file; if left out its byte order mark decides, else it is UTF-8. Older code pages are never
        guessed: a wrong guess would go to everybody.
    :param delimiter: a character or its name; if left out, what the header has most of.
    :raises InvalidCampaign: what is wrong with it, and in which line.
    """
    try:
        digest, size, mark = _bytes(path)
        if size == 0:
            raise _wrong("is empty; give one with a header and a row for each recipient")
        known = _encoding(encoding) if encoding is not None else mark
        separator = _delimiter(delimiter) if delimiter is not None else _most_likely(_first_lines(path, known))
        with _rows(path, known, separator) as rows:
            columns = _columns(next(rows, (0, []))[1])
            count = sum(1 for _ in rows)
    except OSError as error:
        raise _wrong(f"cannot be read: {error.strerror or error} ({path.name})") from None
    except UnicodeError as error:
        raise _wrong(_undecodable(path, known, named=encoding, error=error)) from None
    if count == 0:
        raise _wrong("has a header and no row; give a row for each recipient")
    return Table(path=path, columns=columns, encoding=known, delimiter=separator, digest=digest, rows=count, size=size)


@contextmanager
def _rows(path: Path, encoding: str, delimiter: str) -> Iterator[Iterator[tuple[int, list[str]]]]:
    with path.open(encoding=encoding, errors="strict", newline="") as text:
        yield _Rows(text, delimiter).read()


class _Rows:
    """Rows with the line on which each begins; one that does not end is refused before it fills the memory."""

    def __init__(self, text: TextIOWrapper, delimiter: str) -> None:
        self._text = text
        self._delimiter = delimiter
        self._line = 0
        self._begun = 0
        self._length = 0

    def read(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            self._begun, self._length = self._line + 1, 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                why = next((why for part, why in _REASONS.items() if part in str(error)), str(error))
                raise _wrong(f"line {self._begun}: {why}") from None
            if self._length > MAX_FIELD and any(len(cell) > MAX_FIELD for cell in cells):
                raise _wrong(f"line {self._begun}: {_UNENDING}")
            if any(cells):
                yield self._begun, cells

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(_MAX_ROW + 1):
            self._line += 1
            self._length += len(line)
            if "\x00" in line:
                hint = "if it is UTF-16 without its mark, name it: --encoding utf-16-le"
                raise _wrong(f"line {self._line} holds a NUL; {hint}")
            if self._length > _MAX_ROW or self._line - self._begun >= MAX_LINES:
                raise _wrong(f"line {self._begun}: {_UNENDING}")
            if self._line == 1 and _SEPARATOR.match(line):
                self._begun, self._length = 2, 0
                continue
            yield line


def _bytes(path: Path) -> tuple[str, int, str]:
    """Return the file's digest, its size, and the encoding that its beginning tells."""
    digest, size, mark = hashlib.sha256(), 0, "utf-8"
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            if size == 0:
                mark = next((name for begin, name in _MARKS if chunk.startswith(begin)), mark)
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size, mark


def _first_lines(path: Path, encoding: str) -> list[str]:
    with path.open(encoding=encoding, errors="strict", newline="") as text:
        return [text.readline(MAX_FIELD) for _ in range(2)]


def _most_likely(lines: list[str]) -> str:
    """Return what a header has most of outside of quotes, unless Excel's own line says it.

    >>> _most_likely(['name;"a,b,c";phone', ''])
    ';'
    """
    said = _SEPARATOR.match(lines[0])
    if said is not None:
        return said[1]
    counts = Counter(_QUOTED.sub("", lines[0]))
    return max(_DELIMITERS.values(), key=lambda delimiter: counts[delimiter])


def _delimiter(given: str) -> str:
    known = _DELIMITERS.get(given.strip().lower(), given.replace("\\t", "\t"))
    if len(known) != 1 or known in '"\r\n':
        raise InvalidCampaign("delimiter", f"{given!r} is not one character; give comma, semicolon, tab or pipe")
    return known


def _encoding(given: str) -> str:
    try:
        codec = codecs.lookup(given)
        "x".encode(given)
    except LookupError:
        near = difflib.get_close_matches(given.lower().replace("-", "_"), [*aliases, *aliases.values()], n=1)
        hint = f"; did you mean {near[0]}?" if near else "; give utf-8, utf-16, cp1252 or another"
        raise InvalidCampaign("encoding", f"{given!r} is not the name of an encoding{hint}") from None
    return "utf-8-sig" if codec.name == "utf-8" else codec.name


def _columns(header: list[str]) -> tuple[str, ...]:
    names = [name.strip().lstrip("\ufeff").strip() for name in header]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise _wrong("has nothing but blank lines; give a header and a row for each recipient")
    if any(_LOOKS_LIKE_A_NUMBER.match(name) for name in names):
        raise _wrong("has no header; begin it with the columns' names, e.g. recipient")
    for place, name in enumerate(names, start=1):
        if not name:
            raise _wrong(f"has no name above column {place}; give it one")
        if names.index(name) + 1 != place:
            raise _wrong(f"has two columns {name!r}; call them differently")
    return tuple(names)


def _undecodable(path: Path, encoding: str, *, named: str | None, error: UnicodeError) -> str:
    shown = "UTF-8" if encoding in ("utf-8", "utf-8-sig") else encoding
    hint = "give the right --encoding" if named else "save it as 'CSV UTF-8', or name its encoding: --encoding cp1252"
    if not shown.lower().startswith(("utf-16", "utf-32")):
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode(encoding)
                except UnicodeDecodeError as wrong:
                    return f"line {number}: byte 0x{line[wrong.start]:02X} is not {shown}; {hint}"
    return f"is not {shown} ({getattr(error, 'reason', error)}); {hint}"


def _wrong(problem: str) -> InvalidCampaign:
    return InvalidCampaign("file", problem)
