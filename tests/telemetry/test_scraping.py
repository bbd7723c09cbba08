"""Real workers and clocks, scraped as Prometheus would: what they tell is what they did."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from dispatcher import Sms
from dispatcher.domain.errors import SettingsError
from dispatcher.domain.state import State
from dispatcher.meter import Unmeasured
from dispatcher.settings import load_settings, read_embedded
from dispatcher.telemetry.metrics import worker_metrics
from dispatcher.wiring import Services
from tests.docs.pages import DOCS, blocks, rows
from tests.embedded.processes import running_up
from tests.making import NUMBER
from tests.servers import free_port
from tests.system.conftest import System
from tests.telemetry.reading import Numbers, scraped

SLOW = pytest.mark.slow
TEXT = "the parcel is under the third flowerpot"
WELL: dict[str, Any] = {"stuck": lambda: False, "ready": dict}


def serving(system: System, *command: str, **settings: str) -> int:
    """Start a worker or a clock with metrics, wait until it takes work, and return its port."""
    port = free_port()
    system.start(*command, "--metrics-port", str(port), **settings)
    word = "clock_ready" if command[0] == "clock" else "ready"
    before = system.logs().count(f'"event": "{word}"')
    system.wait_until(lambda: system.logs().count(f'"event": "{word}"') > before)
    return port


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that a worker forked."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process.pid:
            found.append(int(path.parent.name))
    return sorted(found)


def listening(pid: int) -> set[int]:
    """Return the ports that a process has open for others to connect to."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    listeners = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {
        int(each[1].split(":")[1], 16) for each in listeners if each[3] == "0A" and f"socket:[{each[9]}]" in sockets
    }


def without_process(numbers: Numbers) -> set[object]:
    return {each for each in numbers.values if not each[0].startswith("dispatcher_process_")}


@SLOW
def test_two_processes_tell_what_was_sent(system: System) -> None:
    port = serving(system, "worker", CONCURRENCY="4", PROCESSES="2")
    before = scraped(port)
    with system.client() as client:
        client.send_many(Sms(recipient=f"+6149157{n:04}", body=f"{TEXT} {n}") for n in range(300))
        for n in range(10):
            client.send_gift(NUMBER, sku="CARD", amount="77.31", currency="AUD", idempotency_key=f"order-{n}")
    system.wait_settled()
    system.wait_until(lambda: scraped(port).of("dispatcher_worker_in_flight", channel="sms") == 0)
    system.wait_until(lambda: scraped(port).of("dispatcher_worker_pump_seconds_count") >= 2)
    numbers = scraped(port)
    assert numbers.of("dispatcher_worker_settled_attempts_total") == 310
    assert numbers.of("dispatcher_worker_claimed_messages_total", channel="sms") == 300
    assert numbers.of("dispatcher_worker_claimed_messages_total", channel="gift") == 10
    assert numbers.of("dispatcher_worker_late_settlements_total") == 0
    assert numbers.of("dispatcher_worker_processes") == 2
    assert numbers.of("dispatcher_worker_slots") == 8
    assert numbers.of("dispatcher_worker_token_mints_total", result="minted") == 1
    assert 310 / 8 <= numbers.of("dispatcher_worker_settle_seconds_count") <= 310

    workers = Counter(system.attempts(message.id)[0].worker for message in system.messages())
    assert sum(workers.values()) == 310
    assert len(workers) == 2, "else nothing was summed"

    processes = numbers.labels_of("dispatcher_process_cpu_seconds_total", "process")
    assert processes == {"main", "0", "1"}
    assert all(numbers.of("dispatcher_process_resident_memory_bytes", process=each) > 1e7 for each in processes)
    assert without_process(before) == without_process(numbers), "whatever is sent, there are no more series"
    assert len(numbers.values) < 300

    tokens = [entry.jti for entry in system.sandbox.journal(kind="token") if entry.jti]
    assert tokens
    for private in ("61491", "flowerpot", "CARD", "77.31", "order-", "sandbox-secret", "eyJ", "Bearer", *tokens):
        assert private not in numbers.text, private


