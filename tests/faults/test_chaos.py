"""Chaos for a minute on each stack; `make chaos` runs it for as long as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos.books import as_text
from tests.faults.chaos.plan import draw
from tests.faults.chaos.run import run
from tests.faults.chaos.world import Stack

SECONDS = 60.0
SEED = 22


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("stack", list(Stack), ids=lambda stack: str(stack.value))
def test_after_chaos_the_books_balance(stack: Stack, tmp_path: Path) -> None:
    report = run(stack, seed=SEED, seconds=SECONDS, folder=tmp_path, recipients=500, say=print)
    print(as_text(report.verdict))
    assert report.verdict.holds, "\n".join(report.verdict.problems)
    assert report.faults.total() >= 20
    figures = report.verdict.figures
    assert figures["messages"] > 1000, "there was something to disturb"
    assert len(figures["outcomes"]) >= 3, "and it was disturbed"


def test_the_same_seed_draws_the_same_plan() -> None:
    for stack in Stack:
        one, again, other = (draw(stack, seed=seed, seconds=600) for seed in (3, 3, 4))
        assert [(each.at, each.fault.name, each.seed) for each in one] == [
            (each.at, each.fault.name, each.seed) for each in again
        ]
        assert [each.fault.name for each in one] != [each.fault.name for each in other]
        assert len({each.fault.name for each in one}) > 50, "ten minutes have every kind of fault"
