"""Chooses what ``make test`` runs of the tests, and in which order; ``make test-all`` runs all.

Both databases pass the same tests of the ledger at every commit. A test of whole systems that takes seconds runs there
once, on PostgreSQL.
"""

from __future__ import annotations

import pytest

MARKERS = (
    "slow: starts whole systems of processes; part of make test",
    "exhaustive: too long for every commit; part of make test-all",
    "one_database: make test runs it on PostgreSQL alone",
    "alone: nothing runs beside it",
    "timed: asserts that something is quick; runs alone, and passes if it is quick in one of three tries",
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
                item.add_marker(pytest.mark.alone)
                item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[int, float]:
    """Order tests for processes that share the work, each beginning with a part of the list and taking from its end.

    Tests that run alone come first, while the other processes have short tests to end. Long ones come last, longest
    first by their time limit, so that no process is left with one at the end.
    """
    if item.get_closest_marker("alone"):
        return (0, 0)
    if not item.get_closest_marker("slow"):
        return (1, 0)
    limit = item.get_closest_marker("timeout")
    return (2, -float(limit.args[0]) if limit else 0)
