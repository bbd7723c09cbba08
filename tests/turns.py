"""Lets a test that measures time run alone while pytest-xdist runs the others side by side.

Every test holds a shared lock on the machine, one marked ``alone`` an exclusive one. Without xdist nothing is locked.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Turns:
    """A plugin: ``pytest_runtest_protocol`` runs outside of pytest-timeout, so waiting for a lock is not timed."""

    def __init__(self, run: str) -> None:
        """Take the id of the whole run, the same in each worker."""
        self._files = [Path(tempfile.gettempdir(), f"dispatcher-tests-{run}.{name}") for name in ("door", "room")]
        self._door, self._room = (os.open(file, os.O_CREAT | os.O_RDWR, 0o600) for file in self._files)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Run a test when it may."""
        with self._turn(fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Remove the files of the locks."""
        for file in self._files:
            file.unlink(missing_ok=True)

    @contextmanager
    def _turn(self, kind: int) -> Iterator[None]:
        # The door is closed only while a test waits to be alone: otherwise new tests would keep overtaking it.
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, kind)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
