"""The duties of the clock, and what is known of one that fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Duty(StrEnum):
    """What the clock does in each beat. Each fails, and is tried again, by itself."""

    EXPIRE = "expire"
    """Messages that are too late."""
    CAMPAIGNS = "campaigns"
    """Campaigns start, resume, finish; messages of cancelled ones leave the queue."""
    OPERATIONS = "operations"
    """Bulk operations go on."""
    LEASES = "leases"
    """Lost leases are taken back."""
    COUNTS = "counts"
    """Campaigns are counted anew."""
    STATISTICS = "statistics"
    """Old counts of calls are added up."""
    TRANSACTIONS = "transactions"
    """The oldest open transaction of the ledger's database is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingDuty:
    """A duty of the clock that failed several times in a row."""

    duty: Duty
    failures: int
    since: datetime
    """The first failure since it last succeeded."""
    reason: str
    """Of the last failure."""
