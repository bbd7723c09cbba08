"""The command line: one file per noun. It reads through admin and the books, and acts through the client and them.

Exit codes: 0 done, 1 failed, 2 usage, 3 nothing matched, 4 refused (``exits`` has the whole table).
"""

from __future__ import annotations

import gc
import os
import signal
import sys

_RARELY = 20_000
"""Objects between two runs of the garbage collector: imports make many and free none (Python's default: 700)."""


def main() -> None:
    """Run the command that the arguments name; this is the ``dispatcher`` program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that knows no "•" shows a question mark; it is no reason to fail.
            stream.reconfigure(errors="replace")
    gc.set_threshold(_RARELY)
    if os.getpid() == 1:
        # The kernel drops a signal to a container's first process that has no handler: the container would be killed.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        from dispatcher.cli.app import app

        app()
    except ImportError as error:  # what every command needs
        from dispatcher.installation import explain

        print(f"error: {explain(error, needed_by='dispatcher')}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        _leave_quietly()


def _leave_quietly() -> None:
    """Whoever reads our output may have gone (``| head``): that is no fault to complain about at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
