"""What Prometheus reads: the board summed over the processes, and what the system knows of each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from dispatcher.spool_files import count
from dispatcher.telemetry.board import Board
from dispatcher.telemetry.catalogue import Kind, Told
from dispatcher.telemetry.counting import LAYOUT


@dataclass(frozen=True, slots=True, eq=False)
class BoardCollector(Collector):
    """The numbers of a worker or a clock. What is gone stays counted; what is now counts for the living alone."""

    board: Board
    metrics: Sequence[Told]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with every series, those that are zero too, so that rates begin at the first one."""
        rows = list(self.board.rows())
        alive = [row for row in rows if row.alive]
        for metric in self.metrics:
            counted = alive if metric.kind is Kind.GAUGE else rows
            series = {
                values: [sum((row.cells[cell] for row in counted), 0.0) for cell in range(first, first + metric.cells)]
                for values, first in LAYOUT.first[metric.name].items()
            }
            yield _family(metric, series)


@dataclass(frozen=True, slots=True, eq=False)
class PoolCollector(Collector):
    """A worker's processes, and how much they can carry."""

    board: Board
    concurrency: int

    def collect(self) -> Iterator[Metric]:
        """Yield how many live, how many there ever were, and what they may have in flight."""
        rows = list(self.board.rows())
        alive = sum(row.alive for row in rows)
        yield GaugeMetricFamily("dispatcher_worker_processes", "Processes that live and pump.", alive)
        yield GaugeMetricFamily(
            "dispatcher_worker_slots", "Calls that they may have in flight.", alive * self.concurrency
        )
        yield CounterMetricFamily(
            "dispatcher_worker_process_starts",
            "Processes that were started; a steady few are those that are renewed.",
            sum(row.starts for row in rows),
        )


@dataclass(frozen=True, slots=True, eq=False)
class SpoolCollector(Collector):
    """What lies in this host's spool."""

    folder: Path

    def collect(self) -> Iterator[Metric]:
        """Yield the size of what waits and of what the ledger refused for good."""
        spool = GaugeMetricFamily(
            "dispatcher_worker_spool_bytes",
            "Answers on this host's disk that the ledger does not have.",
            labels=["kind"],
        )
        for kind, pattern in (("waiting", "*.jsonl"), ("refused", "*.refused")):
            spool.add_metric([kind], sum(_size(path) for path in self.folder.rglob(pattern)))
        yield spool
        yield GaugeMetricFamily(
            "dispatcher_worker_quarantined_answers",
            "Answers and damaged lines on this host's disk that the ledger did not take and a person must look at.",
            count(self.folder).quarantined,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SystemCollector(Collector):
    """Memory, CPU and files of each process, and which version runs."""

    board: Board

    def collect(self) -> Iterator[Metric]:
        """Yield what the system knows; a process's number is its place in the pool, so that there are never more."""
        build = GaugeMetricFamily("dispatcher_build_info", "The version that runs.", labels=["version"])
        build.add_metric([_version()], 1)
        yield build
        found: dict[str, Metric] = {}
        for place, pid in self._processes():
            for family in ProcessCollector(namespace="dispatcher", pid=partial(int, pid), registry=None).collect():
                samples = [sample._replace(labels={"process": place}) for sample in family.samples]
                family.samples = found[family.name].samples + samples if family.name in found else samples
                found[family.name] = family
        yield from found.values()

    def _processes(self) -> Iterator[tuple[str, int]]:
        yield "main", os.getpid()
        for row in self.board.rows():
            if row.alive and row.pid != os.getpid():
                yield str(row.place), row.pid


def _family(metric: Told, series: Mapping[tuple[str, ...], list[float]]) -> Metric:
    """Write one metric as Prometheus' library has it; of a histogram's cells it wants running sums."""
    labels = list(metric.labels)
    if metric.kind is Kind.HISTOGRAM:
        bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=labels)
        for values, (*counts, total) in series.items():
            histogram.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    plain = family(metric.name, metric.help, labels=labels)
    for values, (value,) in series.items():
        plain.add_metric(values, value)
    return plain


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it was settled in the meantime


def _version() -> str:
    try:
        return version("dispatcher")
    except PackageNotFoundError:
        return "unknown"
