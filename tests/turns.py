"""Lets a test that measures time run alone while pytest-xdist runs the others side by side.

Every test holds a shared lock on the machine, one marked ``alone`` an exclusive one. Without xdist nothing is locked.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


class Turns:
    """A plugin: ``pytest_runtest_protocol`` runs outside of pytest-timeout, so waiting for a lock is not timed."""

    def __init__(self, run: str) -> None:
        """Take the id of the whole run, the same in each worker."""
        self._alone = False
        self._files = [Path(tempfile.gettempdir(), f"dispatcher-tests-{run}.{name}") for name in ("door", "room")]
        self._door, self._room = (os.open(file, os.O_CREAT | os.O_RDWR, 0o600) for file in self._files)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Run a test when it may; tests that run alone keep the room from one to the next."""
        alone = item.get_closest_marker("alone") is not None
        if not self._alone:
            self._enter(alone=alone)
        self._alone = alone and nextitem is not None and nextitem.get_closest_marker("alone") is not None
        try:
            return (yield)
        finally:
            if not self._alone:
                self._leave()

    def pytest_unconfigure(self) -> None:
        """Remove the files of the locks."""
        for file in self._files:
            file.unlink(missing_ok=True)

    def _enter(self, *, alone: bool) -> None:
        # The door is closed only while a test waits to be alone: otherwise new tests would keep overtaking it.
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    def _leave(self) -> None:
        fcntl.flock(self._room, fcntl.LOCK_UN)
