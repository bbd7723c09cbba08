"""For machines: is it alive, is it ready, and numbers for Prometheus. No number here scans the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dispatcher.domain.errors import BrokerUnavailable, SettingsError
from dispatcher.domain.message import Channel
from dispatcher.ledger.minutes import BUCKETS_MS
from dispatcher.readiness import readiness
from dispatcher.web.views import services_of
from dispatcher.wiring import Services

CAP = 100_000
"""What waits is counted up to here: "at least so many" is all that an alarm needs."""


def healthz(_: Request) -> Response:
    """Say that this process answers."""
    return PlainTextResponse("ok")


def readyz(request: Request) -> Response:
    """Say whether ledger, its revision and Redis are as they should be."""
    found = readiness(services_of(request))
    return JSONResponse(found, 200 if set(found.values()) == {"ok"} else 503)


def metrics(request: Request) -> Response:
    """Give every number that an alarm or a chart may want."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(services_of(request)))
    return PlainTextResponse(generate_latest(registry).decode(), media_type="text/plain; version=0.0.4")


class _Numbers(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        yield from self._messages()
        yield from self._calls()
        yield from self._channels()
        yield from self._token()

    def _messages(self) -> Iterator[Metric]:
        services = self._services
        now, books = services.clock.now(), services.inspection_books
        progress = GaugeMetricFamily(
            "dispatcher_messages",
            f"Messages that wait, are under way or need a person; counted up to {CAP:,}.",
            labels=["channel", "priority", "state"],
        )
        for (channel, priority, state), count in books.standing_counts(cap=CAP).items():
            progress.add_metric([channel.value, priority.value, state.value], count)
        yield progress
        oldest = GaugeMetricFamily(
            "dispatcher_oldest_due_seconds",
            "How long the oldest message that is due has been waiting.",
            labels=["channel", "priority"],
        )
        for each in services.books.oldest_waiting(now=now):
            oldest.add_metric([each.channel.value, each.priority.value], (now - each.since).total_seconds())
        yield oldest
        money = GaugeMetricFamily("dispatcher_in_doubt_money", "Worth of the gifts in doubt.", labels=["currency"])
        for currency, amount in services.books.money_in_doubt().items():
            money.add_metric([currency], float(amount))
        yield money

    def _calls(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "dispatcher_calls", "Calls to the API that were settled, by outcome.", labels=["channel", "outcome"]
        )
        latency = HistogramMetricFamily(
            "dispatcher_call_seconds", "How long calls to the API took.", labels=["channel", "outcome"]
        )
        for each in self._services.inspection_books.totals():
            labels = [each.channel.value, each.outcome.value]
            calls.add_metric(labels, each.calls)
            buckets = [(str(limit / 1000), count) for limit, count in zip(BUCKETS_MS, each.within, strict=True)]
            latency.add_metric(labels, [*buckets, ("+Inf", each.calls)], each.latency_ms / 1000)
        yield calls
        yield latency

    def _channels(self) -> Iterator[Metric]:
        services = self._services
        paused = GaugeMetricFamily("dispatcher_channel_paused", "1 while a channel is paused.", labels=["channel"])
        held = {pause.channel for pause in services.books.pauses(now=services.clock.now())}
        for channel in Channel:
            paused.add_metric([channel.value], int(channel in held))
        yield paused
        rate = GaugeMetricFamily("dispatcher_rate", "Messages per second.", labels=["channel", "kind"])
        breaker = GaugeMetricFamily("dispatcher_breaker", "1 for the state it is in.", labels=["channel", "state"])
        suspect = GaugeMetricFamily(
            "dispatcher_channel_suspects",
            "Different messages that drew a configuration answer since one was accepted.",
            labels=["channel"],
        )
        reached = GaugeMetricFamily("dispatcher_redis_up", "1 if Redis could be asked.")
        try:
            for channel in Channel:
                state = services.limiter.state(channel)
                rate.add_metric([channel.value, "configured"], state.configured_rate)
                rate.add_metric([channel.value, "effective"], state.effective_rate)
                breaker.add_metric([channel.value, state.breaker], 1)
                suspect.add_metric([channel.value], state.suspicion.witnesses)
            reached.add_metric([], 1)
        except BrokerUnavailable:
            reached.add_metric([], 0)
        yield from (rate, breaker, suspect, reached)

    def _token(self) -> Iterator[Metric]:
        age = GaugeMetricFamily("dispatcher_token_age_seconds", "How old the shared token is.")
        cooling = GaugeMetricFamily("dispatcher_token_cooling_seconds", "How long nobody asks for a token any more.")
        try:
            state = self._services.tokens.state()
        except (BrokerUnavailable, SettingsError):
            return
        if state.age is not None:
            age.add_metric([], state.age.total_seconds())
        cooling.add_metric([], state.cooling_for.total_seconds())
        yield from (age, cooling)
