"""Reads metrics as Prometheus does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Series = tuple[str, tuple[tuple[str, str], ...]]

_straight = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Numbers:
    """One scrape."""

    text: str

    @property
    def values(self) -> dict[Series, float]:
        """Every series with its value."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    @property
    def families(self) -> set[str]:
        """The names by which people know the metrics: a histogram's without its parts, a counter's with `_total`."""
        return {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in text_string_to_metric_families(self.text)
        }

    def of(self, name: str, **labels: str) -> float:
        """Return one series' value."""
        return self.values[name, tuple(sorted(labels.items()))]

    def labels_of(self, name: str, label: str) -> set[str]:
        """Return what a label of a metric is set to."""
        return {dict(labels)[label] for each, labels in self.values if each == name}


def gathered(collectors: Iterable[Collector]) -> Numbers:
    """Collect without a server."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return Numbers(generate_latest(registry).decode())


def scraped(port: int) -> Numbers:
    """Ask a running process."""
    return Numbers(_straight.open(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode())
