"""A process whose wall clock is wrong, and is set while it runs: `python -m tests.stepped FILE dispatcher …`.

FILE holds by how many seconds the clock is ahead; writing another number into it sets the clock, of forked children
too. The monotonic clock goes on as it does on a real host.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import time_machine

_LOOK_EVERY_S = 0.05


@contextmanager
def host_ahead_by(by: timedelta) -> Iterator[None]:
    """Step this process's wall clock for a while."""
    with time_machine.travel(datetime.now(UTC) + by, tick=True):
        yield


@dataclass(slots=True)
class _Host:
    """The host's wall clock, as a file says."""

    file: Path
    ahead: float = 0.0
    shim: time_machine.travel | None = None

    def follow(self) -> None:
        """Follow the file in a thread."""
        Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while True:
            wanted = float(self.file.read_text() or self.ahead)
            if wanted != self.ahead or self.shim is None:
                if self.shim is not None:
                    self.shim.stop()
                self.shim = time_machine.travel(datetime.now(UTC) + timedelta(seconds=wanted), tick=True)
                self.shim.start()
                self.ahead = wanted
            time.sleep(_LOOK_EVERY_S)


def main(file: str, module: str) -> None:
    """Run a module on the stepped clock."""
    right, host = datetime.now(UTC), _Host(Path(file))
    host.follow()
    os.register_at_fork(after_in_child=host.follow)
    while abs((datetime.now(UTC) - right).total_seconds() - float(Path(file).read_text())) > 1:
        time.sleep(_LOOK_EVERY_S / 5)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _, step_file, name, *rest = sys.argv
    sys.argv = [name, *rest]
    main(step_file, name)
