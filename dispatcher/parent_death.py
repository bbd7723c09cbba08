"""Ends a process with its parent, however the parent ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Have the kernel send ``number`` to this process once its parent ends (Linux; elsewhere this does nothing).

    :param parent: the parent's pid, to notice one that ended before this was called.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os.kill(os.getpid(), number)
