"""`dispatcher up` as an operator sees it: a real process, and whatever it leaves or does not leave behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dispatcher.ledger import make_engine
from dispatcher.settings import read_embedded
from tests.embedded.processes import PROJECT, environment, living, run, running_up, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]
ENQUEUE = """
from dispatcher import Dispatcher
print(Dispatcher.from_env().send_sms("+61491570006", "hello").id)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a home"


def python(home: Path, *arguments: str) -> str:
    """Run a program of somebody who has set nothing but HOME."""
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(home), capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def state(home: Path, message: str) -> str:
    shown = run(home, "messages", "show", message, "--json")
    return str(json.loads(shown.stdout)["message"]["state"]) if shown.returncode == 0 else shown.stderr


def test_what_is_enqueued_with_no_settings_is_sent_and_a_stop_leaves_nothing_behind(home: Path) -> None:
    with running_up(home) as up:
        assert stat.S_IMODE((home / "embedded.env").stat().st_mode) == 0o600
        sms = python(home, "-c", ENQUEUE).strip()
        *_, gift = python(home, str(PROJECT / "examples" / "enqueue.py")).split()
        until(lambda: state(home, sms) == "accepted", within_s=10)
        until(lambda: state(home, gift) == "accepted", within_s=10)
        children = living(home)
        assert len(children) >= 4, children
        assert not [command for command in children.values() if "sandbox-secret" in command]

        began = time.monotonic()
        up.send_signal(signal.SIGTERM)
        screen, errors = up.communicate(timeout=20)

        assert (up.returncode, errors) == (0, "")
        assert time.monotonic() - began < 8
        assert not living(home)
        assert not (home / "embedded.env").exists()
        assert "/docs" in screen
        assert "dispatcher sms +61491570006" in screen
        assert "".join(str(home / "logs").split()) in "".join(screen.split()), "long paths are wrapped"

    with running_up(home):  # the ledger is still there
        assert state(home, sms) == "accepted"


def test_a_killed_one_leaves_no_process_and_is_no_obstacle_to_the_next(home: Path) -> None:
    with running_up(home) as up:
        assert living(home)
        up.kill()
        up.wait()
        assert (home / "embedded.env").exists()
        assert read_embedded(home) == {}
        with running_up(home) as following:
            assert following.poll() is None
            assert read_embedded(home)
            sms = python(home, "-c", ENQUEUE).strip()
            until(lambda: state(home, sms) == "accepted", within_s=10)
    assert not living(home)


def test_a_second_one_is_refused_and_told_who_has_the_home(home: Path) -> None:
    with running_up(home) as up:
        second = run(home, "up")
        assert second.returncode == 4
        assert f"process {up.pid} has it" in second.stderr
        assert up.poll() is None
        assert read_embedded(home)


def test_a_part_that_dies_is_told_with_its_last_words_and_ends_the_rest(home: Path) -> None:
    with running_up(home) as up:
        (worker, *_) = [pid for pid, command in living(home).items() if f"worker {up.pid}" in command]
        os.kill(worker, signal.SIGKILL)
        _, errors = up.communicate(timeout=20)
        assert up.returncode == 1
        assert "ended with exit code -9" in errors
        assert "worker.log" in errors
        assert '"ready"' in errors
        assert not living(home)


@pytest.mark.exhaustive
def test_a_ledger_and_an_api_that_are_set_are_used_and_the_ledger_migrated(home: Path, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'mine.db'}"
    api = {
        "DISPATCHER_API_BASE_URL": "http://127.0.0.1:9",
        "DISPATCHER_CLIENT_ID": "me",
        "DISPATCHER_CLIENT_SECRET": "my-own-secret",
    }
    with running_up(home, DISPATCHER_LEDGER_URL=elsewhere, **api) as up:
        values = read_embedded(home)
        assert values["DISPATCHER_LEDGER_URL"] == elsewhere
        assert values["DISPATCHER_API_BASE_URL"] == "http://127.0.0.1:9"
        assert not [command for command in living(home).values() if "dispatcher.sandbox" in command]
        assert not (home / "ledger.db").exists()
        screen = told(up, until="In another terminal")  # the file comes first, and what it tells a moment later
        up.send_signal(signal.SIGINT)
        screen += up.communicate(timeout=20)[0]
        assert "migrated to" in screen
        assert "my-own-secret" not in screen
    make_engine(elsewhere).dispose()


def told(up: subprocess.Popen[str], *, until: str) -> str:
    """Read what it tells up to the line that has these words."""
    assert up.stdout is not None
    lines: list[str] = []
    while not lines or until not in lines[-1]:
        lines.append(up.stdout.readline())
        assert lines[-1], "it ended before it told that"
    return "".join(lines)


def test_an_api_without_credentials_is_refused_in_a_sentence(home: Path) -> None:
    up = run(home, "up", DISPATCHER_API_BASE_URL="https://api.example.com")
    assert up.returncode == 2
    assert up.stderr.startswith("error: DISPATCHER_CLIENT_ID, DISPATCHER_CLIENT_SECRET: not set")
    assert not living(home)
