"""Redis that refuses, is lost, is somewhere else or allows little: worker and clock wait, go on and stop when told."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from dispatcher import Sms
from dispatcher.broker import make_ringing_app, seal
from dispatcher.domain.state import State
from tests.delays import far_away
from tests.docs.pages import DOCS
from tests.making import NUMBER
from tests.servers import Stoppable, free_port, port_of, stoppable_redis
from tests.system.conftest import System

KEY = "aW52ZW50ZWQta2V5LWZvci10ZXN0cy1vbmx5LTEyMzQ="

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture
def redis_of_its_own(redis_server: str, system: System) -> Iterator[Stoppable]:
    """Run a Redis server that the test may do anything to, and have the system use it."""
    with stoppable_redis(redis_server) as server:
        system.environment["DISPATCHER_REDIS_URL"] = server.url
        yield server


def admin_of(server: Stoppable) -> Callable[..., Any]:
    """Return what sends any command to a server."""
    send: Callable[..., Any] = Redis.from_url(server.url).execute_command
    return send


@contextmanager
def one_sms_arrives(system: System, text: str, *, seconds: float = 20) -> Iterator[None]:
    """Enqueue a message before the block, and wait after it until it is accepted."""
    with system.client() as client:
        receipt = client.send_sms(NUMBER, text)
        yield
        system.wait_until(lambda: client.message(receipt.id).state is State.ACCEPTED, seconds=seconds)


def run(system: System) -> list[subprocess.Popen[bytes]]:
    processes = [system.worker(), system.clock()]
    system.wait_ready()
    return processes


def alive(processes: list[subprocess.Popen[bytes]]) -> bool:
    return all(process.poll() is None for process in processes)


def handles_sigterm(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process has set a handler for SIGTERM: before that, it has only begun (proc(5), SigCgt)."""
    try:
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    except FileNotFoundError:
        return False
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def stop(processes: list[subprocess.Popen[bytes]], *, seconds: float = 15) -> None:
    """Send SIGTERM, once each process has a handler for it, and require that it ends well."""
    for process in processes:
        ends = time.monotonic() + 30
        while not handles_sigterm(process) and time.monotonic() < ends:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    assert [process.wait(timeout=seconds) for process in processes] == [0] * len(processes)


def demote(send: Callable[..., Any]) -> None:
    """Have the server answer writes with READONLY."""
    send("REPLICAOF", "127.0.0.1", "1")


def fill(send: Callable[..., Any]) -> None:
    """Have the server answer writes with OOM."""
    send("CONFIG", "SET", "maxmemory", "1")


def lose_disk(send: Callable[..., Any]) -> None:
    """Have the server answer writes with MISCONF: it was to save its data, and its folder is gone."""
    send("CONFIG", "SET", "save", "3600 1")
    shutil.rmtree(send("CONFIG", "GET", "dir")[b"dir"])
    send("SET", "test:unsaved", "1")
    send("BGSAVE")
    while send("INFO", "persistence")["rdb_last_bgsave_status"] != "err":
        time.sleep(0.02)


TROUBLES: dict[str, tuple[Callable[[Callable[..., Any]], None], tuple[str, ...]]] = {
    "READONLY": (demote, ("REPLICAOF", "NO", "ONE")),
    "OOM": (fill, ("CONFIG", "SET", "maxmemory", "0")),
    "MISCONF": (lose_disk, ("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")),
}
"""What makes a server refuse to write, by its error, and what ends it."""


@pytest.mark.parametrize(
    "name",
    ["READONLY", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("OOM", "MISCONF"))],
)
def test_a_server_that_refuses_to_write_is_waited_for(system: System, redis_of_its_own: Stoppable, name: str) -> None:
    client = admin_of(redis_of_its_own)
    processes = run(system)
    with one_sms_arrives(system, "before"):
        pass
    begin, end = TROUBLES[name]
    begin(client)
    with pytest.raises(ResponseError, match={"READONLY": "read only", "OOM": "maxmemory", "MISCONF": "MISCONF"}[name]):
        client("SET", "test:refused", "1")
    late = [system.worker()]
    with one_sms_arrives(system, "meanwhile"):
        time.sleep(6)
        assert alive(processes + late), system.logs()
        client(*end)
    assert alive(processes + late), system.logs()
    stop(processes + late)


@pytest.mark.exhaustive
def test_sigterm_is_heard_while_a_server_refuses_to_write(system: System, redis_of_its_own: Stoppable) -> None:
    demote(admin_of(redis_of_its_own))
    processes = [system.worker(), system.clock()]
    time.sleep(5)
    assert alive(processes), system.logs()
    stop(processes)


def test_a_redis_that_is_lost_under_load_ends_nothing(system: System, redis_of_its_own: Stoppable) -> None:
    processes = run(system)
    with system.client() as client:
        for outage in range(3):
            for n in range(30):
                client.send_sms(NUMBER, f"text {outage} {n}")
            time.sleep(0.2 + outage * 0.3)
            redis_of_its_own.stop()
            time.sleep(3)
            redis_of_its_own.start()
            time.sleep(2)
            assert alive(processes), system.logs()
        system.wait_settled(seconds=40)
    assert system.counts() == {State.ACCEPTED: 90}
    stop(processes)


