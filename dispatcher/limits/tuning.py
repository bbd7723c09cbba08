"""The numbers by which limits react. The defaults suit an API that sends SMS; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a channel stops asking a sick API, and how it finds out that the API is back."""

    minimum: int = 10
    """Fewer sick outcomes than this in the window never open it."""
    sick_share: float = 0.5
    """It opens when at least this share of the window is sick."""
    window: timedelta = timedelta(seconds=30)
    buckets: int = 10
    """The window slides in this many steps."""
    open_for: timedelta = timedelta(seconds=5)
    """How long it stays open the first time; doubles with each probe that fails. Jitter takes off up to a fifth."""
    open_most: timedelta = timedelta(seconds=60)
    probe_timeout: timedelta = timedelta(seconds=40)
    """A probe that nobody reported on counts as lost after this; longer than any HTTP deadline."""
    probe_poll: timedelta = timedelta(milliseconds=250)
    """How soon the others ask again while a probe is out."""

    def __post_init__(self) -> None:
        if self.minimum < 1 or self.buckets < 1 or not 0 < self.sick_share <= 1:
            raise ValueError("minimum and buckets are at least one, sick_share is above 0 and at most 1")

    def open_time(self, openings: int) -> timedelta:
        """How long the breaker stays open the n-th time in a row, before jitter.

        >>> [Breaker().open_time(n).total_seconds() for n in (1, 2, 3, 4, 5, 50)]
        [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
        """
        return min(self.open_most, self.open_for * (1 << min(openings - 1, 16)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """How a suspect channel finds out whether it works: one message at a time, and the API's test call."""

    timeout: timedelta = timedelta(seconds=2)
    """A message that is not answered within this no longer keeps the next one waiting."""
    canary_every: timedelta = timedelta(seconds=30)
    """How soon the test call is made again on a channel that is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How the effective rate follows 429s: down by a factor, up by steps (AIMD).

    With the defaults one 429 costs 30 % of the rate, and fifteen clean seconds bring it back.
    """

    cut: float = 0.7
    """A 429 multiplies the effective rate by this …"""
    guard: timedelta = timedelta(seconds=5)
    """… at the most once in this time: the 429s of requests in flight together are one piece of news."""
    floor_share: float = 0.01
    """It never falls below this share of the configured rate …"""
    floor: float = 0.1
    """… nor below this many a second (nor is it ever above the configured rate)."""
    step: float = 0.02
    """Healthy reports raise it by this share of the configured rate …"""
    every: timedelta = timedelta(seconds=1)
    """… once for each time of this length that had no 429."""
    block_least: timedelta = timedelta(milliseconds=100)
    block_most: timedelta = timedelta(minutes=15)
    """A Retry-After is brought between these two."""

    def floor_of(self, per_second: float) -> float:
        """The least that a configured rate can be lowered to.

        >>> Adaptation().floor_of(500), Adaptation().floor_of(2), Adaptation().floor_of(0.05)
        (5.0, 0.1, 0.05)
        """
        return min(per_second, max(self.floor_share * per_second, self.floor))

    def clamp(self, retry_after: timedelta) -> timedelta:
        """Bring a Retry-After into the range that is obeyed."""
        return min(self.block_most, max(self.block_least, retry_after))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """How a process limits itself while Redis is away."""

    retry: timedelta = timedelta(seconds=1)
    """After a failed call Redis is left alone for this long, so that not every call pays the timeout."""
    holder_life: timedelta = timedelta(seconds=10)
    """A process that asked for permits within this time counts as one that shares the rate."""
    assumed_holders: int = 10
    """How many share the rate when Redis has not said so within ``holder_life`` before it went."""
