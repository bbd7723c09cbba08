"""How long data is kept: after which age content is redacted, and after which the rows go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LONGEST_DAYS = 36_500


class Act(StrEnum):
    """What is done to settled messages that are old."""

    REMOVE = "remove"
    REDACT = "redact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How many days after it was settled a message is redacted, and removed; 0: never."""

    redact_days: int
    remove_days: int

    def __post_init__(self) -> None:
        if self.redact_days and self.remove_days and self.remove_days < self.redact_days:
            raise ValueError(
                f"removing after {self.remove_days} days and redacting after {self.redact_days} contradict each other: "
                "what is removed has nothing left to redact; remove later, or redact sooner, or set one to 0 (never)"
            )

    def due(self, now: datetime) -> Iterator[tuple[Act, datetime]]:
        """Yield what is to be done, with the moment before which it must have been settled; removals first.

        >>> from datetime import UTC
        >>> list(Ages(redact_days=30, remove_days=0).due(datetime(2026, 11, 24, tzinfo=UTC)))
        [(<Act.REDACT: 'redact'>, datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc))]
        """
        for act, days in ((Act.REMOVE, self.remove_days), (Act.REDACT, self.redact_days)):
            if days:
                yield act, now - timedelta(days=days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many messages a run has removed and redacted so far."""

    removed: int = 0
    redacted: int = 0

    def plus(self, act: Act, count: int) -> Pruned:
        """Add what one step did.

        >>> Pruned().plus(Act.REDACT, 3).plus(Act.REMOVE, 1)
        Pruned(removed=1, redacted=3)
        """
        if act is Act.REMOVE:
            return Pruned(removed=self.removed + count, redacted=self.redacted)
        return Pruned(removed=self.removed, redacted=self.redacted + count)

    @property
    def total(self) -> int:
        """Messages that were changed."""
        return self.removed + self.redacted
