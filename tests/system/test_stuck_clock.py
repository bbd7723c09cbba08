"""A clock whose beat never ends: its health check fails, and then it ends itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from dispatcher.broker.pulse import STUCK_EXIT_CODE
from tests.servers import free_port
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

_QUICKLY_STUCK = """
import functools, time
from dispatcher import serving
from dispatcher.engine import Tick
from dispatcher.settings import load_settings

beats = []
def run(self, *, late):
    beats.append(late)
    time.sleep(0 if len(beats) < 3 else 3600)
Tick.run = run
serving.Pulse = functools.partial(serving.Pulse, stuck_after_s=2)
serving.end_when_stuck = functools.partial(serving.end_when_stuck, after_s=2)
raise SystemExit(serving.serve_clock(load_settings()))
"""
"""With two seconds in the place of a minute."""


def healthz(port: int) -> int | None:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return None


def test_a_clock_that_is_stuck_fails_its_health_check_and_then_ends(system: System, tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "clock.log").open("wb") as log:
        clock = subprocess.Popen(
            [sys.executable, "-c", _QUICKLY_STUCK],
            env={"PATH": "", **system.environment, "DISPATCHER_METRICS_PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    system.processes.append(clock)
    system.wait_until(lambda: healthz(port) == 200)
    system.wait_until(lambda: healthz(port) == 503)
    assert clock.poll() is None, "it may yet go on"
    assert clock.wait(timeout=15) == STUCK_EXIT_CODE
    assert "process_stuck" in system.logs()
