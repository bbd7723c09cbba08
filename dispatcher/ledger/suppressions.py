"""Who opted out of a channel. Every claim looks here, so that an opt-out counts for what is queued already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from dispatcher.domain.message import Channel
from dispatcher.domain.recipient import Recipient
from dispatcher.ledger.operations import By, audit
from dispatcher.ledger.tables import SuppressionRow
from dispatcher.ledger.upsert import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A recipient that gets nothing on a channel."""

    channel: Channel
    recipient: Recipient
    reason: str | None
    created_at: datetime


def add(connection: Connection, channel: Channel, recipients: Sequence[str], by: By) -> int:
    """Note opt-outs, and return how many were new."""
    rows = [
        {"channel": channel.value, "recipient": str(recipient), "reason": by.reason, "created_at": by.now}
        for recipient in recipients
    ]
    insert = insert_into(connection, SuppressionRow).on_conflict_do_nothing().returning(SuppressionRow.recipient)
    new = len(connection.execute(insert, rows).all()) if rows else 0
    audit(connection, by, "suppress", f"channel:{channel.value}", recipients=new)
    return new


def remove(connection: Connection, channel: Channel, recipients: Sequence[str], by: By) -> int:
    """Take opt-outs back, and return how many there were."""
    gone = connection.execute(
        delete(SuppressionRow).where(
            SuppressionRow.channel == channel.value, SuppressionRow.recipient.in_([str(each) for each in recipients])
        )
    ).rowcount
    audit(connection, by, "unsuppress", f"channel:{channel.value}", recipients=gone)
    return gone


def listed(
    connection: Connection, channel: Channel | None, *, after: tuple[str, str] | None, limit: int
) -> list[Suppression]:
    """Return opt-outs by channel and number; ``after`` is the last of the page before."""
    place = (SuppressionRow.channel, SuppressionRow.recipient)
    statement = select(*place, SuppressionRow.reason, SuppressionRow.created_at).order_by(*place).limit(limit)
    if channel is not None:
        statement = statement.where(SuppressionRow.channel == channel.value)
    if after is not None:
        statement = statement.where(tuple_(*place) > after)
    return [
        Suppression(
            channel=Channel(row.channel),
            recipient=Recipient(row.recipient),
            reason=row.reason,
            created_at=row.created_at,
        )
        for row in connection.execute(statement)
    ]
