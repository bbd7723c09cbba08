"""A process's metrics, put together. Only this file's importers need Prometheus' library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from dispatcher.meter import Meter, Unmeasured
from dispatcher.telemetry.board import Board
from dispatcher.telemetry.catalogue import CLOCK, WORKER
from dispatcher.telemetry.counting import LAYOUT, CountingMeter
from dispatcher.telemetry.endpoint import Endpoint, Health
from dispatcher.telemetry.exposition import BoardCollector, PoolCollector, SpoolCollector, SystemCollector


@dataclass(frozen=True, slots=True)
class Metrics:
    """The board of a worker or a clock, and where it can be read."""

    board: Board
    endpoint: Endpoint

    def meter(self, place: int) -> Meter:
        """Return the meter of the process that calls this, by its place in the pool."""
        self.endpoint.leave_to_parent()
        row = self.board.take(place)
        return Unmeasured() if row is None else CountingMeter(row)


def worker_metrics(
    *,
    host: str,
    port: int,
    concurrency: int,
    spool: Path,
    stuck: Callable[[], bool],
    ready: Callable[[], Mapping[str, str]],
) -> Metrics:
    """Take the port for a worker's numbers; call it before the processes fork.

    :param stuck: whether the main loop no longer turns.
    :param ready: "ok" or an error for each dependency.
    :raises SettingsError: the port cannot be had.
    """
    board = Board(LAYOUT.width)
    collectors = (PoolCollector(board, concurrency), BoardCollector(board, WORKER), SpoolCollector(spool))

    def wrong() -> str | None:
        if stuck():
            return "the worker's main loop is stuck"
        return None if any(row.alive for row in board.rows()) else "no process of this worker lives"

    return _metrics(board, collectors, host, port, Health(wrong=wrong, ready=ready))


def clock_metrics(
    *, host: str, port: int, stuck: Callable[[], bool], ready: Callable[[], Mapping[str, str]]
) -> Metrics:
    """Take the port for a clock's numbers; raises as ``worker_metrics`` does."""
    board = Board(LAYOUT.width)

    def wrong() -> str | None:
        return "the clock does not beat" if stuck() else None

    return _metrics(board, (BoardCollector(board, CLOCK),), host, port, Health(wrong=wrong, ready=ready))


def _metrics(board: Board, collectors: Iterable[Collector], host: str, port: int, health: Health) -> Metrics:
    registry = CollectorRegistry(auto_describe=False)
    for collector in (*collectors, SystemCollector(board)):
        registry.register(collector)
    return Metrics(board, Endpoint(registry, host=host, port=port, health=health))
