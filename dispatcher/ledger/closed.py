"""Running campaigns that send nothing now, since their send window is closed for all that is still queued."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, select

from dispatcher.domain.message import Priority
from dispatcher.domain.state import CampaignState, State
from dispatcher.domain.words import at
from dispatcher.ledger.advance import next_interval
from dispatcher.ledger.tables import CAMPAIGNS, LANES, MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A running campaign whose window is closed."""

    campaign: UUID
    name: str
    until: datetime | None
    """When it opens next for some of the recipients; None: not before the messages expire."""

    @property
    def in_words(self) -> str:
        """Until when it is closed, for people."""
        return "closed until the messages expire" if self.until is None else f"closed until {at(self.until)}"


def closed(connection: Connection, *, now: datetime, campaigns: Collection[UUID] | None = None) -> list[Closed]:
    """Return the running campaigns whose window is closed for every queued message, oldest first.

    :param campaigns: only these.
    """
    queued = exists().where(
        MESSAGES.c.channel == CAMPAIGNS.c.channel,
        MESSAGES.c.priority == Priority.BULK.value,
        MESSAGES.c.campaign_id == LANES.c.campaign_id,
        MESSAGES.c.lane == LANES.c.lane,
        MESSAGES.c.state == State.QUEUED.value,
    )
    lanes = (
        select(
            *(CAMPAIGNS.c.id, CAMPAIGNS.c.name, CAMPAIGNS.c.send_window, CAMPAIGNS.c.expires_at),
            *(LANES.c.zones, LANES.c.opens_at, LANES.c.closes_at),
        )
        .join(LANES, LANES.c.campaign_id == CAMPAIGNS.c.id)
        .where(CAMPAIGNS.c.state == CampaignState.RUNNING.value, CAMPAIGNS.c.send_window.is_not(None), queued)
        .order_by(CAMPAIGNS.c.id)
    )
    if campaigns is not None:
        lanes = lanes.where(CAMPAIGNS.c.id.in_(campaigns))
    names: dict[UUID, tuple[str, datetime | None]] = {}
    openings: dict[UUID, list[datetime]] = {}
    for row in connection.execute(lanes):
        opens_at = row.opens_at
        if opens_at is not None and row.closes_at <= now:  # the clock has not written the next opening yet
            opens_at = next_interval(row.send_window, row.zones, now)["opens_at"]
        names[row.id] = (row.name, row.expires_at)
        openings.setdefault(row.id, []).append(opens_at or now)
    return [
        Closed(campaign=id_, name=name, until=until if expires_at is None or until < expires_at else None)
        for id_, (name, expires_at) in names.items()
        if (until := min(openings[id_])) > now
    ]
