"""The order of tests for several processes: none is lost, and each process begins with its share of the timed ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.tiers import _dealt


class Item:
    """A test with markers."""

    def __init__(self, *markers: str) -> None:
        self.markers = markers

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.markers else None


def dealt(items: Sequence[Item], processes: int) -> list[list[Item]]:
    """Return the parts that pytest-xdist would give to the processes."""
    order = _dealt(list(items), processes)  # type: ignore[arg-type]
    assert sorted(map(id, order)) == sorted(map(id, items)), "none is lost and none is there twice"
    ends = [0]
    for n in range(processes):
        ends.append(ends[-1] + (len(order) - ends[-1]) // (processes - n))
    return [order[start:end] for start, end in pairwise(ends)]  # type: ignore[misc]


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_each_process_begins_with_its_share_of_the_timed_tests(processes: int) -> None:
    alone, timed = [Item("alone") for _ in range(3)], [Item("timed") for _ in range(21)]
    others = [Item() for _ in range(100)]
    parts = dealt([*alone, *others, *timed], processes)
    assert parts[0][:3] == alone
    for n, part in enumerate(parts):
        begin = part[3 if n == 0 else 0 :][: 21 // processes]
        assert all("timed" in item.markers for item in begin)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_tests_are_dealt_too(count: int) -> None:
    dealt([Item("alone") for _ in range(count)] + [Item("timed") for _ in range(count)] + [Item()], 4)
