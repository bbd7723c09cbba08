"""A real ledger, a real Valkey, a real sandbox, and the command line on top of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from typer.testing import CliRunner

from dispatcher.cli.app import app
from dispatcher.client import Dispatcher
from dispatcher.ledger import migrate
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from dispatcher.settings import load_settings
from dispatcher.telemetry import configure_logs
from dispatcher.wiring import Services

MOBILE = "+61491570006"
OTHER_MOBILE = "+61491570156"


@pytest.fixture(scope="session")
def started_sandbox() -> Iterator[SandboxControl]:
    with running_sandbox(SandboxSettings()) as control:
        yield control


@pytest.fixture
def sandbox(started_sandbox: SandboxControl) -> SandboxControl:
    started_sandbox.reset()
    return started_sandbox


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Shell:
    """Runs commands as a terminal of 100 columns would, and does what workers would do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __call__(self, *arguments: str, input: str = "") -> Ended:
        result = CliRunner().invoke(app, list(arguments), input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    def set(self, **settings: str) -> None:
        """Set DISPATCHER_… variables; an empty text unsets one."""
        for name, value in settings.items():
            variable = f"DISPATCHER_{name.upper()}"
            if value:
                self._patch.setenv(variable, value)
            else:
                self._patch.delenv(variable, raising=False)

    def columns(self, count: int) -> None:
        """Make the terminal so many columns wide."""
        self._patch.setenv("COLUMNS", str(count))

    def pump(self) -> int:
        """Send what is due, as a worker does in one slice."""
        services = self.services()
        try:
            return services.pump().run()
        finally:
            services.close()

    def tick(self) -> None:
        """Beat once, as the clock does."""
        services = self.services()
        services.tick.run()
        services.close()

    def services(self) -> Services:
        """The parts behind the commands."""
        configure_logs("CRITICAL")
        return Services(load_settings())

    def client(self) -> Dispatcher:
        """The client that an application would use."""
        return Dispatcher.from_env()

    def rows(self) -> int:
        """How many messages the ledger has."""
        services = self.services()
        try:
            return sum(tally.count for tally in services.books.tallies())
        finally:
            services.close()

    def sms(self, to: str = MOBILE, text: str = "Your code is 123456", **options: str) -> str:
        """Enqueue an SMS and return its id."""
        given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        return str(self("sms", to, text, "--json", *given).json["id"])

    def gift(self, key: str, amount: str = "25.00") -> str:
        """Enqueue a gift and return its id."""
        given = ("--sku", "COFFEE", "--amount", amount, "--currency", "AUD", "--key", key)
        return str(self("gift", MOBILE, *given, "--json").json["id"])

    def state(self, id: str) -> str:
        """The state of a message."""
        return str(self("messages", "show", id, "--json").json["message"]["state"])


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    """A machine on which nothing is set but the home."""
    for name in list(os.environ):
        if name.startswith("DISPATCHER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISPATCHER_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("COLUMNS", "100")
    return Shell(monkeypatch)


@pytest.fixture
def offline(bare: Shell) -> Shell:
    """A ledger, and nothing else."""
    services = bare.services()
    migrate(services.engine)
    services.close()
    return bare


@pytest.fixture
def shell(offline: Shell, valkey: str, redis: Redis, sandbox: SandboxControl) -> Shell:
    """Everything that sending needs."""
    offline.set(
        redis_url=valkey,
        api_base_url=sandbox.url,
        client_id="sandbox-client",
        client_secret="sandbox-secret",
        read_timeout="0.5",
        connect_timeout="1",
    )
    return offline
