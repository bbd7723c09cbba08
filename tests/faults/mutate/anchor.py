"""Finds the piece of code that a mutation replaces: by function and statement, up to formatting and renaming.

A piece matches if its tokens are the wanted ones, white space aside. If no piece does, one matches whose identifiers
were renamed consistently (``due`` → ``backlog`` everywhere), and the replacement is renamed the same way. The search
widens from the named function to its file to every file of that kind beside it, and stops at the first unique match.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

_TOKEN = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|\w+|[^\w\s]")
_KEYWORDS = {*keyword.kwlist, "local", "then", "end", "elseif", "function"}


class AnchorLost(ValueError):
    """The piece to replace does not exist, or exists more than once."""


@dataclass(frozen=True, slots=True)
class Match:
    """A piece of a file, and the names that differ in it from the wanted ones."""

    file: Path
    start: int
    end: int
    renamed: dict[str, str]

    def replaced(self, new: str) -> str:
        """Return the text of the file with the piece replaced by ``new``, renamed like the piece."""
        whole = self.file.read_text()
        column = self.start - (whole.rfind("\n", 0, self.start) + 1)
        placed = indent(dedent(new).strip("\n"), " " * column)[column:] if new else self._nothing(whole)
        renamed = _TOKEN.sub(lambda token: self.renamed.get(token[0], token[0]), placed)
        return whole[: self.start] + renamed + whole[self.end :]

    def _nothing(self, whole: str) -> str:
        """Return what stands for a removed piece: ``pass`` for a statement of Python, else nothing."""
        piece = whole[self.start : self.end]
        part = piece.startswith(".") or piece.endswith(",")
        return "" if part or self.file.suffix != ".py" else "pass"


def find(root: Path, file: str, function: str, old: str) -> Match:
    """Return the only piece of code that is ``old``.

    :param file: where it is, relative to ``root``; another file below the same top folder if it has moved.
    :param function: the qualified name of the function or class around it; empty for the whole file.
    :raises AnchorLost: no piece matches, or several do equally well.
    """
    wanted = [token[0] for token in _TOKEN.finditer(old)]
    for places in _places(root, file, function):
        for renaming in (False, True):
            found = [match for path, start, end in places for match in _in(path, start, end, wanted, renaming=renaming)]
            fewest = min((len(match.renamed) for match in found), default=0)
            found = [match for match in found if len(match.renamed) == fewest]
            if len(found) == 1:
                return found[0]
            if found:
                lines = ", ".join(f"{each.file}:{_line(each)}" for each in found[:5])
                raise AnchorLost(
                    f"{old!r} matches {len(found)} pieces ({lines}); name the function, or more of the code"
                )
    raise AnchorLost(f"{file}: {function or 'the file'} contains no {old!r}, renamed or not")


def _places(root: Path, file: str, function: str) -> Iterator[list[tuple[Path, int, int]]]:
    path = root / file
    if path.exists():
        if function and (span := _span(path.read_text(), function)):
            yield [(path, *span)]
        yield [(path, 0, -1)]
    top = root / Path(file).parts[0]
    yield [(each, 0, -1) for each in sorted(top.rglob(f"*{Path(file).suffix}")) if each != path]


def _span(text: str, function: str) -> tuple[int, int] | None:
    """Return where a function's or class's text begins and ends."""
    body: list[ast.stmt] = ast.parse(text).body
    node: ast.stmt | None = None
    for name in function.split("."):
        node = next((each for each in body if getattr(each, "name", None) == name), None)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return None
        body = node.body
    assert node is not None
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: node.lineno - 1])), sum(map(len, lines[: node.end_lineno]))


def _in(path: Path, start: int, end: int, wanted: list[str], *, renaming: bool) -> Iterator[Match]:
    text = path.read_text()
    tokens = list(_TOKEN.finditer(text, start, len(text) if end < 0 else end))
    for place in range(len(tokens) - len(wanted) + 1):
        may_change = _is_name if renaming else _never
        renamed = _unified(wanted, tokens[place : place + len(wanted)], may_change)
        if renamed is not None:
            yield Match(path, tokens[place].start(), tokens[place + len(wanted) - 1].end(), renamed)


def _unified(wanted: list[str], found: list[re.Match[str]], may_change: Callable[[str], bool]) -> dict[str, str] | None:
    """Return which wanted name is called what here; ``None`` if this is other code."""
    renamed: dict[str, str] = {}
    for name, token in zip(wanted, found, strict=True):
        here = token[0]
        if not may_change(name) or not may_change(here):
            if name != here:
                return None
        elif renamed.setdefault(name, here) != here:
            return None
    if len(set(renamed.values())) < len(renamed):
        return None
    changed = {name: here for name, here in renamed.items() if name != here}
    # With most names different it is other code of the same shape.
    return changed if len(changed) * 2 <= len(renamed) else None


def _is_name(token: str) -> bool:
    """Return whether a token can be renamed. Keywords of SQL are matched before: only few names may differ."""
    return token.isidentifier() and token not in _KEYWORDS


def _never(token: str) -> bool:
    return False


def _line(match: Match) -> int:
    return match.file.read_text().count("\n", 0, match.start) + 1
