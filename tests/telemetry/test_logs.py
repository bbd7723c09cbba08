"""Events reach whoever set up Python's logging, and in our own processes they are JSON lines."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher import logs
from dispatcher.logs import get_logger
from dispatcher.telemetry import configure_logs
from tests.hearing import events

log = get_logger(__name__)

APPLICATION = """
from dispatcher import Dispatcher
with Dispatcher.from_env() as dispatcher:
    dispatcher.send_sms("+61491570006", "Your code is 918273")
"""
"""An application that never thought of logs."""


def run(ledger: Path, program: str) -> subprocess.CompletedProcess[str]:
    settings = {"DISPATCHER_LEDGER_URL": f"sqlite:///{ledger}", "DISPATCHER_REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | settings, capture_output=True, text=True, check=True
    )


@pytest.fixture
def ledger(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))


def test_an_application_that_set_nothing_up_keeps_its_stdout(ledger: Path) -> None:
    ran = run(ledger, APPLICATION)
    assert (ran.stdout, ran.stderr) == ("", "bell_unheard reason=ConnectionError\n")


def test_an_application_decides_what_it_hears_and_how(ledger: Path) -> None:
    form = "%(levelname)s %(name)s %(module)s.%(funcName)s: %(message)s"
    ran = run(ledger, f"import logging; logging.basicConfig(format={form!r})\n{APPLICATION}")
    assert ran.stderr == "WARNING dispatcher.broker.bell bell.ring: bell_unheard reason=ConnectionError\n"
    deaf = run(ledger, f"import logging; logging.getLogger('dispatcher').setLevel('ERROR')\n{APPLICATION}")
    assert (deaf.stdout, deaf.stderr) == ("", "")


def test_an_error_has_its_trace_under_any_formatter(caplog: pytest.LogCaptureFixture) -> None:
    kept = "not for any log"
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it_failed", message="1")
    assert "it_failed message=1\nTraceback" in caplog.text
    assert caplog.text.count("ValueError: why") == 1
    assert kept not in caplog.text, "no values of variables"
    assert events(caplog)[0]["message"] == "1"


def test_below_its_level_nothing_is_made(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(logs, "Event", made.append)
    caplog.set_level(logging.WARNING)
    log.info("unheard")
    assert not made


def test_our_processes_write_one_json_object_a_line() -> None:
    out = io.StringIO()
    configure_logs("INFO", stream=out)
    log.warning("it_happened", attempts=2)
    logging.getLogger("somebody.else").warning("%d of %s", 2, "them")
    logging.getLogger("urllib3").info("https://user:secret@host")
    try:
        raise ValueError("why\nindeed")
    except ValueError:
        log.exception("it_failed")
        logging.getLogger("somebody.else").exception("it failed there")
    ours, theirs, failed, there = map(json.loads, out.getvalue().splitlines())
    assert (ours.pop("timestamp")[-1], ours) == ("Z", {"event": "it_happened", "level": "warning", "attempts": 2})
    assert (theirs.pop("timestamp")[-1], theirs) == ("Z", {"event": "2 of them", "level": "warning"})
    for each in (failed, there):
        assert each["level"] == "error"
        assert each["exception"].startswith("Traceback")
        assert "exc_info" not in each


def test_on_a_terminal_people_read_them() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    configure_logs("INFO", stream=out)
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it_failed", attempts=2)
    assert "it_failed" in out.getvalue()
    assert out.getvalue().count("ValueError: why") == 1
    assert "locals" not in out.getvalue()
