"""Where a campaign stands: counts from the ledger, its rate now, when it will be over, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.domain.campaign import CampaignState
from dispatcher.domain.forecast import finish_at
from dispatcher.domain.state import State
from dispatcher.domain.window import parse_window
from dispatcher.ledger import Campaign, CampaignBooks, FailureGroup

RECENT = timedelta(seconds=30)
"""The rate now is measured over so long."""
SHOWN_GROUPS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A campaign and how far it is."""

    campaign: Campaign
    at: datetime
    counts: Mapping[State, int]
    rate_now: float
    """Accepted messages per second of late."""
    finishes_at: datetime | None
    """At that rate, with the send window; None if nothing goes now, or nothing is left."""
    failures: tuple[FailureGroup, ...]
    last_accepted_at: datetime | None

    def count(self, *states: State) -> int:
        """Messages in these states."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def state(self) -> CampaignState:
        """Where the campaign stands."""
        return self.campaign.state

    @property
    def sent(self) -> int:
        """Messages that the API accepted."""
        return self.count(State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)

    @property
    def waiting(self) -> int:
        """Messages that are queued or under way."""
        return self.count(State.QUEUED, State.SENDING)

    @property
    def settled(self) -> int:
        """Messages to which nothing more happens by itself."""
        return self.campaign.total - self.waiting


def read_progress(campaign: Campaign, books: CampaignBooks, *, now: datetime) -> Progress:
    """Ask the ledger how far a campaign is."""
    tallied = books.tallied(campaign.id, now=now, recent=RECENT)
    rate = 0.0
    if tallied.first_accepted_at is not None:
        span = (now - tallied.first_accepted_at).total_seconds()
        rate = tallied.accepted_of_late / max(1.0, span)
    failed = sum(tallied.counts.get(state, 0) for state in (State.DEAD, State.EXPIRED, State.IN_DOUBT))
    progress = Progress(
        campaign=campaign,
        at=now,
        counts=tallied.counts,
        rate_now=rate,
        finishes_at=None,
        failures=tuple(books.failures(campaign.id, limit=SHOWN_GROUPS)) if failed else (),
        last_accepted_at=tallied.last_accepted_at,
    )
    if campaign.state is not CampaignState.RUNNING or not progress.waiting or not rate:
        return progress
    window = None if campaign.send_window is None else parse_window(campaign.send_window)
    waiting = {"": progress.waiting} if window is None or window.zone else books.waiting_by_zones(campaign.id)
    ends = finish_at(waiting, per_second=rate, window=window, start=now)
    return Progress(**{name: getattr(progress, name) for name in Progress.__dataclass_fields__} | {"finishes_at": ends})