@pytest.mark.exhaustive
def test_a_redis_that_is_lost_while_a_pump_waits_for_a_token_ends_nothing(
    system: System, redis_of_its_own: Stoppable
) -> None:
    system.sandbox.fault(path="/oauth2/token", action="hang", times=1)
    processes = run(system)
    with one_sms_arrives(system, "text", seconds=40):
        time.sleep(1)
        redis_of_its_own.stop()
        time.sleep(3)
        redis_of_its_own.start()
    assert alive(processes), system.logs()
    stop(processes)


def test_sigterm_is_heard_while_redis_is_away(system: System, redis_of_its_own: Stoppable) -> None:
    processes = run(system)
    redis_of_its_own.stop()
    time.sleep(2)
    assert alive(processes), system.logs()
    late = [system.worker(), system.clock()]
    time.sleep(4)
    stop(processes + late)


@pytest.mark.exhaustive
def test_a_broadcast_of_celery_does_nothing(system: System, redis_of_its_own: Stoppable) -> None:
    from celery import Celery

    processes = run(system)
    for prefix in ("", "dispatcher:celery:"):
        stranger = Celery(broker=redis_of_its_own.url, set_as_current=False)
        stranger.conf.broker_transport_options = {"global_keyprefix": prefix}
        stranger.control.broadcast("shutdown")
        stranger.control.broadcast("pool_shrink", arguments={"n": 2})
    with one_sms_arrives(system, "still there"):
        time.sleep(2)
    assert alive(processes)
    stop(processes)


def documented_acl() -> list[str]:
    """Return the command of the page about deploying, as its reader would type it."""
    (line,) = [line for line in (DOCS / "deploying.md").read_text().splitlines() if line.startswith("ACL SETUSER")]
    return line.replace(">PASSWORD", ">secret").split()


def test_the_documented_user_is_enough(system: System, redis_of_its_own: Stoppable) -> None:
    admin = admin_of(redis_of_its_own)
    admin(*documented_acl())
    system.environment["DISPATCHER_REDIS_URL"] = f"redis://dispatcher:secret@127.0.0.1:{redis_of_its_own.port}/0"
    processes = [system.worker(ENQUEUE_KEY=KEY), system.clock()]
    system.wait_ready()
    with one_sms_arrives(system, "by a user"):
        sealed = seal(Sms(recipient=NUMBER, body="through the broker"), id=uuid4(), key=KEY)
        producer = make_ringing_app(system.environment["DISPATCHER_REDIS_URL"])
        producer.send_task("dispatcher.enqueue", args=[sealed], queue="dispatcher.enqueue")
        system.wait_until(lambda: system.counts()[State.ACCEPTED] == 2)
    for command in (["channel", "resume", "sms", "--reason", "a test"], ["status"], ["token"], ["check"]):
        done = system.start(*command)
        assert done.wait(timeout=30) == 0, system.logs()
    refused = {(each[b"object"], each[b"reason"]) for each in admin("ACL", "LOG")}
    assert refused == {(b"info", b"command")}, "only check asks for it, and does without"
    assert alive(processes)
    stop(processes)


@pytest.mark.parametrize(
    ("seconds", "messages", "within"), [(0.15, 150, 60), pytest.param(0.6, 60, 90, marks=pytest.mark.exhaustive)]
)
def test_a_distant_redis_is_slow_and_not_away(system: System, seconds: float, messages: int, within: float) -> None:
    here = port_of(system.environment["DISPATCHER_REDIS_URL"])
    system.environment["DISPATCHER_SMS_RATE"] = "100/s"
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}") for n in range(messages))
    with far_away(here, seconds) as distance:
        system.environment["DISPATCHER_REDIS_URL"] = f"redis://127.0.0.1:{distance.port}/0"
        processes = [system.worker(), system.clock()]
        system.wait_until(lambda: system.counts()[State.ACCEPTED] == messages, seconds=within)
        assert "redis_away" not in system.logs()
        assert alive(processes)
        stop(processes)


def test_a_failover_of_sentinels_is_followed(system: System, redis_server: str) -> None:
    sentinel = shutil.which("redis-sentinel")
    if sentinel is None:
        pytest.skip("redis-sentinel is not installed (apt-get install redis-sentinel)")
    watch = free_port()
    with (
        stoppable_redis(redis_server) as first,
        stoppable_redis(redis_server, "--replicaof", "127.0.0.1", str(first.port)) as second,
    ):
        (first.folder / "sentinel.conf").write_text(
            f"port {watch}\nsentinel monitor main 127.0.0.1 {first.port} 1\n"
            "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        )
        process = subprocess.Popen([sentinel, str(first.folder / "sentinel.conf")], stdout=subprocess.DEVNULL)
        try:
            system.environment["DISPATCHER_REDIS_URL"] = f"redis+sentinel://127.0.0.1:{watch}/main/0"
            time.sleep(1.5)
            processes = run(system)
            with one_sms_arrives(system, "before"):
                pass
            first.stop()
            with one_sms_arrives(system, "meanwhile", seconds=40):
                pass
            successor = Redis.from_url(second.url)
            system.wait_until(lambda: successor.info("replication")["role"] == "master")
            with one_sms_arrives(system, "after", seconds=40):
                pass
            assert alive(processes), system.logs()
            stop(processes)
        finally:
            process.kill()
            process.wait(timeout=10)
