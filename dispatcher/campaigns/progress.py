"""Where a campaign stands: counts from the ledger, its rate now, when it will be over, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from dispatcher.domain.forecast import finish_at
from dispatcher.domain.state import CampaignState, State
from dispatcher.domain.window import parse_window
from dispatcher.domain.words import at
from dispatcher.ledger import Campaign, CampaignBooks, Closed, FailureGroup

LATELY = timedelta(seconds=15)
"""What the clock counted is good enough for a page for so long; a campaign that is over is not counted again."""
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
    closed: Closed | None
    """Why a running campaign sends nothing now: its window is closed for every queued message."""
    counted_at: datetime
    """When the counts were so: now, or when the clock counted last."""

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

    @property
    def closed_in_words(self) -> str | None:
        """Until when the window is closed, for people; None while the campaign can send."""
        return None if self.closed is None else closed_until(self.closed)


def closed_until(closed: Closed) -> str:
    """Say until when a window is closed."""
    return "closed until the messages expire" if closed.until is None else f"closed until {at(closed.until)}"


def read_progress(campaign: Campaign, books: CampaignBooks, *, now: datetime, lately: bool = False) -> Progress:
    """Ask the ledger how far a campaign is.

    :param lately: what the clock counted some seconds ago will do, if it did.
    """
    closed = {each.campaign: each for each in books.closed(now=now, campaigns=[campaign.id])}
    progress = _counted(campaign, books, closed, now=now, lately=lately)
    if not progress.count(State.DEAD, State.EXPIRED, State.IN_DOUBT, State.UNDELIVERED):
        return progress
    return replace(progress, failures=tuple(books.failures(campaign.id, limit=SHOWN_GROUPS)))


def read_many(campaigns: Sequence[Campaign], books: CampaignBooks, *, now: datetime) -> list[Progress]:
    """Say how far campaigns are by what the clock counted some seconds ago, without the reasons of what failed."""
    ids = [campaign.id for campaign in campaigns if campaign.state is CampaignState.RUNNING and campaign.send_window]
    closed = {each.campaign: each for each in books.closed(now=now, campaigns=ids)} if ids else {}
    return [_counted(campaign, books, closed, now=now, lately=True) for campaign in campaigns]


def _counted(
    campaign: Campaign, books: CampaignBooks, closed: Mapping[UUID, Closed], *, now: datetime, lately: bool
) -> Progress:
    kept = campaign.counted(now=now)
    usable = kept if lately and kept is not None and (campaign.state.over or now - kept.at < LATELY) else None
    progress = Progress(
        campaign=campaign,
        at=now,
        counts=books.counted(campaign.id) if usable is None else usable.states,
        rate_now=0.0 if kept is None or campaign.state.over else kept.per_second,
        finishes_at=None,
        failures=(),
        closed=closed.get(campaign.id),
        counted_at=now if usable is None else usable.at,
    )
    if campaign.state is not CampaignState.RUNNING or not progress.waiting or not progress.rate_now or kept is None:
        return progress
    window = None if campaign.send_window is None else parse_window(campaign.send_window)
    waiting = {"": progress.waiting} if window is None or window.zone else kept.zones
    return replace(progress, finishes_at=finish_at(waiting, per_second=progress.rate_now, window=window, start=now))
