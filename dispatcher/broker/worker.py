"""The life of a worker: prefork children that pump, and a stop that leaves nothing behind."""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Callable
from typing import Any

from billiard.process import current_process
from celery import Celery, bootsteps, signals
from celery.exceptions import SecurityWarning

from dispatcher.broker.pulse import Pulse
from dispatcher.broker.queues import DISPATCH, ENQUEUE

_PULSE_SECONDS = 5.0


class Stop:
    """A flag that the main process raises and its children see: one shared byte, made before they fork."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def raise_flag(self) -> None:
        """Ask every child to claim nothing more."""
        self._byte[0] = 1

    def __call__(self) -> bool:
        """Say whether the worker is shutting down."""
        return self._byte[0] == 1


def run_worker(
    app: Celery,
    *,
    processes: int,
    stop: Stop,
    pulse: Pulse,
    on_ready: Callable[[], object],
    on_stop: Callable[[], object],
    in_child: Callable[[int], object],
    at_child_end: Callable[[], object],
) -> int:
    """Run a worker until it is told to stop, and return its exit code.

    :param pulse: kept by the main loop.
    :param on_ready: called once in the main process when it takes work.
    :param on_stop: called in the main process when it is told to stop.
    :param in_child: called in each child after it forked, before its first task, with its place in the pool: 0 to
        ``processes`` - 1; who comes after a child that ended has the same.
    :param at_child_end: called in each child that ends by itself, after its last task.
    """

    def ready(**_: Any) -> None:
        on_ready()

    def shutting_down(**_: Any) -> None:
        stop.raise_flag()
        on_stop()

    def forked(**_: Any) -> None:
        in_child(current_process().index)

    def ending(**_: Any) -> None:
        at_child_end()

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(shutting_down, weak=False)
    signals.worker_process_init.connect(forked, weak=False)
    signals.worker_process_shutdown.connect(ending, weak=False)
    _watch(app, pulse)
    return _run(app, concurrency=processes, queues=[DISPATCH])


def run_intake(app: Celery, *, in_child: Callable[[], object]) -> int:
    """Take messages that come through the broker until SIGTERM, and return the exit code.

    It has a process of its own: however long a key is locked in the ledger, every pump goes on. The process that takes
    them is a child, so that this one can give a message back to the broker when that is killed.

    :param in_child: called in the child after it forked, before its first task.
    """

    def forked(**_: Any) -> None:
        in_child()

    signals.worker_process_init.connect(forked, weak=False)
    return _run(app, concurrency=1, queues=[ENQUEUE])


def _run(app: Celery, *, concurrency: int, queues: list[str]) -> int:
    signals.setup_logging.connect(_keep_our_logs, weak=False)
    # Celery warns root users because of pickle, which this application neither writes nor accepts.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        pool_cls="prefork",
        concurrency=concurrency,
        queues=queues,
        optimization="fair",
        quiet=True,
        loglevel="WARNING",
        # Three connections and constant chatter for each worker, for nothing that we use.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _keep_our_logs(**_: Any) -> None:
    """Having this receiver is enough: Celery then sets up no logging of its own."""


def _watch(app: Celery, pulse: Pulse) -> None:
    """Have the main loop of an application's worker keep a pulse while it is connected to Redis."""
    app.steps["consumer"].add(type("_Bound", (_Watched,), {"pulse": pulse}))


class _Watched(bootsteps.StartStopStep):
    """A step of the consumer: started when a connection to Redis stands, stopped when it is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    pulse: Pulse

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        self.pulse.beat()
        self._timer = consumer.timer.call_repeatedly(_PULSE_SECONDS, self.pulse.beat)

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.pulse.pause()

    shutdown = stop
