"""The life of a clock: one beat a second, whether Redis is there or not, until it is told to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from dispatcher.logs import get_logger

log = get_logger(__name__)

_BEAT_SECONDS = 1.0
STOP_SECONDS = 10.0
"""How long a beat under way is awaited at the end. Each of its steps is a transaction, so it may be cut anywhere."""


def run_clock(beat: Callable[[timedelta], object], *, on_ready: Callable[[], object]) -> int:
    """Call ``beat`` once a second until SIGTERM or SIGINT, and return the exit code.

    Beats run in a thread, so that the signal is heard while one hangs. A beat that was missed is not made up for.

    :param beat: given for how long it has been due.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    beats = threading.Thread(target=_beat, args=(beat, stop), name="clock", daemon=True)
    beats.start()
    on_ready()
    while not stop.wait(timeout=1.0):
        pass
    beats.join(timeout=STOP_SECONDS)
    if beats.is_alive():
        log.warning("clock_stopped_in_a_beat", waited_s=STOP_SECONDS)
    return 0


def _beat(beat: Callable[[timedelta], object], stop: threading.Event) -> None:
    due = time.monotonic()
    while not stop.is_set():
        try:
            beat(timedelta(seconds=max(0.0, time.monotonic() - due)))
        except Exception:
            log.exception("beat_failed")
        due = max(due + _BEAT_SECONDS, time.monotonic() - _BEAT_SECONDS)
        stop.wait(timeout=due - time.monotonic())
