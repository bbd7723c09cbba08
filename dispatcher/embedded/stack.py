"""The embedded stack: started in the order in which its parts need each other, stopped in the opposite one."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from itertools import chain
from pathlib import Path

from dispatcher.embedded.child import Child, Nursery
from dispatcher.embedded.home import Home
from dispatcher.embedded.provider import start_sandbox, steer
from dispatcher.embedded.valkey import start_valkey
from dispatcher.ledger import make_engine, migrate
from dispatcher.sandbox import SandboxControl, SandboxSettings
from dispatcher.settings import PREFIX, Settings, load_settings, sqlite_url
from dispatcher.wiring import require_api

_READY_S = 20
_STOP_MARGIN_S = 5


class Data(Enum):
    """What becomes of the data that HOME has from an earlier run."""

    KEPT = auto()
    THROWN_AWAY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run, and where."""

    home: Home
    settings: Mapping[str, str] = field(repr=False)
    """Settings by their lower-case name, for every process of the stack. An address given here is used as it is;
    for each of `ledger_url`, `redis_url` and `api_base_url` that is missing the stack starts a part of its own."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    data: Data = Data.KEPT
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """What worker and clock inherit, before the settings above."""
    folder: Path | None = None
    """The processes' working folder, whose `.env` they read; None: the current one."""
    web_port: int | None = None
    """Where the pages are served; any free port if it is taken. None: nowhere."""

    def starts(self, name: str) -> bool:
        """Whether the stack starts this part itself."""
        return name not in self.settings


@dataclass(slots=True, kw_only=True)
class Stack:
    """What is running. ``settings`` are those of every process in it."""

    plan: Plan
    settings: Settings
    migrated: tuple[str | None, str | None]
    sandbox: SandboxControl | None
    """Steers the sandbox; None where another API is used."""
    stages: list[list[Child]]
    """Each needs the ones before it."""

    @property
    def pages(self) -> str | None:
        """Where the operator's pages are; None if nowhere."""
        for child in chain.from_iterable(self.stages):
            if child.name == "web":
                found = re.search(r'"url": "([^"]+)"', child.said())
                return None if found is None else found[1]
        return None

    def check(self) -> None:
        """Notice a part that ended by itself.

        :raises ChildEnded: with its last words.
        """
        for child in chain.from_iterable(self.stages):
            if child.ended:
                raise child.trouble()


@contextmanager
def running_stack(plan: Plan) -> Iterator[Stack]:
    """Run the stack for as long as the block lasts. However the block ends, nothing of it is left behind.

    :raises HomeTaken: another process works in this HOME.
    :raises ExtrasMissing: the extra `embedded` is not installed.
    :raises ChildEnded: a part cannot start.
    :raises SettingsError: an API is given without its credentials.
    :raises LedgerUnavailable: the ledger that was given cannot be reached.
    """
    stages: list[list[Child]] = [[], [], []]
    with plan.home.held() as lock:
        if plan.data is Data.THROWN_AWAY:
            plan.home.start_afresh()
        nursery = Nursery(logs=plan.home.logs, lock=lock, folder=plan.folder)
        try:
            stack = _start(plan, nursery, stages)
            plan.home.publish(_addresses(stack))
            yield stack
        finally:
            plan.home.withdraw()
            _stop(stages)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, by KeyboardInterrupt."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(plan: Plan, nursery: Nursery, stages: list[list[Child]]) -> Stack:
    queue, providers, servers = stages
    given = {"home": str(plan.home.path), "ledger_url": sqlite_url(plan.home.ledger.resolve()), **plan.settings}
    if plan.starts("api_base_url"):
        providers.append(start_sandbox(nursery, plan.sandbox))
    if plan.starts("redis_url"):
        valkey, given["redis_url"] = start_valkey(nursery, plan.home)
        queue.append(valkey)
    migrated = _migrate(given["ledger_url"])
    sandbox = None
    for provider in providers:
        sandbox = steer(provider)
        given["api_base_url"] = sandbox.url
        given["client_id"], given["client_secret"] = plan.sandbox.client_id, plan.sandbox.client_secret
    settings = load_settings(**given)
    require_api(settings)
    _serve(plan, nursery, servers, _variables(given, settings), settings)
    return Stack(plan=plan, settings=settings, migrated=migrated, sandbox=sandbox, stages=stages)


def _migrate(ledger_url: str) -> tuple[str | None, str | None]:
    engine = make_engine(ledger_url)
    try:
        return migrate(engine)
    finally:
        engine.dispose()


def _serve(
    plan: Plan, nursery: Nursery, servers: list[Child], variables: Mapping[str, str], settings: Settings
) -> None:
    """Start clock and worker side by side and wait until both take work."""
    signs = {"clock": "clock_ready", "worker": "ready"} | ({} if plan.web_port is None else {"web": "web_ready"})
    for role in signs:
        child = nursery.python(
            role,
            *("dispatcher.embedded", role, str(os.getpid()), str(_free_or_any(plan.web_port or 0))),
            environment={**plan.environment, **variables},
            patience_s=settings.http_deadline.total_seconds() + _STOP_MARGIN_S,
        )
        servers.append(child)
    for child in servers:
        child.wait_until(partial(_has_said, child, f'"event": "{signs[child.name]}"'), within_s=_READY_S)


def _free_or_any(port: int) -> int:
    """Return a port if it can be listened on, else 0 for any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _has_said(child: Child, line: str) -> bool:
    return line in child.said()


def _variables(given: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Write the settings as environment variables, where no list of processes shows the secrets."""
    # Their logs go to files, and that they are ready is to be read there.
    level = settings.log_level if settings.log_level == "DEBUG" else "INFO"
    # One port cannot be both the worker's and the clock's, and whoever tries things out has the pages.
    everybody = {**given, "log_level": level, "metrics_port": "0"}
    return {PREFIX + name.upper(): value for name, value in everybody.items()}


def _addresses(stack: Stack) -> dict[str, str]:
    """Write what other terminals need to know."""
    settings = stack.settings
    values = {
        "redis_url": settings.redis_url.get_secret_value(),
        "ledger_url": settings.ledger,
        "api_base_url": settings.api_base_url,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.get_secret_value(),
        "sms_rate": settings.sms_rate,
        "gift_rate": settings.gift_rate,
    }
    return {PREFIX + name.upper(): value for name, value in values.items()}


def _stop(stages: list[list[Child]]) -> None:
    """Stop worker and clock, then the sandbox, then Valkey; being interrupted once more kills what is left."""
    try:
        for stage in reversed(stages):
            for child in stage:
                child.ask_to_stop()
            for child in stage:
                child.wait_to_stop()
    finally:
        for child in chain.from_iterable(stages):
            child.kill()
