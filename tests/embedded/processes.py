"""Programs started as a newcomer would start them, and the processes that belong to a HOME."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dispatcher.settings import read_embedded

PROJECT = Path(__file__).parents[2]
STACK = {"valkey-server", "dispatcher.sandbox", "dispatcher.embedded"}


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment whose only setting is HOME; whatever is started with it can be told by that."""
    return {**os.environ, "DISPATCHER_HOME": str(home), "PYTHONPATH": str(PROJECT), **more}


@contextmanager
def started(home: Path, *command: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start `dispatcher …`, and kill it after the block if it still runs."""
    process = _popen(home, command, more)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        until(lambda: not living(home), within_s=30)


def run(home: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `dispatcher …` to its end."""
    process = _popen(home, command, more)
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def running_up(home: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run `dispatcher up`, ready before the block begins."""
    with started(home, "up", "--sandbox-port", "0", **more) as process:
        until(lambda: read_embedded(home) or process.poll() is not None, within_s=25)
        yield process


def living(home: Path) -> dict[int, str]:
    """Return the processes of a stack, by pid, that were started with this HOME."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = f"DISPATCHER_HOME={home}".encode() in variables
        if ours and any(name in command for name in STACK):
            found[int(process.name)] = command
    return found


def until(holds: Callable[[], object], *, within_s: float) -> None:
    """Wait until something holds."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def _popen(home: Path, command: tuple[str, ...], more: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from dispatcher.cli import main; main()", *command],
        env=environment(home, **more),
        cwd=home.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