@SLOW
def test_a_killed_process_leaves_nothing_in_flight_and_stays_counted(system: System) -> None:
    system.sandbox.fault(path="/sendSMS", action="hang")
    port = serving(system, "worker", PROCESSES="1", READ_TIMEOUT="20", LEASE_SECONDS="60")
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"{TEXT} {n}") for n in range(5))
    system.wait_until(lambda: scraped(port).of("dispatcher_worker_in_flight", channel="sms") == 5)
    (child,) = children(system.processes[0])
    os.kill(child, signal.SIGKILL)
    system.wait_until(lambda: scraped(port).of("dispatcher_worker_process_starts_total") == 2)
    numbers = scraped(port)
    assert system.counts()[State.SENDING] == 5
    assert numbers.of("dispatcher_worker_in_flight", channel="sms") == 0
    assert numbers.of("dispatcher_worker_claimed_messages_total", channel="sms") == 5
    assert numbers.of("dispatcher_worker_processes") == 1
    assert numbers.labels_of("dispatcher_process_cpu_seconds_total", "process") == {"main", "0"}


@SLOW
def test_the_port_is_the_main_processs_alone_and_free_once_it_is_gone(system: System) -> None:
    port = serving(system, "worker", PROCESSES="2")
    system.wait_until(lambda: scraped(port).of("dispatcher_worker_processes") == 2)
    assert listening(system.processes[0].pid) == {port}
    assert [listening(child) for child in children(system.processes[0])] == [set(), set()]
    os.kill(system.processes[0].pid, signal.SIGKILL)
    system.processes[0].wait()
    with socket.create_server(("127.0.0.1", port)):
        pass
    system.kill(system.processes[0])


@SLOW
def test_without_the_setting_nothing_listens(system: System) -> None:
    process = system.worker(PROCESSES="1")
    clock = system.clock()
    system.wait_ready()
    system.wait_until(lambda: "clock_ready" in system.logs())
    everybody = [process.pid, *children(process), clock.pid]
    assert [listening(pid) for pid in everybody] == [set()] * 3
    assert "metrics_ready" not in system.logs()


@SLOW
def test_a_clock_tells_of_its_beats(system: System) -> None:
    port = serving(system, "clock")
    system.wait_until(lambda: scraped(port).of("dispatcher_clock_tick_seconds_count") >= 3)
    numbers = scraped(port)
    beats = numbers.of("dispatcher_clock_tick_seconds_count")
    assert numbers.of("dispatcher_clock_lag_seconds_count") == beats
    assert 0 < numbers.of("dispatcher_clock_lag_seconds_sum") < beats, "each began within its second"
    assert numbers.of("dispatcher_clock_failed_ticks_total") == 0
    assert not any(name.startswith("dispatcher_worker_") for name in numbers.families)


@SLOW
@pytest.mark.parametrize("command", ["worker", "clock"])
def test_a_port_that_is_taken_stops_it_before_it_takes_work(system: System, command: str) -> None:
    with system.client() as client:
        client.send_sms(NUMBER, TEXT)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = system.start(command, METRICS_PORT=str(port))
        assert process.wait(timeout=20) == 2
    assert system.logs() == (
        f"error: DISPATCHER_METRICS_PORT: 127.0.0.1:{port} cannot be listened on (Address already in use); "
        "give another, or 0 for none\n"
    )
    assert system.counts() == {State.QUEUED: 1}


@SLOW
@pytest.mark.parametrize("command", ["worker", "clock"])
def test_metrics_without_the_library_are_refused_with_what_to_install(system: System, command: str) -> None:
    refused = without_the_library(system, command, "--metrics-port", "9464")
    assert refused.wait(timeout=30) == 1
    assert (system.folder / "refused.log").read_text() == (
        f"error: dispatcher {command} --metrics-port needs the extra \"metrics\": pip install 'dispatcher[metrics]'\n"
    )


@SLOW
@pytest.mark.parametrize(("command", "ready"), [("worker", "ready"), ("clock", "clock_ready")])
def test_without_metrics_the_library_is_not_needed(system: System, command: str, ready: str) -> None:
    process = without_the_library(system, command, "--metrics-port", "0")
    system.wait_until(lambda: f'"event": "{ready}"' in system.logs() or process.poll() is not None)
    assert process.poll() is None, system.logs()


