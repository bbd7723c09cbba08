"""A process that belongs to a stack: `python -m dispatcher.embedded worker|clock|web PARENT_PID [PORT]`."""

from __future__ import annotations

import os
import signal
import sys

from dispatcher.embedded.leash import end_after_parent
from dispatcher.parent_death import die_with_parent

GRACE_S = 20
"""After the stack's own end a worker gets this long to hear out the calls that are in flight."""


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or the parent's end, and return the exit code."""
    role, parent = argv[0], int(argv[1])
    die_with_parent(parent, signal.SIGTERM)
    end_after_parent(parent, grace_s=GRACE_S)
    # Prefork children must not outlive a worker that is killed outright: nobody would be there to stop them.
    os.register_at_fork(before=_remember_pid, after_in_child=_on_the_leash)

    from dispatcher.domain.errors import DispatcherError
    from dispatcher.serving import serve_clock, serve_worker
    from dispatcher.settings import load_settings

    try:
        if role == "web":
            from dispatcher.web import serve_web

            return serve_web(load_settings(), host="127.0.0.1", port=int(argv[2]))
        return {"worker": serve_worker, "clock": serve_clock}[role](load_settings())
    except DispatcherError as error:
        print(f"{role}: {error}", file=sys.stderr)
        return 1


_forking = 0


def _remember_pid() -> None:
    global _forking  # noqa: PLW0603 - a fork hook has no other way to tell its child something
    _forking = os.getpid()


def _on_the_leash() -> None:
    die_with_parent(_forking, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
