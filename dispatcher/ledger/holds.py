"""What holds a queued message back beside its own due time: its channel's pause, or its campaign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, and_, select

from dispatcher.domain.state import CampaignState
from dispatcher.ledger.pauses import Pause, pauses
from dispatcher.ledger.tables import CAMPAIGNS, LANES, MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignHold:
    """The campaign of a message, and its send window where the recipient lives."""

    name: str
    state: CampaignState
    starts_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    paused_until: datetime | None
    window: str | None
    opens_at: datetime | None
    closes_at: datetime | None
    rate: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Everything that may hold a message back."""

    pause: Pause | None
    campaign: CampaignHold | None


def find_hold(connection: Connection, message_id: UUID, *, now: datetime) -> Hold:
    """Return what holds a message back; both parts are None for one that is free to go."""
    row = connection.execute(
        select(
            *(CAMPAIGNS.c.name, CAMPAIGNS.c.state, CAMPAIGNS.c.starts_at, CAMPAIGNS.c.paused_by),
            *(CAMPAIGNS.c.pause_reason, CAMPAIGNS.c.paused_until, CAMPAIGNS.c.send_window, CAMPAIGNS.c.rate),
            *(LANES.c.opens_at, LANES.c.closes_at),
        )
        .select_from(MESSAGES)
        .join(CAMPAIGNS, CAMPAIGNS.c.id == MESSAGES.c.campaign_id)
        .outerjoin(LANES, and_(LANES.c.campaign_id == CAMPAIGNS.c.id, LANES.c.lane == MESSAGES.c.lane))
        .where(MESSAGES.c.id == message_id)
    ).one_or_none()
    channel = connection.execute(select(MESSAGES.c.channel).where(MESSAGES.c.id == message_id)).scalar()
    pause = next((each for each in pauses(connection, now=now) if each.channel == channel), None)
    if row is None:
        return Hold(pause=pause, campaign=None)
    return Hold(
        pause=pause,
        campaign=CampaignHold(
            name=row.name,
            state=CampaignState(row.state),
            starts_at=row.starts_at,
            paused_by=row.paused_by,
            pause_reason=row.pause_reason,
            paused_until=row.paused_until,
            window=row.send_window,
            opens_at=row.opens_at,
            closes_at=row.closes_at,
            rate=row.rate,
        ),
    )
