"""The table of mutations is current: each statement to replace exists, and so does the test that must notice."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mutate.anchor import AnchorLost, Match, find
from tests.faults.mutate.table import MUTATIONS, Mutation, as_table

ROOT = Path(__file__).resolve().parents[2]

CODE = """\
class Clock:
    def run_once(self, now):
        due = self.ledger.due(now=now)
        if any(each.waiting for each in due):
            self.notify()
        self.close()

    def stop(self):
        self.close()
"""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.breaks))
def test_a_mutation_changes_the_code_and_its_test_exists(mutation: Mutation) -> None:
    found = mutation.find(ROOT)
    assert (found.file, found.renamed) == (ROOT / mutation.file, {}), "the table names the code as it is"
    whole = found.file.read_text()
    broken = found.replaced(mutation.new)
    assert broken != whole
    if found.file.suffix == ".py":
        ast.parse(broken)
    file, _, name = mutation.test.partition("::")
    tests = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert not name or name in tests


def _longest_name(piece: str) -> str:
    words = set(re.findall(r"\b[a-z]\w{2,}\b", piece)) - set(keyword.kwlist)
    return max(sorted(words), key=len, default="")  # sorted: every worker of pytest-xdist must name the same test


def renames() -> Iterator[tuple[Mutation, str]]:
    """Yield the function around each statement and the longest name in it; SQL and templates have only fixed names."""
    for mutation in MUTATIONS:
        if mutation.file.endswith((".py", ".lua")):
            if mutation.function:
                yield mutation, mutation.function.rpartition(".")[2]
            if name := _longest_name(mutation.old):
                yield mutation, name


@pytest.mark.parametrize(
    ("mutation", "name"), list(renames()), ids=lambda value: value if isinstance(value, str) else value.breaks
)
def test_a_mutation_survives_a_rename(mutation: Mutation, name: str, tmp_path: Path) -> None:
    """Rename one name in the whole file."""
    here = mutation.find(ROOT)
    whole = here.file.read_text()
    file = tmp_path / mutation.file
    file.parent.mkdir(parents=True)
    marked = whole[: here.start] + "«" + _text(here) + "»" + whole[here.end :]
    marked = re.sub(rf"\b{name}\b", "another_name", marked)
    file.write_text(marked.replace("«", "").replace("»", ""))
    assert _text(mutation.find(tmp_path)) == marked[marked.index("«") + 1 : marked.index("»")]


def _text(match: Match) -> str:
    return match.file.read_text()[match.start : match.end]


@pytest.mark.parametrize(
    ("code", "function", "old", "new", "broken"),
    [
        (CODE, "Clock.run_once", "self.close()", "", CODE.replace("        self.close()\n\n", "        pass\n\n")),
        (CODE, "Clock.stop", "self.close()", "return", CODE[: CODE.rindex("self")] + "return\n"),
        (CODE, "Clock.run_once", "self . notify( )", "pass", CODE.replace("self.notify()", "pass")),
        (CODE, "Clock.run_once", "self.ring()", "pass", None),
        (
            CODE.replace("due", "backlog"),
            "Clock.run_once",
            "due = self.ledger.due(now=now)",
            "due = list(due)",
            CODE.replace("due", "backlog").replace("self.ledger.backlog(now=now)", "list(backlog)"),
        ),
    ],
    ids=["removed", "in its function", "formatted otherwise", "ambiguous once renamed", "renamed"],
)
def test_a_statement_is_found(tmp_path: Path, code: str, function: str, old: str, new: str, broken: str | None) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "clock.py").write_text(code)
    if broken is None:
        with pytest.raises(AnchorLost, match=r"clock\.py:"):
            find(tmp_path, "package/clock.py", function, old)
    else:
        assert find(tmp_path, "package/clock.py", function, old).replaced(new) == broken


def test_a_statement_is_found_in_the_file_that_it_moved_to(tmp_path: Path) -> None:
    (tmp_path / "package" / "engine").mkdir(parents=True)
    (tmp_path / "package" / "engine" / "maintenance.py").write_text(CODE)
    found = find(tmp_path, "package/tick.py", "Tick.run", "if any(each.waiting for each in due):")
    assert found.file.name == "maintenance.py"


def test_code_that_no_longer_exists_is_reported(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "clock.py").write_text(CODE)
    with pytest.raises(AnchorLost, match=r"package/clock\.py: Clock\.stop contains no"):
        find(tmp_path, "package/clock.py", "Clock.stop", "self.spool.append(batch, key, once)")


def test_every_promise_is_broken_by_some_mutation() -> None:
    assert {mutation.promise for mutation in MUTATIONS} >= {str(number) for number in range(1, 14)}


def test_the_table_is_in_the_docs() -> None:
    assert as_table() in (ROOT / "docs/guarantees.md").read_text("utf-8")
