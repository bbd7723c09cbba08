"""Bulk operations: what they do, where they stand, at what pace they go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Deed(StrEnum):
    """What an operation does to each message."""

    REPLAY = "replay"
    DISCARD = "discard"


class Stage(StrEnum):
    """Where an operation stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """By its canary: too many of the first failed again."""
    ABORTED = "aborted"
    DONE = "done"

    @property
    def over(self) -> bool:
        """Whether it does nothing more."""
        return self not in (Stage.RUNNING, Stage.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How an operation is to go."""

    at: datetime | None = None
    """Not before."""
    spread: timedelta | None = None
    """Evenly over so long."""
    per_second: float | None = None
    canary: int = 0
    """So many first; on only if at the most a fifth of them fails again."""

    def allowed(self, total: int, *, began: datetime, now: datetime) -> int:
        """Return how many messages may have been changed by now.

        >>> from datetime import UTC
        >>> nine = datetime(2026, 11, 24, 9, tzinfo=UTC)
        >>> Pace(per_second=2).allowed(100, began=nine, now=nine + timedelta(seconds=10))
        20
        """
        since = (now - (self.at or began)).total_seconds()
        if since < 0:
            return 0
        allowed = float(total)
        if self.spread is not None:
            allowed = min(allowed, total * since / max(1.0, self.spread.total_seconds()))
        if self.per_second is not None:
            allowed = min(allowed, since * self.per_second)
        return int(allowed)
