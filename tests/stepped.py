"""A process whose wall clock is wrong, and is set while it runs: `python -m tests.stepped FILE dispatcher …`.

FILE holds by how many seconds the clock is ahead; writing another number into it sets the clock. The monotonic clock
goes on as it does on a real host.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def _follow(file: Path) -> None:
    ahead, shim = 0.0, None
    while True:
        wanted = float(file.read_text() or ahead)
        if wanted != ahead or shim is None:
            if shim is not None:
                shim.stop()
            shim = time_machine.travel(datetime.now(UTC) + timedelta(seconds=wanted), tick=True)
            shim.start()
            ahead = wanted
        time.sleep(_LOOK_EVERY_S)


def main(file: str, module: str) -> None:
    """Run a module on the stepped clock."""
    right = datetime.now(UTC)
    Thread(target=_follow, args=(Path(file),), daemon=True).start()
    while abs((datetime.now(UTC) - right).total_seconds() - float(Path(file).read_text())) > 1:
        time.sleep(_LOOK_EVERY_S / 5)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _, step_file, name, *rest = sys.argv
    sys.argv = [name, *rest]
    main(step_file, name)
