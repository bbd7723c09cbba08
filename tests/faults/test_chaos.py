"""A short run of chaos; `make chaos` runs longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos.books import as_text
from tests.faults.chaos.plan import draw
from tests.faults.chaos.run import run
from tests.faults.chaos.world import Stack

SEED = 22


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("stack", "seconds"),
    [
        (Stack.POSTGRESQL, 30.0),
        pytest.param(Stack.POSTGRESQL, 90.0, marks=pytest.mark.exhaustive),
        pytest.param(Stack.SQLITE, 90.0, marks=pytest.mark.exhaustive),
    ],
)
def test_after_chaos_the_books_balance(stack: Stack, seconds: float, tmp_path: Path) -> None:
    report = run(stack, seed=SEED, seconds=seconds, folder=tmp_path, recipients=500, say=print)
    print(as_text(report.verdict))
    assert report.verdict.holds, "\n".join(report.verdict.problems)
    assert report.faults.total() >= seconds / 4
    figures = report.verdict.figures
    assert figures["messages"] > 500, "there was something to disturb"
    assert len(figures["outcomes"]) >= 3, "and it was disturbed"


def test_the_same_seed_draws_the_same_plan() -> None:
    for stack in Stack:
        one, again, other = (draw(stack, seed=seed, seconds=600) for seed in (3, 3, 4))
        assert [(each.at, each.fault.name, each.seed) for each in one] == [
            (each.at, each.fault.name, each.seed) for each in again
        ]
        assert [each.fault.name for each in one] != [each.fault.name for each in other]
        assert len({each.fault.name for each in one}) > 50, "ten minutes have every kind of fault"
