"""Where recipients come from: a file of a spreadsheet, or anything in Python that can be iterated. Never held whole."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.campaigns.missing import cell_text
from dispatcher.campaigns.table import Table, open_table
from dispatcher.domain.campaign import RECIPIENT
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.state import State

Recipients = str | Path | Iterable[str | Mapping[str, object]]
"""A file's path, numbers, or mappings from column to value."""
_DIGITS = re.compile(r"[1-9]\d{6,14}\Z", re.ASCII)
_STATES = frozenset(state.value for state in State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows under named columns."""

    name: str
    columns: tuple[str, ...]
    rows: Iterable[tuple[int, list[str]]] = field(repr=False)
    """The line (from 1) and its cells."""
    count: int | None
    """How many rows there are, if that is known beforehand."""
    digest: str
    """Of the file's bytes; empty for what is no file."""
    read_as: str
    """Encoding and delimiter, for people."""


def open_source(recipients: Recipients, *, encoding: str | None = None, delimiter: str | None = None) -> Source:
    """Open recipients; of a file every line is looked at before the first is used.

    :raises InvalidCampaign: the file cannot be read as a table, or there are no rows at all.
    """
    if isinstance(recipients, str | Path):
        path = Path(recipients)
        table = open_table(path, encoding=encoding, delimiter=delimiter)
        named = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "pipes"}.get(table.delimiter, table.delimiter)
        return Source(
            name=path.name,
            columns=table.columns,
            rows=_Restored(table) if _is_export(table.columns) else table,
            count=table.rows,
            digest=table.digest,
            read_as=f"{table.encoding}, {named}",
        )
    return _iterable(recipients)


def _iterable(recipients: Iterable[str | Mapping[str, object]]) -> Source:
    if isinstance(recipients, Mapping):
        raise InvalidCampaign("recipients", "are one mapping; give a list of them, one for each recipient")
    if hasattr(recipients, "iterrows") or hasattr(recipients, "iter_rows"):  # pandas, polars: these iterate columns
        how = "to_dict('records')" if hasattr(recipients, "iterrows") else "to_dicts()"
        raise InvalidCampaign("recipients", f"are a {type(recipients).__name__}; give its rows: .{how}")
    stream = iter(recipients)
    first = next(stream, None)
    if first is None:
        raise InvalidCampaign("recipients", "are none; give at least one")
    columns = (RECIPIENT,) if isinstance(first, str) else tuple(str(name) for name in first)
    if not columns:
        raise InvalidCampaign("recipients", "begin with an empty mapping; the first one's keys are the columns' names")
    return Source(
        name="python",
        columns=columns,
        rows=_cells(itertools.chain([first], stream), columns),
        count=len(recipients) if isinstance(recipients, Sized) else None,
        digest="",
        read_as="Python values",
    )


def _cells(
    recipients: Iterable[str | Mapping[str, object]], columns: tuple[str, ...]
) -> Iterator[tuple[int, list[str]]]:
    for number, each in enumerate(recipients, start=1):
        if isinstance(each, Mapping):
            values = (each.get(name) for name in columns)
            yield number, [cell_text(value) for value in values]
        else:
            yield number, [cell_text(each)]


def _is_export(columns: tuple[str, ...]) -> bool:
    """Return whether a file has the columns with which `campaign export` begins."""
    return columns[:2] == (RECIPIENT, "state")


@dataclass(frozen=True, slots=True)
class _Restored:
    """An export that a spreadsheet saved again, with the plus signs that it took for those of numbers.

    A row is the export's own if its second cell is a state of ours. Its number was written in E.164, so its digits
    begin with the country's code, and nothing is guessed. Digits that the spreadsheet rounded away stay away.
    """

    table: Table

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for line, cells in self.table:
            if _DIGITS.match(cells[0]) and cells[1] in _STATES:
                cells[0] = f"+{cells[0]}"
            yield line, cells
