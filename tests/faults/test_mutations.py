"""The table of mutations can be replayed: what it replaces is there, and the tests that it names exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults.mutate.table import MUTATIONS, Mutation, as_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.breaks))
def test_a_mutation_can_be_applied_and_its_test_exists(mutation: Mutation) -> None:
    whole = (ROOT / mutation.file).read_text()
    assert mutation.apply(whole) != whole
    file, _, name = mutation.test.partition("::")
    tests = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert not name or name in tests


def test_every_promise_is_broken_by_some_mutation() -> None:
    assert {mutation.promise for mutation in MUTATIONS} >= {str(number) for number in range(1, 14)}


def test_the_table_is_in_the_docs() -> None:
    assert as_table() in (ROOT / "docs/guarantees.md").read_text("utf-8")