def without_the_library(system: System, *command: str) -> subprocess.Popen[bytes]:
    """Start a command where prometheus_client is not installed."""
    hidden = "import sys; sys.modules['prometheus_client'] = None; from dispatcher.cli import main; main()"
    with (system.folder / "refused.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", hidden, *command],
            env={**os.environ, **system.environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    system.processes.append(process)
    return process


@pytest.mark.exhaustive
def test_up_works_for_whoever_has_set_the_port_for_a_worker(tmp_path: Path) -> None:
    """Its worker and its clock cannot both have it."""
    port = free_port()
    with running_up(tmp_path / "home", DISPATCHER_METRICS_PORT=str(port)):
        assert read_embedded(tmp_path / "home")
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_without_metrics_the_meter_counts_nothing_and_the_library_is_not_loaded(tmp_path: Path) -> None:
    assert isinstance(Services(load_settings(home=tmp_path)).meter, Unmeasured)
    loaded = "import sys, dispatcher.serving; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_health_is_whether_a_process_lives_and_the_main_loop_turns(tmp_path: Path) -> None:
    port, stuck, found = free_port(), False, {"ledger": "ok", "redis": "ok"}
    metrics = worker_metrics(
        host="127.0.0.1", port=port, concurrency=1, spool=tmp_path, stuck=lambda: stuck, ready=lambda: found
    )
    metrics.endpoint.start()
    try:
        assert _status(port, "/healthz") == 503
        metrics.meter(0)
        assert _status(port, "/healthz") == 200
        stuck = True
        assert _status(port, "/healthz") == 503
        stuck = False
        assert _status(port, "/readyz") == 200
        found["redis"] = "cannot be reached"
        assert _status(port, "/readyz") == 503
        assert _status(port, "/healthz") == 200, "a restart would not bring Redis back"
        assert _status(port, "/") == 404
        assert _status(port, "/metrics?x=1") == 200
    finally:
        metrics.endpoint.close()
    assert "metrics" not in {thread.name for thread in threading.enumerate()}, "it would turn on a closed socket"


def test_the_spool_is_weighed(tmp_path: Path) -> None:
    port = free_port()
    metrics = worker_metrics(host="127.0.0.1", port=port, concurrency=1, spool=tmp_path / "spool", **WELL)
    metrics.endpoint.start()
    try:
        assert scraped(port).of("dispatcher_worker_spool_bytes", kind="waiting") == 0
        (tmp_path / "spool").mkdir()
        (tmp_path / "spool" / "one.jsonl").write_text("12345")
        (tmp_path / "spool" / "one.refused").write_text("123")
        numbers = scraped(port)
        assert numbers.of("dispatcher_worker_spool_bytes", kind="waiting") == 5
        assert numbers.of("dispatcher_worker_spool_bytes", kind="refused") == 3
    finally:
        metrics.endpoint.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "::ffff:192.0.2.1"])
def test_an_address_that_is_not_ours_is_refused_in_one_sentence(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match=r"^DISPATCHER_METRICS_PORT: .* cannot be listened on"):
        worker_metrics(host=host, port=free_port(), concurrency=1, spool=tmp_path, **WELL)


@SLOW
def test_every_metric_is_explained_and_alarms_ask_for_what_there_is(system: System) -> None:
    told = scraped(serving(system, "worker")).families | scraped(serving(system, "clock")).families
    explained = {name.strip("` ") for row in rows(DOCS / "operating.md", "metric") for name in row[0].split(",")}
    assert explained == told
    elsewhere = {row[0].strip("`") for row in rows(DOCS / "pages.md", "metric")}
    alarms = "\n".join(blocks(DOCS / "operating.md", "promql"))
    asked = {word for word in _words(alarms) if word.startswith("dispatcher_")}
    assert asked
    for name in asked:
        assert {name, name.removesuffix("_count"), name.removesuffix("_sum"), name.removesuffix("_bucket")} & (
            explained | elsewhere
        ), name


def _words(text: str) -> set[str]:
    return {word for word in "".join(each if each.isalnum() or each == "_" else " " for each in text).split() if word}


def _status(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code
    except URLError as away:
        raise AssertionError(path) from away
