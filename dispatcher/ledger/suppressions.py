"""Who opted out of a channel. Every claim looks here, so that an opt-out counts for what is queued already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from dispatcher.domain.message import UNKEPT, Channel
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.texts import with_newlines
from dispatcher.ledger.operations import By, audit
from dispatcher.ledger.tables import SUPPRESSIONS
from dispatcher.ledger.upsert import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A recipient that gets nothing on a channel."""

    channel: Channel
    recipient: Recipient
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """A recipient that opted out of a channel, to be recorded."""

    channel: Channel
    recipient: Recipient
    reason: str | None
    opted_out_at: datetime


def record(connection: Connection, opt_outs: Sequence[OptOut], by: By) -> int:
    """Record opt-outs, and return how many were new. One that is recorded already keeps its date and reason."""
    earliest: dict[tuple[str, str], OptOut] = {}
    for each in opt_outs:
        place = (each.channel.value, str(each.recipient))
        if place not in earliest or each.opted_out_at < earliest[place].opted_out_at:
            earliest[place] = each
    rows = [
        {"channel": channel, "recipient": recipient, "reason": _kept(each.reason), "created_at": each.opted_out_at}
        for (channel, recipient), each in earliest.items()
    ]
    insert = insert_into(connection, SUPPRESSIONS).on_conflict_do_nothing().returning(SUPPRESSIONS.c.channel)
    new = Counter(connection.execute(insert, rows).scalars()) if rows else Counter[str]()
    for channel in dict.fromkeys(each.channel for each in opt_outs):
        audit(connection, by, "suppress", f"channel:{channel.value}", recipients=new[channel.value])
    return new.total()


def _kept(reason: str | None) -> str | None:
    """Return a reason as the ledger keeps it, and as an export and an import leave it."""
    return UNKEPT.sub("\N{REPLACEMENT CHARACTER}", with_newlines(reason or "")).strip() or None


def remove(connection: Connection, channel: Channel, recipients: Sequence[str], by: By) -> int:
    """Take opt-outs back, and return how many there were."""
    gone = connection.execute(
        delete(SUPPRESSIONS).where(
            SUPPRESSIONS.c.channel == channel.value, SUPPRESSIONS.c.recipient.in_([str(each) for each in recipients])
        )
    ).rowcount
    audit(connection, by, "unsuppress", f"channel:{channel.value}", recipients=gone)
    return gone


def listed(
    connection: Connection, channel: Channel | None, *, after: tuple[str, str] | None, limit: int
) -> list[Suppression]:
    """Return opt-outs by channel and number; ``after`` is the last of the page before."""
    place = (SUPPRESSIONS.c.channel, SUPPRESSIONS.c.recipient)
    statement = select(*place, SUPPRESSIONS.c.reason, SUPPRESSIONS.c.created_at).order_by(*place).limit(limit)
    if channel is not None:
        statement = statement.where(SUPPRESSIONS.c.channel == channel.value)
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
