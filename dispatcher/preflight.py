"""Imports all that a configuration needs before the process depends on it: a missing package shows at start.

It also loads these modules before a worker forks, so that its processes share their memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module

from dispatcher.domain.errors import InstallationError
from dispatcher.installation import loading
from dispatcher.settings import Settings


class Role(StrEnum):
    """The kinds of long-running process."""

    WORKER = "worker"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that the configuration needs, and the command or setting that asks for it."""

    needed_by: str
    load: Callable[[], object]
    """Imports it; raises ImportError or OSError."""


_BASE = (
    "orjson",
    "structlog",
    "dispatcher.telemetry",
    "dispatcher.ledger.sql_ledger",
    "dispatcher.limits.limiter",
    "dispatcher.engine.tick",
    "dispatcher.broker.bell",
    "dispatcher.broker.connecting",
)
_OF_ROLE = {
    Role.WORKER: (
        "dispatcher.broker.app",
        "dispatcher.broker.companion",
        "dispatcher.broker.sealed",
        "dispatcher.broker.tasks",
        "dispatcher.broker.transport",
        "dispatcher.broker.worker",
        # Celery imports these by name when the worker starts.
        "celery.apps.worker",
        "celery.worker.components",
        "celery.worker.consumer",
        "dispatcher.engine.pump",
        "dispatcher.oauth.source",
        "dispatcher.oauth.line",
        "celery.concurrency.prefork",
    ),
    Role.CLOCK: ("dispatcher.broker.clock",),
}


def check_installation(settings: Settings, role: Role) -> None:
    """Import all that a process of this role needs with these settings.

    :raises InstallationError: one sentence for each part that is missing or broken.
    """
    faults = []
    for part in _parts(settings, role):
        try:
            with loading(part.needed_by):
                part.load()
        except InstallationError as fault:
            faults.append(str(fault))
    if faults:
        raise InstallationError("\n".join(dict.fromkeys(faults)))


def _parts(settings: Settings, role: Role) -> Iterator[Part]:
    command = f"dispatcher {role.value}"
    for module in (*_BASE, *_OF_ROLE[role]):
        yield Part(needed_by=command, load=_importing(module))
    if role is Role.WORKER:
        needed_by = "DISPATCHER_TRANSPORT=aiohttp" if settings.transport == "aiohttp" else command
        yield Part(needed_by=needed_by, load=_importing(f"dispatcher.gateway.{settings.transport}_transport"))
    yield Part(needed_by=command, load=_time_zones)
    yield Part(needed_by="DISPATCHER_LEDGER_URL", load=lambda: _driver(settings))
    if settings.metrics_port:
        yield Part(needed_by=f"{command} --metrics-port", load=_importing("dispatcher.telemetry.metrics"))


def _importing(module: str) -> Callable[[], object]:
    return lambda: import_module(module)


def _driver(settings: Settings) -> None:
    from dispatcher.ledger import make_engine

    make_engine(settings.ledger).dispose()


def _time_zones() -> None:
    """Send windows need the zones of the system or of the package tzdata."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("Australia/Sydney")
    except ZoneInfoNotFoundError:
        raise ModuleNotFoundError("there are no time zones", name="tzdata") from None
