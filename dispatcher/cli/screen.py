"""What commands print: text for people, one JSON document for programs. What others wrote is shown inert in both."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDE = 110
"""From this many columns on, lists have one line for each message."""
_PIPED_WIDTH = 240
"""Where nobody looks, lines are not wrapped at 80: `grep` wants them whole."""
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters (escape sequences begin with one), and those that change the direction of what follows."""

_BLANKS_AT_END = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$")


def show(*parts: RenderableType) -> None:
    """Print parts of a result, below one another; tables without the blanks that fill their lines up."""
    console = paper()
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    for line in capture.get().splitlines():
        typer.echo(_BLANKS_AT_END.sub(r"\1", line), color=True)


def say(line: str) -> None:
    """Print one line that stays one, however long: commands in it can be copied."""
    typer.echo(inert(line))


def paper() -> Console:
    """Return what a command prints its result on."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(markup=False, emoji=False, highlight=False, width=width)


def margin() -> Console:
    """Return what remarks that need more than a line are printed on (stderr)."""
    return Console(markup=False, emoji=False, highlight=False, stderr=True)


def remark(line: str) -> None:
    """Print a remark on stderr, so that stdout holds nothing but the result."""
    typer.echo(inert(line), err=True)


def inert(text: str) -> str:
    r"""Return a text on one line that can do nothing to a terminal: every control character is written out.

    >>> inert("\x1b[2Jdone\n")
    '\\x1b[2Jdone\\n'
    """
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def inert_lines(text: str) -> str:
    """Return a text that can do nothing to a terminal but begin new lines."""
    return "\n".join(inert(line) for line in text.split("\n"))


def print_json(document: Mapping[str, Any]) -> None:
    """Print the one JSON document of a command."""
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    written = json.dumps(document, default=_as_json, indent=2, ensure_ascii=plain)
    # json leaves C1 controls and direction marks as they are; as escapes they mean the same to programs.
    print("\n".join(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in written.split("\n")))


def _as_json(value: object) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return round(value.total_seconds(), 3)
        case Enum():
            return value.value
        case Decimal() | UUID():
            return str(value)
        case frozenset() | set():
            return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def listing(*heads: str, right: Sequence[str] = (), gap: int = 2) -> Table:
    """Begin a table without lines: heads in bold, blanks between columns, whole values but in the last column.

    :param right: the heads whose columns are aligned to the right.
    """
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for head in heads:
        last = head == heads[-1]
        table.add_column(head, justify="right" if head in right else "left", no_wrap=not last, overflow="fold")
    return table


def facts(rows: Sequence[tuple[str, str | Text]], *, indent: int = 0) -> Table:
    """Return names and values side by side."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(indent):
        table.add_column(width=1)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(*[""] * indent, name, value)
    return table


def headline(text: str) -> Text:
    """Return the line above a part of the screen."""
    return Text(text, style="bold")
