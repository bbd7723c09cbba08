"""A companion starts although its process forks others, and is started again if the system refuses once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dispatcher.broker import Companion

SCRIPT = """
import os, sys, threading, time
from pathlib import Path
from dispatcher.broker import Companion

folder = Path(sys.argv[1])
os.chdir(folder)
companions = [Companion(str(n), "reader", standard_input=f"told-{n}") for n in range(6)]
for companion in companions:
    companion.start()
children = []
for _ in range(150):
    children.append(os.fork())
    if not children[-1]:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.001)
ends = time.monotonic() + 20
while len(list(folder.glob("told-*"))) < len(companions) and time.monotonic() < ends:
    time.sleep(0.05)
print(len(list(folder.glob("told-*"))))
for pid in children:
    os.kill(pid, 9)
os._exit(0)
"""
READER = """
import sys
from pathlib import Path

Path(sys.stdin.read()).touch()
"""


def test_a_child_forked_meanwhile_holds_no_program_up(tmp_path: Path) -> None:
    """A program that reads its input to the end waits for every process that could still write to it."""
    (tmp_path / "reader.py").write_text(READER)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "6", ran.stderr


def test_a_start_that_the_system_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reader.py").write_text(READER)
    monkeypatch.chdir(tmp_path)
    starts = []

    def refused_once(*arguments: object, **named: object) -> subprocess.Popen[bytes]:
        starts.append(arguments)
        if len(starts) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*arguments, **named)  # type: ignore[call-overload, no-any-return]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", refused_once)
    companion = Companion("intake", "reader", standard_input="told")
    companion.start()
    ends = time.monotonic() + 20
    while not (tmp_path / "told").exists() and time.monotonic() < ends:
        time.sleep(0.02)
    companion.stop()
    companion.join()
    assert (tmp_path / "told").exists()
