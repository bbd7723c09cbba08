"""A companion starts while its process forks others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    """Reading to the end of its input, a program waits for everyone who could still write to it."""
    (tmp_path / "reader.py").write_text(READER)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "6", ran.stderr
