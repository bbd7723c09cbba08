"""The pulse of worker and clock: overdue when the main loop is stuck, never while it waits for Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from dispatcher.broker.pulse import STUCK_EXIT_CODE, Pulse
from tests.servers import free_port, running_valkey

STUCK = """
import sys, time
import dispatcher.broker.pulse as pulse, dispatcher.broker.worker as worker
pulse.Pulse.__init__.__defaults__ = (2.0, time.monotonic)
pulse.end_when_stuck.__kwdefaults__["after_s"] = 2.0
worker._PULSE_SECONDS = 0.5
{hang}
from dispatcher.cli import main
main()
"""
"""A process that counts as stuck after two seconds."""
LOOP_HANGS = """
from celery import signals
def hang(sender=None, **_):
    sender.timer.call_after(1.0, time.sleep, (60,))
signals.worker_ready.connect(hang, weak=False)
"""
BEAT_HANGS = """
import dispatcher.serving as serving
beats, tick = [], serving._Process.tick
def two(self, late):
    beats.append(late)
    return tick(self, late) if len(beats) < 3 else time.sleep(60)
serving._Process.tick = two
"""


def test_it_is_stuck_once_a_sign_of_life_is_overdue() -> None:
    clock = iter([100.0, 160.0, 160.1, 1100.0, 1110.0])
    pulse = Pulse(stuck_after_s=60, now=lambda: next(clock))
    assert not pulse.stuck, "it starts, or waits for Redis"
    pulse.beat()
    assert [pulse.stuck, pulse.stuck] == [False, True]
    pulse.pause()
    assert not pulse.stuck
    pulse.beat()
    assert not pulse.stuck


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "hang", "said"),
    [
        ("worker", LOOP_HANGS, "the worker's main loop is stuck"),
        ("clock", BEAT_HANGS, "the clock does not beat"),
    ],
)
def test_a_stuck_process_says_so(tmp_path: Path, valkey: str, command: str, hang: str, said: str) -> None:
    with _serving(tmp_path, command, STUCK.format(hang=hang), valkey) as (url, process):
        _wait_until(lambda: _asked(url) == (200, "ok"))
        _wait_until(lambda: _asked(url) == (503, said))
        if command == "clock":  # and ends, if nobody restarts it; a worker's processes go on without its main loop
            assert process.wait(timeout=10) == STUCK_EXIT_CODE


@pytest.mark.exhaustive  # tests/deploy/test_services.py takes Redis away too
@pytest.mark.parametrize("command", ["worker", "clock"])
def test_a_process_that_waits_for_redis_is_well(tmp_path: Path, command: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(ExitStack())
        redis = server.enter_context(running_valkey())
        url, _ = stack.enter_context(_serving(tmp_path, command, STUCK.format(hang=""), redis))
        _wait_until(lambda: _asked(url) == (200, "ok"))
        assert {_asked(url) for _ in _for_seconds(3)} == {(200, "ok")}, "it beats"
        server.close()
        assert {_asked(url) for _ in _for_seconds(5)} == {(200, "ok")}, "a worker waits, a clock beats"


@contextmanager
def _serving(folder: Path, command: str, program: str, redis: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a worker or clock with a program's changes, and yield the URL of its `/healthz`, and its process."""
    port = free_port()
    environment = {
        **os.environ,
        "DISPATCHER_HOME": str(folder),
        "DISPATCHER_REDIS_URL": redis,
        "DISPATCHER_API_BASE_URL": "http://127.0.0.1:1",
        "DISPATCHER_CLIENT_ID": "client",
        "DISPATCHER_CLIENT_SECRET": "secret",
        "DISPATCHER_PROCESSES": "1",
        "DISPATCHER_METRICS_PORT": str(port),
    }
    subprocess.run(
        [sys.executable, "-m", "dispatcher", "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, command], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield f"http://127.0.0.1:{port}/healthz", process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def _asked(url: str) -> tuple[int, str] | None:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode().strip()
    except HTTPError as error:
        return error.code, error.read().decode().strip()
    except URLError:
        return None


def _wait_until(holds: Callable[[], bool], *, within_s: float = 30) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


def _for_seconds(seconds: float) -> Iterator[None]:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield
        time.sleep(0.2)
