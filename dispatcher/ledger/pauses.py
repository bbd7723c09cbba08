"""Channel pauses: a row that every claim reads, so that a pause holds at the next claim, everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from dispatcher.domain.message import Channel
from dispatcher.ledger.tables import CHANNELS
from dispatcher.ledger.upsert import insert_into

AUTOMATIC = "dispatcher"
"""Who paused, when no person did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why a channel stands still."""

    channel: Channel
    since: datetime
    until: datetime | None
    """None: until somebody resumes it."""
    by: str
    reason: str


def pause(
    connection: Connection, channel: Channel, *, by: str, reason: str, until: datetime | None, now: datetime
) -> bool:
    """Pause a channel and say whether this pause is now in force: an automatic one gives way to an operator's."""
    insert = insert_into(connection, CHANNELS).values(
        channel=channel.value, paused_at=now, paused_until=until, paused_by=by, pause_reason=reason
    )
    given_way = or_(CHANNELS.c.paused_at.is_(None), CHANNELS.c.paused_by == AUTOMATIC, CHANNELS.c.paused_until <= now)
    upsert = insert.on_conflict_do_update(
        index_elements=[CHANNELS.c.channel],
        set_={name: insert.excluded[name] for name in ("paused_at", "paused_until", "paused_by", "pause_reason")},
        where=None if by != AUTOMATIC else given_way,
    ).returning(CHANNELS.c.channel)
    return connection.execute(upsert).scalar() is not None


def resume(connection: Connection, channel: Channel) -> bool:
    """Open a channel again and say whether it was paused."""
    opened = (
        update(CHANNELS)
        .where(CHANNELS.c.channel == channel.value, CHANNELS.c.paused_at.is_not(None))
        .values(paused_at=None, paused_until=None, paused_by=None, pause_reason=None)
        .returning(CHANNELS.c.channel)
    )
    return connection.execute(opened).scalar() is not None


def pauses(connection: Connection, *, now: datetime) -> list[Pause]:
    """Return the pauses in force."""
    columns = (
        CHANNELS.c.channel,
        CHANNELS.c.paused_at,
        CHANNELS.c.paused_until,
        CHANNELS.c.paused_by,
        CHANNELS.c.pause_reason,
    )
    in_force = CHANNELS.c.paused_until.is_(None) | (CHANNELS.c.paused_until > now)
    rows = connection.execute(select(*columns).where(CHANNELS.c.paused_at.is_not(None), in_force))
    return [
        Pause(
            channel=Channel(channel), since=since, until=until, by=by or AUTOMATIC, reason=reason or "no reason given"
        )
        for channel, since, until, by, reason in rows
        if since is not None
    ]
