"""A leash between parent and child: when the parent is gone, however it went, the child goes too.

Run as a program it puts itself on the leash and becomes the command that it is given; a leash survives exec:

    python -m dispatcher.embedded.leash PARENT_PID COMMAND …
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from dispatcher.parent_death import die_with_parent

_LOOK_EVERY_S = 0.5


def end_after_parent(parent: int, *, grace_s: float) -> None:
    """Watch for the parent's end: then ask this process to stop, and after ``grace_s`` seconds kill it.

    For a process that stops warmly and may need what its parent took along; and for systems without a leash.
    """
    threading.Thread(target=_watch, args=(parent, grace_s), daemon=True).start()


def _watch(parent: int, grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)


def main(argv: list[str]) -> None:
    """Become the command, on a leash that kills."""
    parent, command = int(argv[0]), argv[1:]
    die_with_parent(parent, signal.SIGKILL)
    os.execv(command[0], command)  # noqa: S606 - the command is our own


if __name__ == "__main__":
    main(sys.argv[1:])
