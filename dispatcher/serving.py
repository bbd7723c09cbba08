"""The long-running processes: what a worker and a clock are made of, and what they check before they begin."""

from __future__ import annotations

from datetime import timedelta

import structlog

from dispatcher.broker import Stop, Work, make_app, register, run_clock, run_worker
from dispatcher.client import Dispatcher
from dispatcher.domain.errors import IdempotencyConflict, InvalidMessage, SettingsError
from dispatcher.ledger import By, require_head
from dispatcher.settings import Settings
from dispatcher.telemetry import configure_logs
from dispatcher.wiring import Services, require_api

log = structlog.get_logger(__name__)


def serve_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM, and return its exit code.

    :raises SettingsError: the API's address or credentials are missing.
    :raises LedgerUnavailable: the ledger cannot be reached.
    :raises LedgerOutdated: the ledger is not at the migration head; a worker never migrates by itself.
    """
    require_api(settings)
    process = _prepare(settings)
    stop = Stop()
    app = make_app(settings.redis_url.get_secret_value(), time_limit=_longest_pump(settings).total_seconds())
    register(app, Work(dispatch=lambda: process.pump(stop), enqueue=process.enqueue, tick=process.tick))
    return run_worker(
        app,
        processes=settings.processes,
        stop=stop,
        on_ready=lambda: _ready(settings, "worker"),
        in_child=process.start,
    )


def serve_clock(settings: Settings) -> int:
    """Run the clock until SIGTERM, and return its exit code; raises as ``serve_worker`` does."""
    process = _prepare(settings)
    app = make_app(settings.redis_url.get_secret_value(), time_limit=60)
    register(app, Work(dispatch=process.tick, enqueue=process.enqueue, tick=process.tick))
    process.start()
    return run_clock(app, on_ready=lambda: log.info("clock_ready"))


class _Process:
    """The services of the process that runs tasks: built in it, never inherited through a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services: Services | None = None

    def start(self) -> None:
        """Build the services of this process."""
        configure_logs(self._settings.log_level)
        self._services = Services(self._settings)

    @property
    def services(self) -> Services:
        """This process's services."""
        if self._services is None:
            self.start()
        assert self._services is not None  # noqa: S101 - start() has just built them
        return self._services

    def pump(self, stop: Stop) -> None:
        """Pump for one slice; the bell comes down first, so that what commits from now on rings anew."""
        self.services.bell.heard()
        self.services.clock.keep_in_step()
        self.services.pump(stop).run()

    def tick(self) -> None:
        """Beat once."""
        self.services.clock.keep_in_step()
        self.services.tick.run()

    def enqueue(self, sealed: str) -> None:
        """Take a sealed message; what cannot be taken is recorded, since its producer is long gone."""
        services = self.services
        try:
            Dispatcher(self._settings, services=services).enqueue_sealed(sealed)
        except (InvalidMessage, IdempotencyConflict, SettingsError) as refused:
            log.error("enqueue_refused", reason=str(refused))
            now = services.clock.now()
            services.books.note_refusal("broker", By(actor="broker", reason=str(refused), now=now))


def _prepare(settings: Settings) -> _Process:
    configure_logs(settings.log_level)
    services = Services(settings)
    try:
        require_head(services.engine)
    finally:
        services.close()
    return _Process(settings)


def _ready(settings: Settings, kind: str) -> None:
    log.info("ready", kind=kind, processes=settings.processes, concurrency=settings.concurrency)
    services = Services(settings)
    services.bell.ring()  # whatever is due, or was spooled before the last stop
    services.close()


def _longest_pump(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.slice_seconds + 60) + settings.http_deadline * 2
