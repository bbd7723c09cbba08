"""The long-running processes: what a worker and a clock are made of, and what they check before they begin."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from dispatcher.broker.pulse import Pulse, end_when_stuck
from dispatcher.client import Dispatcher
from dispatcher.domain.errors import IdempotencyConflict, InvalidMessage, LedgerUnavailable
from dispatcher.engine.settling import RETRY_LEDGER
from dispatcher.logs import get_logger
from dispatcher.preflight import Role, check_installation
from dispatcher.private_files import make_folder
from dispatcher.settings import Settings
from dispatcher.telemetry import configure_logs
from dispatcher.wiring import Services, redis_server, require_api, require_spool, secure_home, spool_folder

if TYPE_CHECKING:
    from dispatcher.broker import Companion, Stop
    from dispatcher.telemetry.metrics import Metrics  # its library is an extra

log = get_logger(__name__)

_FORGET_EVERY = timedelta(hours=1)
_FIRST = 0
"""The place of a process that is the only one of its kind."""


def serve_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM, and return its exit code.

    :raises SettingsError: the API's address or credentials are missing, or the port for metrics is taken.
    :raises InstallationError: a package that the settings need is missing or cannot be loaded.
    :raises LedgerUnavailable: the ledger cannot be reached.
    :raises LedgerOutdated: the ledger is not at the migration head; a worker never migrates by itself.
    """
    require_api(settings)
    check_installation(settings, Role.WORKER)
    intake = _intake(settings)
    require_spool(settings)
    make_folder(spool_folder(settings))
    _check_ledger(settings)
    if intake is None:
        return _run_worker(settings, on_stop=None)
    intake.start()
    try:
        return _run_worker(settings, on_stop=intake.stop)
    finally:
        intake.stop()
        intake.join()


def _run_worker(settings: Settings, *, on_stop: Callable[[], object] | None) -> int:
    from dispatcher.broker import Stop, Work, make_app, register, run_worker

    pulse = Pulse()
    process = _process(settings, _worker_metrics(settings, pulse))
    stop = Stop()
    app = make_app(redis_server(settings), time_limit=_longest_pump(settings).total_seconds())
    register(app, Work(dispatch=lambda: process.pump(stop), enqueue=process.enqueue))
    return run_worker(
        app,
        processes=settings.processes,
        stop=stop,
        pulse=pulse,
        on_ready=lambda: _ready(settings, "worker"),
        on_stop=on_stop or (lambda: None),
        in_child=process.start,
        at_child_end=process.close,
    )


def serve_clock(settings: Settings) -> int:
    """Run the clock until SIGTERM, and return its exit code; raises as ``serve_worker`` does."""
    check_installation(settings, Role.CLOCK)
    from dispatcher.broker import run_clock

    pulse = Pulse()
    _check_ledger(settings)
    process = _process(settings, _clock_metrics(settings, pulse))

    def beat(late: timedelta) -> None:
        pulse.beat()
        process.tick(late)

    process.start(_FIRST)
    end_when_stuck(pulse)
    return run_clock(beat, on_ready=lambda: log.info("clock_ready"))


def serve_intake(settings: Settings) -> int:
    """Take messages that come through the broker until SIGTERM, and return the exit code."""
    from dispatcher.broker import Work, make_intake_app, register, run_intake

    configure_logs(settings.log_level)
    process = _Process(settings, None)
    app = make_intake_app(redis_server(settings))
    register(app, Work(dispatch=lambda: None, enqueue=process.enqueue))
    return run_intake(app, in_child=lambda: process.start(_FIRST))


def _intake(settings: Settings) -> Companion | None:
    """Make the process that takes messages which come through the broker; None if no key opens them.

    Without a key they wait in the broker for a worker that has one.

    :raises SettingsError: the key is not a Fernet key.
    """
    from dispatcher.broker import Companion
    from dispatcher.broker.sealed import check_key

    key = settings.enqueue_key.get_secret_value()
    if not key:
        return None
    check_key(key)
    return Companion("intake", "dispatcher.intake_process", standard_input=json.dumps(settings.given()))


