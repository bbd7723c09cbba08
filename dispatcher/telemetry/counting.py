"""The meter that writes on the board: a few additions for a batch, no lock, no system call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import timedelta

from dispatcher.domain.duty import Duty
from dispatcher.domain.message import Channel
from dispatcher.meter import Hold, LedgerCall
from dispatcher.telemetry.board import Cells
from dispatcher.telemetry.catalogue import CLOCK, WORKER, lay_out

METRICS = {metric.name: metric for metric in (*WORKER, *CLOCK)}
LAYOUT = lay_out(tuple(METRICS.values()))


class _Counter:
    """One series that only grows."""

    __slots__ = ("_cell", "_row")

    def __init__(self, row: Cells, name: str, **labels: str) -> None:
        self._row = row
        self._cell = LAYOUT.cells_of(name, **labels)

    def add(self, amount: float) -> None:
        self._row[self._cell] += amount


class _Gauge:
    """One series that goes up and down; what an earlier process left in it is gone."""

    __slots__ = ("_cell", "_row")

    def __init__(self, row: Cells, name: str, **labels: str) -> None:
        self._row = row
        self._cell = LAYOUT.cells_of(name, **labels)
        self.set(0)

    def set(self, value: float) -> None:
        self._row[self._cell] = value


class _Histogram:
    """One series of durations: a count for each bucket, and the sum behind them."""

    __slots__ = ("_bounds", "_first", "_row", "_sum")

    def __init__(self, row: Cells, name: str, **labels: str) -> None:
        self._row = row
        self._bounds = METRICS[name].buckets
        self._first = LAYOUT.cells_of(name, **labels)
        self._sum = self._first + len(self._bounds) + 1

    def observe(self, seconds: float) -> None:
        self._row[self._first + bisect_left(self._bounds, seconds)] += 1
        self._row[self._sum] += seconds


class CountingMeter:
    """Implements the port ``Meter`` for the one process that has the row, and its one thread that pumps."""

    def __init__(self, row: Cells) -> None:
        channels = {each: each.value for each in Channel}
        holds = {(channel, hold): (channel.value, hold.value) for channel in Channel for hold in Hold}
        self._in_flight = {
            each: _Gauge(row, "dispatcher_worker_in_flight", channel=name) for each, name in channels.items()
        }
        self._claim_seconds = {
            each: _Histogram(row, "dispatcher_worker_claim_seconds", channel=name) for each, name in channels.items()
        }
        self._claimed_messages = {
            each: _Counter(row, "dispatcher_worker_claimed_messages", channel=name) for each, name in channels.items()
        }
        self._settle_seconds = _Histogram(row, "dispatcher_worker_settle_seconds")
        self._settled_attempts = _Counter(row, "dispatcher_worker_settled_attempts")
        self._late_settlements = _Counter(row, "dispatcher_worker_late_settlements")
        self._spooled_attempts = _Counter(row, "dispatcher_worker_spooled_attempts")
        self._renewed_leases = _Counter(row, "dispatcher_worker_renewed_leases")
        self._ledger_failures = {
            each: _Counter(row, "dispatcher_worker_ledger_failures", call=each.value) for each in LedgerCall
        }
        self._permit_seconds = _Histogram(row, "dispatcher_worker_permit_seconds")
        self._token_seconds = _Histogram(row, "dispatcher_worker_token_seconds")
        self._minted = _Counter(row, "dispatcher_worker_token_mints", result="minted")
        self._refused = _Counter(row, "dispatcher_worker_token_mints", result="refused")
        self._holds = {
            key: _Counter(row, "dispatcher_worker_holds", channel=channel, reason=reason)
            for key, (channel, reason) in holds.items()
        }
        self._held_seconds = {
            key: _Counter(row, "dispatcher_worker_held_seconds", channel=channel, reason=reason)
            for key, (channel, reason) in holds.items()
        }
        self._pump_seconds = _Histogram(row, "dispatcher_worker_pump_seconds")
        self._tick_seconds = _Histogram(row, "dispatcher_clock_tick_seconds")
        self._lag_seconds = _Histogram(row, "dispatcher_clock_lag_seconds")
        self._failed_ticks = _Counter(row, "dispatcher_clock_failed_ticks")
        self._duty_failures = {each: _Counter(row, "dispatcher_clock_duty_failures", duty=each.value) for each in Duty}
        self._expired_messages = _Counter(row, "dispatcher_clock_expired_messages")
        self._lost_leases = _Counter(row, "dispatcher_clock_lost_leases")
        self._oldest_transaction = _Gauge(row, "dispatcher_clock_oldest_transaction_seconds")

    def permitted(self, seconds: float) -> None:
        """Count an answer of the limiter."""
        self._permit_seconds.observe(seconds)

    def had_token(self, seconds: float) -> None:
        """Count a token that was asked for."""
        self._token_seconds.observe(seconds)

    def token_minted(self) -> None:
        """Count a new token."""
        self._minted.add(1)

    def token_refused(self) -> None:
        """Count a token call that failed."""
        self._refused.add(1)

    def claimed(self, channel: Channel, messages: int, seconds: float) -> None:
        """Count a claim."""
        self._claim_seconds[channel].observe(seconds)
        self._claimed_messages[channel].add(messages)

    def carrying(self, in_flight: Mapping[Channel, int]) -> None:
        """Note what is in flight."""
        for channel, calls in in_flight.items():
            self._in_flight[channel].set(calls)

    def settled(self, attempts: int, *, late: int, seconds: float) -> None:
        """Count a batch that was settled."""
        self._settle_seconds.observe(seconds)
        self._settled_attempts.add(attempts)
        self._late_settlements.add(late)

    def spooled(self, attempts: int) -> None:
        """Count answers that went to the spool."""
        self._spooled_attempts.add(attempts)

    def renewed(self, leases: int) -> None:
        """Count leases that were prolonged."""
        self._renewed_leases.add(leases)

    def held(self, channel: Channel, hold: Hold, seconds: float) -> None:
        """Count a line that was left alone."""
        self._holds[channel, hold].add(1)
        self._held_seconds[channel, hold].add(seconds)

    def ledger_failed(self, call: LedgerCall) -> None:
        """Count what the ledger could not do."""
        self._ledger_failures[call].add(1)

    def pumped(self, seconds: float) -> None:
        """Count a slice, after which nothing is in flight."""
        self._pump_seconds.observe(seconds)
        for gauge in self._in_flight.values():
            gauge.set(0)

    def ticked(self, seconds: float, *, late: timedelta) -> None:
        """Count a beat."""
        self._tick_seconds.observe(seconds)
        self._lag_seconds.observe(late.total_seconds())

    def tick_failed(self) -> None:
        """Count a beat that was missed."""
        self._failed_ticks.add(1)

    def duty_failed(self, duty: Duty) -> None:
        """Count a duty that failed."""
        self._duty_failures[duty].add(1)

    def expired(self, messages: int) -> None:
        """Count messages that were too late."""
        self._expired_messages.add(messages)

    def leases_lost(self, leases: int) -> None:
        """Count leases that had run out."""
        self._lost_leases.add(leases)

    def oldest_transaction(self, seconds: float) -> None:
        """Keep how long the oldest transaction has been open."""
        self._oldest_transaction.set(seconds)
