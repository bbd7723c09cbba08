"""The world that chaos strikes: servers, and our processes as an operator would run them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, make_url, text

from dispatcher.ledger import Books, make_engine, migrate
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from tests.campaigns.making import numbers
from tests.faults.chaos.producer import POISON, UNKNOWN_SKU
from tests.faults.chaos.servers import Broker, Postgres, kill_group
from tests.faults.chaos.wires import API_HOST, ApiWire, LedgerWire, Wires
from tests.servers import port_of

DNS_GONE = "CHAOS_DNS_GONE"
"""While the file that this names exists, no process can look up the API's name."""
CAMPAIGN = "chaos"
FIREWALL: list[dict[str, Any]] = [
    {"path": "/sendSMS", "action": "gateway", "text": POISON},
    {"path": "/gifting/send", "action": "status", "status": 404, "sku": UNKNOWN_SKU},
]
"""Answers that depend on what a message says, always in force: what draws them never gets through."""
PROGRAM = [sys.executable, "-m", "dispatcher"]


class Stack(StrEnum):
    """Which ledger with which broker."""

    POSTGRESQL = "postgresql"
    """PostgreSQL with Redis, where `redis-server` is installed, else with Valkey."""
    SQLITE = "sqlite"
    """SQLite with Valkey."""


@dataclass(slots=True, kw_only=True)
class Part:
    """One of our processes, by its place: whoever comes after one that was killed has the same."""

    kind: str
    place: int
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    stepped: bool = False
    """Whether its wall clock is that of ``World.ahead``."""
    down: bool = False
    """Kept down on purpose for now."""


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that runs, and what steers it."""

    stack: Stack
    seed: int
    folder: Path
    sandbox: SandboxControl
    broker: Broker
    wires: Wires
    api: ApiWire
    postgres: Postgres | None
    ledger: LedgerWire | None
    """In front of PostgreSQL; SQLite is a file."""
    engine: Engine
    """The ledger, past every proxy."""
    environment: dict[str, str]
    parts: list[Part] = field(default_factory=list)
    commands: list[subprocess.Popen[bytes]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    """The API's fault rules that are in force."""

    @property
    def books(self) -> Books:
        """The ledger as applications and operators use it."""
        return Books(engine=self.engine)

    @property
    def dns_gone(self) -> Path:
        """The file whose presence means that names cannot be looked up."""
        return Path(self.environment[DNS_GONE])

    @property
    def home(self) -> Path:
        """The home that all processes share."""
        return self.folder / "home"

    @property
    def ahead(self) -> Path:
        """The file with the seconds by which the wall clock of a stepped process is ahead."""
        return self.folder / "ahead"

    def another_ledger(self) -> str:
        """Return the URL of another ledger, which is made at the first call."""
        if self.postgres is None:
            url = f"sqlite:///{self.folder / 'other.db'}"
        else:
            url = make_url(self.postgres.url).set(database="other").render_as_string(hide_password=False)
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                if connection.execute(text("SELECT 1 FROM pg_database WHERE datname = 'other'")).scalar() is None:
                    connection.execute(text("CREATE DATABASE other"))
        engine = make_engine(url)
        migrate(engine)
        engine.dispose()
        return url

    @property
    def sqlite_file(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.db"

    def add(self, kind: str, *command: str, stepped: bool = False, **settings: str) -> Part:
        """Add a process and start it."""
        place = sum(part.kind == kind for part in self.parts)
        part = Part(kind=kind, place=place, command=list(command), settings=settings, stepped=stepped)
        self.parts.append(part)
        self.start(part)
        return part

    def start(self, part: Part, **settings: str) -> None:
        """Start a process, for the first time or again."""
        part.lives += 1
        part.down = False
        given = {f"DISPATCHER_{name}": value for name, value in (part.settings | settings).items()}
        command = [word.format(life=part.lives, seed=self.seed * 1000 + part.lives) for word in part.command]
        program = [sys.executable, "-m", "tests.stepped", str(self.ahead), "dispatcher"] if part.stepped else PROGRAM
        with (self.folder / f"{part.kind}-{part.place}.log").open("ab") as log:
            part.process = subprocess.Popen(
                [*program, *command] if part.kind != "producer" else [sys.executable, "-m", *command],
                env={**os.environ, **self.environment, **given},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, part: Part) -> None:
        """Kill a process and its children, and keep it down until somebody starts it."""
        part.down = True
        if part.process is not None:
            kill_group(part.process)

    def supervise(self) -> None:
        """Start again whoever ended by itself, as every supervisor does; an intake that is done stays so."""
        for part in self.parts:
            ended = part.process is not None and part.process.poll() is not None
            done = part.kind == "intake" and part.process is not None and part.process.returncode == 0
            if ended and not done and not part.down:
                self.start(part)

    def of_kind(self, kind: str) -> list[Part]:
        """Return the processes of a kind."""
        return [part for part in self.parts if part.kind == kind]

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a command as an operator would; what it says goes to a log."""
        with (self.folder / "commands.log").open("ab") as log:
            process = subprocess.Popen(
                [*PROGRAM, *words], env={**os.environ, **self.environment}, stdout=log, stderr=subprocess.STDOUT
            )
        self.commands.append(process)
        return process

    def apply_rules(self) -> None:
        """Have the API misbehave by the rules in force, and by no other but the firewall's."""
        self.sandbox.clear_faults()
        for rule in [*FIREWALL, *self.rules]:  # the first that matches fires
            self.sandbox.fault(**rule)

    def carried_out(self) -> Counter[str]:
        """Count what the API really did, by Idempotency-Key, which is the message's id."""
        return Counter(
            entry.idempotency_key or ""
            for kind in ("sms", "gift")
            for entry in self.sandbox.journal(kind=kind)
            if entry.carried_out
        )

    def receipts(self) -> Iterator[UUID]:
        """Yield the ids that producers were given; the last line of one that was killed may be torn."""
        for path in self.folder.glob("receipts-*.jsonl"):
            for line in path.read_text().splitlines():
                if line.endswith("}"):
                    yield UUID(json.loads(line)["id"])

    def log_lines(self, word: str, *, most: int = 20) -> list[str]:
        """Return what the logs say about something."""
        found: list[str] = []
        for path in sorted(self.folder.glob("*.log")):
            with path.open(errors="replace") as log:
                found += [f"{path.name}: {line.rstrip()}" for line in log if word in line]
        return found[-most:]

    def integrity(self) -> str:
        """Ask the database whether it is whole: SQLite's own check, PostgreSQL's checksum failures."""
        if self.stack is Stack.SQLITE:
            with sqlite3.connect(self.sqlite_file) as connection:
                return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        with self.engine.connect() as connection:
            failures = connection.execute(text("SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database"))
            return "ok" if failures.scalar() == 0 else "checksum failures"

    def close(self) -> None:
        """End every process."""
        for part in self.parts:
            self.kill(part)
        for command in self.commands:
            command.kill()
            command.wait()


@contextmanager
def running_world(
    stack: Stack, seed: int, folder: Path, *, workers: int = 3, rate: float = 60, recipients: int = 2000
) -> Iterator[World]:
    """Run the servers and our processes.

    :param rate: how many messages a second each of the two producers enqueues.
    :param recipients: how many a campaign has that is taken in meanwhile.
    """
    with ExitStack() as opened:
        sandbox = opened.enter_context(running_sandbox(SandboxSettings(latency_ms=20, latency_jitter_ms=40, seed=seed)))
        wires = Wires()
        opened.callback(wires.close)
        api = ApiWire(wires, port_of(sandbox.url), folder, seed)
        broker = Broker(shutil.which("redis-server") if stack is Stack.POSTGRESQL else None)
        opened.callback(broker.close)
        broker.start()
        postgres, wire = None, None
        url = seen_url = f"sqlite:///{folder / 'ledger.db'}"
        if stack is Stack.POSTGRESQL:
            postgres = Postgres()
            opened.callback(postgres.close)
            wire = LedgerWire(wires, postgres.socket, seed)
            url, seen_url = postgres.url, f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/postgres"
        engine = make_engine(url)
        opened.callback(engine.dispose)
        migrate(engine)
        world = World(
            stack=stack,
            seed=seed,
            folder=folder,
            sandbox=sandbox,
            broker=broker,
            wires=wires,
            api=api,
            postgres=postgres,
            ledger=wire,
            engine=engine,
            environment=_environment(seen_url, broker.url, api, folder),
        )
        opened.callback(world.close)
        world.apply_rules()
        _populate(world, workers, rate)
        _take_in(world, recipients)
        yield world


def _environment(ledger_url: str, redis_url: str, api: ApiWire, folder: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "names"), os.environ.get("PYTHONPATH", "")]),
        DNS_GONE: str(folder / "dns-is-gone"),
        "DISPATCHER_LEDGER_URL": ledger_url,
        "DISPATCHER_REDIS_URL": redis_url,
        "DISPATCHER_API_BASE_URL": f"https://{API_HOST}:{api.port}",
        "DISPATCHER_CA_BUNDLE": str(api.authority),
        "DISPATCHER_CLIENT_ID": "sandbox-client",
        "DISPATCHER_CLIENT_SECRET": "sandbox-secret",
        "DISPATCHER_HOME": str(folder / "home"),
        "DISPATCHER_SMS_RATE": "2000/s",
        "DISPATCHER_GIFT_RATE": "500/s",
        "DISPATCHER_CONCURRENCY": "16",
        "DISPATCHER_CONNECT_TIMEOUT": "1",
        "DISPATCHER_READ_TIMEOUT": "2",
        "DISPATCHER_LEASE_SECONDS": "8",
        "DISPATCHER_SLICE_SECONDS": "2",
        "DISPATCHER_CONFIGURATION_PAUSE": "3",
    }


def _take_in(world: World, recipients: int) -> None:
    """Begin to take a campaign in: a command that ends by itself, or is killed and begun again."""
    path = world.folder / "recipients.csv"
    path.write_text("recipient\n" + "".join(f"{number}\n" for number in numbers(recipients)))
    create = ["campaign", "create", str(path), "--name", CAMPAIGN, "--template", "Off we go", "--starts-at", "+1s"]
    world.add("intake", *create)


def _populate(world: World, workers: int, rate: float) -> None:
    may_step = world.stack is Stack.POSTGRESQL  # the ledger's time on SQLite is its host's
    world.ahead.write_text("0")
    for place in range(workers):
        transport = "aiohttp" if place == 0 else "requests"
        world.add("worker", "worker", stepped=may_step and place == 1, TRANSPORT=transport)
    for place in range(2):
        world.add("clock", "clock", stepped=may_step and place == 1)
    for place in range(2):
        receipts = world.folder / f"receipts-{place}.jsonl"
        program = ["tests.faults.chaos.producer", str(receipts), f"p{place}-{{life}}", "{seed}", str(rate)]
        world.add("producer", *program)
