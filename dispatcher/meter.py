"""What workers and clock tell of themselves while they work: the seam between the engine and whatever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from dispatcher.domain.duty import Duty
from dispatcher.domain.message import Channel


class Hold(StrEnum):
    """Why a pump leaves a channel's line alone although messages may be due on it."""

    RATE = "rate"
    THROTTLED = "throttled"
    BREAKER = "breaker"
    SUSPECT = "suspect"
    """One message at a time, and it is under way."""
    TOKEN = "token"  # noqa: S105 - a reason, not a secret
    CAMPAIGN = "campaign"
    """Only campaigns have something due, and their own rate holds it back."""
    LEDGER = "ledger"
    FAULT = "fault"
    """An error that nobody foresaw."""


class LedgerCall(StrEnum):
    """What was asked of a ledger that could not do it."""

    CLAIM = "claim"
    SETTLE = "settle"
    RENEW = "renew"
    PAUSE = "pause"
    SPOOL = "spool"
    """To settle what was spooled."""


class Meter(Protocol):
    """Counts what only the process that does the work knows. It is told once for a batch and never raises."""

    def permitted(self, seconds: float) -> None:
        """Permits were asked for; the limiter took so long to answer."""

    def had_token(self, seconds: float) -> None:
        """A token was asked for; it took so long to have it, or to learn that there is none."""

    def token_minted(self) -> None:
        """The API gave this process a new token."""

    def token_refused(self) -> None:
        """The API gave this process no token."""

    def claimed(self, channel: Channel, messages: int, seconds: float) -> None:
        """A claim took so many messages, perhaps none, and so long."""

    def carrying(self, in_flight: Mapping[Channel, int]) -> None:
        """So many calls are in flight now."""

    def settled(self, attempts: int, *, late: int, seconds: float) -> None:
        """A batch was settled; ``late`` of them had lost their lease to a newer holder."""

    def spooled(self, attempts: int) -> None:
        """So many answers went to the spool."""

    def renewed(self, leases: int) -> None:
        """So many leases were prolonged."""

    def held(self, channel: Channel, hold: Hold, seconds: float) -> None:
        """A line was left alone for so long."""

    def ledger_failed(self, call: LedgerCall) -> None:
        """The ledger could not do what was asked of it."""

    def pumped(self, seconds: float) -> None:
        """A pump's slice is over: nothing of this process is in flight."""

    def ticked(self, seconds: float, *, late: timedelta) -> None:
        """The clock did a beat, which began so late."""

    def tick_failed(self) -> None:
        """The ledger was away for a beat."""

    def duty_failed(self, duty: Duty) -> None:
        """One of the clock's duties failed while the ledger was there."""

    def expired(self, messages: int) -> None:
        """So many messages were given up as too late."""

    def leases_lost(self, leases: int) -> None:
        """So many leases had run out."""

    def oldest_transaction(self, seconds: float) -> None:
        """For so long the oldest transaction in the ledger's database has been open; 0 if there is none."""


class Unmeasured:
    """Implements ``Meter`` where metrics are off: counts nothing."""

    def permitted(self, seconds: float) -> None: ...

    def had_token(self, seconds: float) -> None: ...

    def token_minted(self) -> None: ...

    def token_refused(self) -> None: ...

    def claimed(self, channel: Channel, messages: int, seconds: float) -> None: ...

    def carrying(self, in_flight: Mapping[Channel, int]) -> None: ...

    def settled(self, attempts: int, *, late: int, seconds: float) -> None: ...

    def spooled(self, attempts: int) -> None: ...

    def renewed(self, leases: int) -> None: ...

    def held(self, channel: Channel, hold: Hold, seconds: float) -> None: ...

    def ledger_failed(self, call: LedgerCall) -> None: ...

    def pumped(self, seconds: float) -> None: ...

    def ticked(self, seconds: float, *, late: timedelta) -> None: ...

    def tick_failed(self) -> None: ...

    def duty_failed(self, duty: Duty) -> None: ...

    def expired(self, messages: int) -> None: ...

    def leases_lost(self, leases: int) -> None: ...

    def oldest_transaction(self, seconds: float) -> None: ...
