"""Running campaigns that send nothing now, since their send window is closed for all that is still queued."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, select

from dispatcher.domain.message import Priority
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger.advance import next_interval
from dispatcher.ledger.tables import CampaignRow, LaneRow, MessageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A running campaign whose window is closed."""

    campaign: UUID
    name: str
    until: datetime | None
    """When it opens next for some of the recipients; None: not before the messages expire."""


def closed(connection: Connection, *, now: datetime, campaigns: Collection[UUID] | None = None) -> list[Closed]:
    """Return the running campaigns whose window is closed for every queued message, oldest first.

    :param campaigns: only these.
    """
    queued = exists().where(
        MessageRow.channel == CampaignRow.channel,
        MessageRow.priority == Priority.BULK.value,
        MessageRow.campaign_id == LaneRow.campaign_id,
        MessageRow.lane == LaneRow.lane,
        MessageRow.state == State.QUEUED.value,
    )
    lanes = (
        select(
            *(CampaignRow.id, CampaignRow.name, CampaignRow.send_window, CampaignRow.expires_at),
            *(LaneRow.zones, LaneRow.opens_at, LaneRow.closes_at),
        )
        .join(LaneRow, LaneRow.campaign_id == CampaignRow.id)
        .where(CampaignRow.state == CampaignState.RUNNING.value, CampaignRow.send_window.is_not(None), queued)
        .order_by(CampaignRow.id)
    )
    if campaigns is not None:
        lanes = lanes.where(CampaignRow.id.in_(campaigns))
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