class _Process:
    """The services of the process that runs tasks: built in it, never inherited through a fork."""

    def __init__(self, settings: Settings, metrics: Metrics | None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._services: Services | None = None
        self._forget_at = 0.0

    def start(self, place: int) -> None:
        """Build the services of this process, by its place among those that do the same."""
        configure_logs(self._settings.log_level)
        meter = None if self._metrics is None else self._metrics.meter(place)
        self._services = Services(self._settings, meter=meter)
        # All that was loaded so far stays as long as the process: the collector need not walk through it again and
        # again, which would cost as much as a quarter of the work.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """Give up the services, with nothing left in this process's memory alone."""
        if self._services is not None:
            self._services.close()

    @property
    def services(self) -> Services:
        """This process's services."""
        if self._services is None:
            raise RuntimeError("a task came before start()")
        return self._services

    def pump(self, stop: Stop) -> None:
        """Pump for one slice; the bell comes down first, so that what commits from now on rings anew."""
        self.services.bell.heard()
        try:
            self.services.clock.keep_in_step()
        except LedgerUnavailable as away:  # without the ledger's time there is nothing that a pump could do
            log.warning("ledger_away", reason=str(away))
            time.sleep(RETRY_LEDGER.total_seconds())
            self.services.bell.ring()
            return
        self.services.pump(stop).run()

    def tick(self, late: timedelta = timedelta(0)) -> None:
        """Beat once."""
        self.services.tick.run(late=late)

    def enqueue(self, sealed: object) -> None:
        """Take a sealed message; what cannot be taken is recorded, since its producer is long gone.

        Any other error means that the message is still to be taken.
        """
        services = self.services
        try:
            if not isinstance(sealed, str):
                raise InvalidMessage("sealed", "is missing: the task dispatcher.enqueue has one argument, a text")
            Dispatcher(self._settings, services=services).enqueue_sealed(sealed)
        except (InvalidMessage, IdempotencyConflict) as refused:
            log.error("enqueue_refused", reason=str(refused))
            now = services.clock.now()
            from dispatcher.ledger import By

            services.books.note_refusal("broker", By(actor="broker", reason=str(refused), now=now))
        if services.clock.monotonic() >= self._forget_at:
            self._forget_at = services.clock.monotonic() + _FORGET_EVERY.total_seconds()
            services.broker_intake.forget(now=services.clock.now())


def _check_ledger(settings: Settings) -> None:
    from dispatcher.ledger import require_head

    configure_logs(settings.log_level)
    secure_home(settings)
    services = Services(settings)
    try:
        require_head(services.engine)
    finally:
        services.close()


def _process(settings: Settings, metrics: Metrics | None) -> _Process:
    if metrics is not None:
        metrics.endpoint.start()
    return _Process(settings, metrics)


def _worker_metrics(settings: Settings, pulse: Pulse) -> Metrics | None:
    if settings.metrics_port == 0:
        return None
    from dispatcher.readiness import readiness_once
    from dispatcher.telemetry.metrics import worker_metrics

    return worker_metrics(
        host=settings.metrics_host,
        port=settings.metrics_port,
        concurrency=settings.concurrency,
        spool=spool_folder(settings),
        stuck=lambda: pulse.stuck,
        ready=lambda: readiness_once(settings),
    )


def _clock_metrics(settings: Settings, pulse: Pulse) -> Metrics | None:
    if settings.metrics_port == 0:
        return None
    from dispatcher.readiness import readiness_once
    from dispatcher.telemetry.metrics import clock_metrics

    return clock_metrics(
        host=settings.metrics_host,
        port=settings.metrics_port,
        stuck=lambda: pulse.stuck,
        ready=lambda: readiness_once(settings),
    )


def _ready(settings: Settings, kind: str) -> None:
    log.info("ready", kind=kind, processes=settings.processes, concurrency=settings.concurrency)
    services = Services(settings)
    services.bell.ring()  # whatever is due, or was spooled before the last stop
    services.close()


def _longest_pump(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.slice_seconds + 60) + settings.http_deadline * 2
