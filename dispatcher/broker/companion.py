"""A program that runs beside a worker: started with it, started again when it ends, and stopped with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from dispatcher.logs import get_logger

log = get_logger(__name__)

_RESTART_SECONDS = 1.0
_LOOK_SECONDS = 0.2

# A process that is forked while `Popen` runs inherits both of its pipes and keeps them open as long as it lives.
# `Popen` would wait for the end of one, the started program for the end of its input. So `os.fork` waits for this lock.
_starting = threading.Lock()
os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release)


class Companion:
    """Keeps one program running, from a thread: it shares nothing with this process, whatever happens to either.

    The program ends by itself when this process does (``dispatcher.parent_death``).
    """

    def __init__(self, name: str, module: str, *, standard_input: str) -> None:
        """Take a name for the logs and what to run.

        :param module: run as ``python -m``.
        :param standard_input: what it reads, since others see its arguments and its environment.
        """
        self._name = name
        self._command: Sequence[str] = (sys.executable, "-m", module)
        self._standard_input = standard_input.encode()
        self._stopping = threading.Event()
        # It lives as long as this process: the kernel takes the end of the thread that started a program for its
        # parent's end.
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        """Start the program, and return at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the program to end, and return at once."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until the program has ended."""
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                status: int | str = self._run()
            except OSError as error:  # no memory or no process left, for example
                status = str(error)
            if not self._stopping.is_set():
                log.error("process_restarted", process=self._name, status=status)
                self._stopping.wait(_RESTART_SECONDS)

    def _run(self) -> int:
        with self._start() as process:
            told = False
            while True:
                try:
                    return process.wait(timeout=_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    if self._stopping.is_set() and not told:
                        told = True
                        process.terminate()

    def _start(self) -> subprocess.Popen[bytes]:
        with _starting:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with suppress(BrokenPipeError):  # it has ended already, and its status says why
                process.stdin.write(self._standard_input)
            with suppress(BrokenPipeError):
                process.stdin.close()
        return process
