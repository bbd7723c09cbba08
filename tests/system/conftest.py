"""The real system as separate processes: Valkey, ledger, sandbox, workers, clock, started as an operator would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis

from dispatcher import Dispatcher
from dispatcher.domain.state import State
from dispatcher.ledger import Attempt, Books, Filter, Message, make_engine
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from tests.servers import running_redis, running_valkey

_ROOT = Path(__file__).parents[2]


@dataclass(slots=True, kw_only=True)
class System:
    """A whole dispatcher; processes are added by the test."""

    environment: dict[str, str]
    sandbox: SandboxControl
    redis: Redis
    folder: Path
    books: Books
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start `dispatcher …` with more settings, in a process group of its own."""
        return self._launch(("dispatcher",), command, settings)

    def on_stepped_host(self, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start `dispatcher …` on a host whose wall clock ``set_host`` sets."""
        return self._launch(("tests.stepped", str(self.folder / "ahead"), "dispatcher"), command, settings)

    def _launch(
        self, program: tuple[str, ...], command: tuple[str, ...], settings: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        given = {f"DISPATCHER_{name}": value for name, value in settings.items()}
        log = (self.folder / f"{command[0]}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *program, *command],
            env={**os.environ, "PYTHONPATH": str(_ROOT), **self.environment, **given},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=self.folder,
        )
        self.processes.append(process)
        return process

    def worker(self, **settings: str) -> subprocess.Popen[bytes]:
        return self.start("worker", **settings)

    def clock(self) -> subprocess.Popen[bytes]:
        return self.start("clock")

    def set_host(self, ahead: timedelta) -> None:
        """Set the wall clock of the processes that were started ``on_stepped_host``."""
        (self.folder / "ahead").write_text(str(ahead.total_seconds()))

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and its children, with no chance to clean up."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def client(self) -> Dispatcher:
        names = {name.removeprefix("DISPATCHER_").lower(): value for name, value in self.environment.items()}
        return Dispatcher.from_env(**names)

    def counts(self) -> Counter[State]:
        found: Counter[State] = Counter()
        for tally in self.books.tallies():
            found[tally.state] += tally.count
        return found

    def wait_until(self, done: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait for a condition, and tell what the logs say if it never holds."""
        ends = time.monotonic() + seconds
        while not done():
            if time.monotonic() > ends:
                raise AssertionError(f"not within {seconds} s; {dict(self.counts())}\n{self.logs()}")
            time.sleep(0.05)

    def wait_settled(self, *, seconds: float = 30) -> None:
        """Wait until nothing is queued or in flight."""

        def settled() -> bool:
            counts = self.counts()
            return counts[State.QUEUED] + counts[State.SENDING] == 0

        self.wait_until(settled, seconds=seconds)

    def wait_ready(self, *, workers: int = 1) -> None:
        """Wait until workers have taken up work."""
        self.wait_until(lambda: self.logs().count('"event": "ready"') >= workers)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.folder.glob("*.log")))

    def messages(self) -> list[Message]:
        return self.books.messages(Filter(), limit=1_000_000)

    def attempts(self, message_id: UUID) -> list[Attempt]:
        return self.books.story(message_id)[1]

    def carried_out(self) -> Counter[str]:
        """Count what the sandbox really did, by Idempotency-Key, which is the message's id."""
        return Counter(
            entry.idempotency_key or ""
            for kind in ("sms", "gift")
            for entry in self.sandbox.journal(kind=kind)
            if entry.carried_out
        )

    def assert_books_balance(self) -> None:
        """Compare journal and ledger, message by message."""
        carried = self.carried_out()
        for message in self.messages():
            times = carried.pop(str(message.id), 0)
            story = f"{message} carried out {times} times: {self.attempts(message.id)}"
            if message.state in (State.ACCEPTED, State.DELIVERED):
                assert times >= 1, story
            if message.channel.value == "gift":
                assert times <= 1, f"a gift was paid twice: {story}"
                assert times == 0 or message.state in (State.ACCEPTED, State.IN_DOUBT), story
            elif times > 1:
                doubts = sum("may be a duplicate" in (each.why_next or "") for each in self.attempts(message.id))
                assert times - 1 <= doubts, f"sent more often than the ledger explains: {story}"
        assert not carried, "the sandbox carried out what the ledger does not know"

    def close(self) -> None:
        """Kill every process that still runs: how they stop is the subject of tests, not of every test's end."""
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def system(ledger_url: str, tmp_path: Path) -> Iterator[System]:
    """Return a system with a sandbox of its own; no worker runs yet.

    It stands on SQLite with Valkey and on PostgreSQL with Redis, where Redis is installed, else with Valkey too.
    """
    redis_server = shutil.which("redis-server") if ledger_url.startswith("postgresql") else None
    with ExitStack() as stack:
        url = stack.enter_context(running_redis(redis_server) if redis_server else running_valkey())
        sandbox = stack.enter_context(running_sandbox(SandboxSettings(latency_ms=20)))
        environment = {
            "DISPATCHER_LEDGER_URL": ledger_url,
            "DISPATCHER_REDIS_URL": url,
            "DISPATCHER_API_BASE_URL": sandbox.url,
            "DISPATCHER_CLIENT_ID": "sandbox-client",
            "DISPATCHER_CLIENT_SECRET": "sandbox-secret",
            "DISPATCHER_HOME": str(tmp_path / "home"),
            "DISPATCHER_SMS_RATE": "10000/s",
            "DISPATCHER_GIFT_RATE": "10000/s",
            "DISPATCHER_READ_TIMEOUT": "2",
            "DISPATCHER_CONNECT_TIMEOUT": "1",
            "DISPATCHER_LEASE_SECONDS": "8",
            "DISPATCHER_SLICE_SECONDS": "2",
        }
        engine = make_engine(ledger_url)
        system = System(
            environment=environment,
            sandbox=sandbox,
            redis=Redis.from_url(url),
            folder=tmp_path,
            books=Books(engine=engine),
        )
        yield system
        system.close()
        system.redis.close()
        engine.dispose()
