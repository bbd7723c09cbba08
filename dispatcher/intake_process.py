"""The process that takes messages which come through the broker: ``python -m``, started by a worker.

It reads its settings from standard input, as JSON, and ends when the worker does.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from dispatcher.parent_death import die_with_parent


def main() -> int:
    """Take messages until SIGTERM, and return the exit code."""
    worker = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the worker passes it on as SIGTERM
    given = json.load(sys.stdin)
    die_with_parent(worker, signal.SIGTERM)
    from dispatcher.serving import serve_intake
    from dispatcher.settings import load_settings

    return serve_intake(load_settings(**given))


if __name__ == "__main__":
    sys.exit(main())
