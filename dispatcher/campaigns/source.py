"""Where recipients come from: a file of a spreadsheet, or anything in Python that can be iterated. Never held whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.campaigns.table import open_table
from dispatcher.domain.campaign import RECIPIENT
from dispatcher.domain.errors import InvalidCampaign

Recipients = str | Path | Iterable[str | Mapping[str, object]]
"""A file's path, numbers, or mappings from column to value."""


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
            rows=table,
            count=table.rows,
            digest=table.digest,
            read_as=f"{table.encoding}, {named}",
        )
    return _iterable(recipients)


def _iterable(recipients: Iterable[str | Mapping[str, object]]) -> Source:
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
            yield number, ["" if value is None else str(value) for value in values]
        else:
            yield number, [str(each)]
