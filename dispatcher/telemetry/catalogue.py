"""Every number that a worker and a clock count of themselves, and where on the board each of them stands.

The values of every label are known here, so no number, text or token can become one, and there are never more series
than these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import product

from dispatcher.domain.duty import Duty
from dispatcher.domain.message import Channel
from dispatcher.meter import Hold, LedgerCall

_CHANNEL = {"channel": tuple(each.value for each in Channel)}
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Kind(Enum):
    """What a metric does: only grow, go up and down, or count how long things took."""

    COUNTER = auto()
    GAUGE = auto()
    HISTOGRAM = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One metric that processes tell of themselves."""

    name: str
    """As Prometheus has it, without what it adds itself: `_total`, `_bucket`."""
    help: str
    kind: Kind = Kind.COUNTER
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each label with all the values that it can have."""
    buckets: tuple[float, ...] = ()
    """Of a histogram: upper bounds in seconds, without the infinite one."""

    @property
    def cells(self) -> int:
        """How many numbers a series of it needs: of a histogram one for each bucket, the infinite one, and the sum."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1


WORKER = (
    Told(name="dispatcher_worker_in_flight", help="Calls to the API under way.", kind=Kind.GAUGE, labels=_CHANNEL),
    Told(
        name="dispatcher_worker_claim_seconds",
        help="How long claims took.",
        kind=Kind.HISTOGRAM,
        labels=_CHANNEL,
        buckets=_QUICK,
    ),
    Told(name="dispatcher_worker_claimed_messages", help="Messages that claims took.", labels=_CHANNEL),
    Told(
        name="dispatcher_worker_settle_seconds",
        help="How long it took to settle a batch.",
        kind=Kind.HISTOGRAM,
        buckets=_QUICK,
    ),
    Told(name="dispatcher_worker_settled_attempts", help="Calls that were settled."),
    Told(name="dispatcher_worker_late_settlements", help="Calls that were settled after their lease was lost."),
    Told(name="dispatcher_worker_spooled_attempts", help="Answers that went to the spool."),
    Told(name="dispatcher_worker_renewed_leases", help="Leases that were prolonged because a call took long."),
    Told(
        name="dispatcher_worker_ledger_failures",
        help="What the ledger could not do.",
        labels={"call": tuple(each.value for each in LedgerCall)},
    ),
    Told(
        name="dispatcher_worker_permit_seconds",
        help="How long the limiter took to answer.",
        kind=Kind.HISTOGRAM,
        buckets=_QUICK,
    ),
    Told(
        name="dispatcher_worker_token_seconds",
        help="How long pumps waited for a token.",
        kind=Kind.HISTOGRAM,
        buckets=_QUICK,
    ),
    Told(
        name="dispatcher_worker_token_mints",
        help="Calls for a new token.",
        labels={"result": ("minted", "refused")},
    ),
    Told(
        name="dispatcher_worker_holds",
        help="How often a channel's line was left alone.",
        labels={**_CHANNEL, "reason": tuple(each.value for each in Hold)},
    ),
    Told(
        name="dispatcher_worker_held_seconds",
        help="For how long, while a pump ran.",
        labels={**_CHANNEL, "reason": tuple(each.value for each in Hold)},
    ),
    Told(name="dispatcher_worker_pump_seconds", help="How long slices lasted.", kind=Kind.HISTOGRAM, buckets=_SLOW),
)
CLOCK = (
    Told(name="dispatcher_clock_tick_seconds", help="How long beats took.", kind=Kind.HISTOGRAM, buckets=_QUICK),
    Told(
        name="dispatcher_clock_lag_seconds",
        help="How long after it was due a beat began.",
        kind=Kind.HISTOGRAM,
        buckets=_QUICK,
    ),
    Told(name="dispatcher_clock_failed_ticks", help="Beats that were missed because the ledger was away."),
    Told(
        name="dispatcher_clock_duty_failures",
        help="Duties of the clock that failed while the ledger was there.",
        labels={"duty": tuple(each.value for each in Duty)},
    ),
    Told(name="dispatcher_clock_expired_messages", help="Messages that were given up as too late."),
    Told(name="dispatcher_clock_lost_leases", help="Leases that were taken back because they had run out."),
    Told(
        name="dispatcher_clock_oldest_transaction_seconds",
        help="For how long the oldest transaction in the ledger's database has been open.",
        kind=Kind.GAUGE,
    ),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which cell of a row belongs to which series."""

    first: Mapping[str, Mapping[tuple[str, ...], int]]
    """By metric and the values of its labels, in their order: the first of its cells."""
    width: int

    def cells_of(self, name: str, **labels: str) -> int:
        """Return where one series begins."""
        return self.first[name][tuple(labels.values())]


def lay_out(metrics: tuple[Told, ...]) -> Layout:
    """Give each series its cells.

    >>> held = Told(name="held", help="", labels={"channel": ("sms", "gift")})
    >>> took = Told(name="took", help="", kind=Kind.HISTOGRAM, buckets=(0.1, 1.0))
    >>> layout = lay_out((held, took))
    >>> layout.cells_of("held", channel="gift"), layout.cells_of("took"), layout.width
    (1, 2, 6)
    """
    first: dict[str, dict[tuple[str, ...], int]] = {}
    width = 0
    for metric in metrics:
        first[metric.name] = {}
        for values in product(*metric.labels.values()):
            first[metric.name][values] = width
            width += metric.cells
    return Layout(first=first, width=width)
