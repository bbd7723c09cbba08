"""Chooses what ``make test`` runs of the tests, and in which order; ``make test-all`` runs all.

Both databases pass the same tests of the ledger at every commit. A test of whole systems or of a crash, which takes
longer, runs in ``make test`` on PostgreSQL alone; ``make ci`` adds most of what is left.
"""

from __future__ import annotations

import os

import pytest

MARKERS = (
    "slow: starts whole systems of processes; part of make test",
    "exhaustive: too long for every commit; part of make test-all",
    "one_database: make test runs it on PostgreSQL alone",
    "alone: nothing runs beside it",
    "timed: asserts that something is quick; runs before what is busy, and passes if it is quick in one of three tries",
)


class Tiers:
    """A plugin that marks the combinations left to ``make test-all``, and what a busy machine may disturb."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark them before ``-m`` deselects."""
        for item in items:
            parameters = {str(value) for value in item.callspec.params.values()} if hasattr(item, "callspec") else set()
            if item.get_closest_marker("one_database") and "sqlite" in parameters:
                item.add_marker(pytest.mark.exhaustive)
            if item.get_closest_marker("timed"):
                # An upper bound on time holds if it can be met: a busy machine proves nothing against it.
                item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
        items.sort(key=_rank)
        items[:] = _dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _rank(item: pytest.Item) -> tuple[int, float]:
    """Order tests: what runs alone comes first, and what takes long comes last, longest first by its time limit.

    Then the other processes wait once, and none is left with a long test at the end.
    """
    if item.get_closest_marker("alone"):
        return (0, 0)
    if not item.get_closest_marker("slow"):
        return (1, 0)
    limit = item.get_closest_marker("timeout")
    return (2, -float(limit.args[0]) if limit else 0)


def _dealt(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Give each process its share of the timed tests first; pytest-xdist gives each an equal part of the list.

    Timed tests mostly wait, so they disturb one another little. Tests that run alone come before them.
    """
    timed = [item for item in items if item.get_closest_marker("timed")]
    first = [item for item in items if item.get_closest_marker("alone")]
    special = {*timed, *first}
    others = [item for item in items if item not in special]
    dealt: list[pytest.Item] = []
    for n in range(processes):
        part = (len(items) - len(dealt)) // (processes - n)
        begin = (first if n == 0 else []) + timed[n::processes]
        fill = max(0, part - len(begin))
        dealt += begin + others[:fill]
        del others[:fill]
    return dealt + others
