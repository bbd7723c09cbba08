"""Runs a program in a process of its own and reports what it imported, on whose account, and what it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_WATCH = """
import atexit, json, os, sys

importers = {}

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        frame = sys._getframe(1)
        while frame.f_globals["__name__"].partition(".")[0] in ("importlib", "_frozen_importlib") or (
            frame.f_globals["__name__"] == "dispatcher.lazy"
        ):
            frame = frame.f_back
        importers.setdefault(name, frame.f_globals["__name__"])

def report():
    with open(os.environ["LOADED_REPORT"], "w") as file:
        json.dump({name: importers.get(name, "") for name in sys.modules}, file)

sys.meta_path.insert(0, Watch)
atexit.register(report)
"""

_PEAK = """
import atexit

@atexit.register
def report():
    import os
    with open("/proc/self/status") as status, open(os.environ["PEAK"], "w") as file:
        file.write(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""
"""The process itself reports its peak: what the kernel tells a parent begins with the parent's own size."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The modules of a process that ended, each with the module that imported it."""

    importers: Mapping[str, str]

    def offenders(self, unwanted: Sequence[str]) -> list[str]:
        """Return the chain of imports that led to each unwanted package or module."""
        return [
            self._chain(name)
            for name in self.importers
            if any(name == each or name.startswith(f"{each}.") for each in unwanted)
            and not any(
                self.importers[name] == each or self.importers[name].startswith(f"{each}.") for each in unwanted
            )
        ]

    def _chain(self, name: str) -> str:
        chain = [name]
        while (importer := self.importers.get(chain[-1], "")) and importer not in chain:
            chain.append(importer)
        return " imported by ".join(chain)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took from its start to its end, as ``time -v`` counts it."""

    cpu: float
    """Seconds, user and system."""
    memory: float
    """The most at once, in MB."""


def loaded_by(program: str, folder: Path, environment: Mapping[str, str]) -> Loaded:
    """Run a program and return what it had imported in the end; ``SystemExit`` is no failure."""
    report = folder / "loaded.json"
    ran = subprocess.run(
        [sys.executable, "-c", _WATCH + program],
        env={**os.environ, **environment, "LOADED_REPORT": str(report)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return Loaded(json.loads(report.read_text()))


def least_cost(program: str, folder: Path, environment: Mapping[str, str], *, enough: float, times: int = 3) -> Cost:
    """Run a program until one run takes no more CPU than is enough, ``times`` at the most; return the least of each.

    Another process that runs at the same time makes each run dearer, never cheaper. Bytecode is written, as pip does
    when it installs.
    """
    peak = folder / "peak"
    compiled = {**os.environ, **environment, "PEAK": str(peak)}
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    runs: list[Cost] = []
    while len(runs) < times and all(run.cpu > enough for run in runs):
        runs.append(_run(program, compiled, peak))
    return Cost(cpu=min(run.cpu for run in runs), memory=min(run.memory for run in runs))


def _run(program: str, environment: Mapping[str, str], peak: Path) -> Cost:
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    arguments = [sys.executable, "-c", _PEAK + program]
    pid = os.posix_spawn(sys.executable, arguments, environment, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return Cost(cpu=used.ru_utime + used.ru_stime, memory=int(peak.read_text()) / 1024)
