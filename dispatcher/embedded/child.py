"""One process of the stack: started apart from the terminal's signals, its words in a log, its end noticed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dispatcher.embedded.trouble import ChildEnded
from dispatcher.private_files import opener

_LARGEST_LOG = 5_000_000
_LAST_LINES = 8
_PACKAGES = str(Path(__file__).resolve().parents[2])
"""Where this package was found: a child must find the same one, whatever its working folder is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A running process of the stack."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    begins: int
    """Where in the log this process's words begin."""
    patience_s: float
    """How long it may take to stop when it is asked to."""

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def said(self) -> str:
        """Return all that it has written so far."""
        with self.log.open("rb") as file:
            file.seek(self.begins)
            return file.read().decode("utf-8", "replace")

    def trouble(self, what: str | None = None) -> ChildEnded:
        """Tell what became of it, with its last words."""
        words = "\n".join(self.said().rstrip().splitlines()[-_LAST_LINES:])
        return ChildEnded(self.name, what or f"ended with exit code {self.process.returncode}", self.log, words)

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Wait for a sign of life.

        :raises ChildEnded: it ended before, or the time is over.
        """
        until = time.monotonic() + within_s
        while not ready():
            if self.ended:
                raise self.trouble()
            if time.monotonic() > until:
                raise self.trouble(f"was not ready within {within_s:g} s")
            time.sleep(0.03)

    def ask_to_stop(self) -> None:
        """Ask it to finish what it does and stop."""
        self.process.terminate()

    def wait_to_stop(self) -> None:
        """Wait for as long as it may take to stop, then kill it."""
        try:
            self.process.wait(self.patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nursery:
    """Starts children: what all of them have in common."""

    logs: Path
    lock: int
    """Descriptor of HOME's lock; children keep it open, so that HOME is taken until the last of them is gone."""
    folder: Path | None
    """Their working folder; None: this process's own."""

    def python(self, name: str, *arguments: str, environment: Mapping[str, str], patience_s: float) -> Child:
        """Start a module of ours: ``arguments`` are those of ``python -m``."""
        # -P: no folder that happens to be the current one may shadow a module.
        return self.start(
            name, [sys.executable, "-P", "-m", *arguments], environment=environment, patience_s=patience_s
        )

    def start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str], patience_s: float) -> Child:
        """Start a command; secrets go by the environment, where a list of processes does not show them."""
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        paths = os.pathsep.join(filter(None, [_PACKAGES, environment.get("PYTHONPATH")]))
        with open(log, "ab", opener=opener) as file:
            begins = file.tell()
            process = subprocess.Popen(
                command,
                env={**environment, "PYTHONPATH": paths},
                cwd=self.folder,
                stdin=subprocess.PIPE,  # its other end closes with us; the sandbox ends by that
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=(self.lock,),
                umask=0o077,
                start_new_session=True,  # Ctrl-C is ours: the stack stops in its own order
            )
        return Child(name=name, process=process, log=log, begins=begins, patience_s=patience_s)
