"""Numbers that the processes of one worker write and its main process reads: memory they share, made before they fork.

Each process of the pool has a row for its place in the pool. Whoever comes after a process that ended goes on with its
row, so that what was counted never goes down however often processes are renewed, and there is nothing to clean up.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

ROWS = 128
"""More than a worker can have processes, with room for a pool that is made larger while it runs."""
_DOUBLE = 8
_PID, _STARTS, _HEAD = 0, 1, 2

Cells: TypeAlias = "memoryview[float]"
"""Numbers in shared memory."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one place in the pool has counted, as the main process sees it."""

    place: int
    pid: int
    starts: int
    """How many processes have had this place."""
    cells: Cells

    @property
    def alive(self) -> bool:
        """Whether the process that has it now still runs; an id that somebody else was given since is not it."""
        if self.pid == os.getpid():
            return True
        try:
            state, parent = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            return False
        return state not in "ZX" and int(parent) == os.getpid()


class Board:
    """The shared memory. A cell is an aligned double with one writer: no lock is needed, so none can be left held."""

    def __init__(self, width: int) -> None:
        self._width = _HEAD + width
        self._cells: Cells = memoryview(mmap.mmap(-1, ROWS * self._width * _DOUBLE)).cast("d")

    def take(self, place: int) -> Cells | None:
        """Take over a row for this process, with what is counted there; None if there is none for this place."""
        if not 0 <= place < ROWS:
            return None
        row = self._row(place)
        row[_STARTS] += 1
        row[_PID] = os.getpid()
        return row[_HEAD:]

    def rows(self) -> Iterator[Row]:
        """Yield every row that was ever taken."""
        for place in range(ROWS):
            row = self._row(place)
            if row[_STARTS]:
                yield Row(place, int(row[_PID]), int(row[_STARTS]), row[_HEAD:])

    def _row(self, place: int) -> Cells:
        return self._cells[place * self._width : (place + 1) * self._width]
