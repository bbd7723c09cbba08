"""Out of the queue: leases by compare-and-set, transactional first, bulk campaign by campaign with its reserved share.

A claim is one transaction and commits before any request leaves, so a lease that runs out can only mean "sent or about
to be". Gifts get their guard row in the same transaction: the database itself refuses a second live send.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, exists, insert, or_, select, update

from dispatcher.domain.attempt import Claimed, Trigger
from dispatcher.domain.identity import ENTROPY_BITS, LeaseToken, MessageId, uuid7
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import State
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.enqueue import gift_from_json
from dispatcher.ledger.tables import CampaignRow, ChannelRow, GiftGuardRow, MessageRow
from dispatcher.ports import ClaimRequest

_CLAIMED = (
    MessageRow.id,
    MessageRow.channel,
    MessageRow.priority,
    MessageRow.recipient,
    MessageRow.body,
    MessageRow.gift,
    MessageRow.campaign_id,
    MessageRow.lease_token,
    MessageRow.lease_expires_at,
    MessageRow.attempts_made,
    MessageRow.max_attempts,
    MessageRow.calls_made,
    MessageRow.doubtful_sends,
    MessageRow.refused_generation,
    MessageRow.trigger,
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of one worker; remembers only whose turn it is among the running campaigns."""

    engine: Engine
    _turn: count[int] = field(default_factory=count, init=False)

    def claim(self, request: ClaimRequest) -> list[Claimed]:
        """Take what is due, in this order: bulk's reserved share, transactional, bulk with what is left."""
        lease = _Lease(request)
        with transaction(self.engine) as connection:
            if request.bulk:
                self._claim_bulk(connection, lease, request.bulk)
            lease.claim(connection, Priority.TRANSACTIONAL, None, lease.room)
            self._claim_bulk(connection, lease, min(lease.room, request.bulk_limit - lease.bulk_taken))
        return [as_claimed(row) for row in lease.rows]

    def _claim_bulk(self, connection: Connection, lease: _Lease, room: int) -> None:
        """Share ``room`` evenly among the running campaigns and the messages of none; leftovers go round again."""
        if room <= 0:
            return
        running = select(CampaignRow.id).where(CampaignRow.state == "running", CampaignRow.channel == lease.channel)
        lanes: list[UUID | None] = [None, *connection.execute(running.order_by(CampaignRow.id)).scalars()]
        first = next(self._turn) % len(lanes)
        lanes = lanes[first:] + lanes[:first]
        while lanes and room > 0:
            share = -(-room // len(lanes))
            hungry = []
            for lane in lanes:
                want = min(share, room)
                if want <= 0:
                    break
                taken = lease.claim(connection, Priority.BULK, lane, want)
                room -= taken
                if taken == want:
                    hungry.append(lane)
            lanes = hungry


class _Lease:
    """One claim under way: the lease that it hands out and the rows that took it."""

    def __init__(self, request: ClaimRequest) -> None:
        self.channel = request.channel.value
        self.rows: list[Row[tuple[object, ...]]] = []
        self.bulk_taken = 0
        self._request = request
        self._token = uuid7(int(request.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS))

    @property
    def room(self) -> int:
        return self._request.count - len(self.rows)

    def claim(self, connection: Connection, priority: Priority, campaign: UUID | None, want: int) -> int:
        """Lease up to ``want`` messages of one lane and return how many there were."""
        if want <= 0:
            return 0
        now = self._request.now
        due = (
            select(MessageRow.id)
            .where(
                MessageRow.state == State.QUEUED.value,
                MessageRow.channel == self.channel,
                MessageRow.priority == priority.value,
                MessageRow.campaign_id.is_(None) if campaign is None else MessageRow.campaign_id == campaign,
                MessageRow.due_at <= now,
                MessageRow.expires_at > now,
                ~paused(self.channel, now),
            )
            .order_by(MessageRow.due_at, MessageRow.id)
            .limit(want)
            .with_for_update(skip_locked=True)
        )
        if self._request.channel is Channel.GIFT:
            due = due.where(~exists().where(GiftGuardRow.message_id == MessageRow.id))
        chosen = due.cte("due")
        lease = (
            update(MessageRow)
            .where(MessageRow.id.in_(select(chosen.c.id)), MessageRow.state == State.QUEUED.value)
            .values(
                state=State.SENDING.value,
                lease_token=self._token,
                lease_expires_at=now + self._request.lease,
                updated_at=now,
            )
            .returning(*_CLAIMED)
        )
        rows = connection.execute(lease).all()
        if rows and self._request.channel is Channel.GIFT:
            guards = [{"message_id": row.id, "guarded_at": now} for row in rows]
            connection.execute(insert(GiftGuardRow), guards)
        self.rows.extend(rows)
        self.bulk_taken += len(rows) if priority is Priority.BULK else 0
        return len(rows)


def paused(channel: str, now: datetime) -> ColumnElement[bool]:
    """Build the condition "this channel is paused now"."""
    return exists().where(
        ChannelRow.channel == channel,
        ChannelRow.paused_at.is_not(None),
        or_(ChannelRow.paused_until.is_(None), ChannelRow.paused_until > now),
    )


def lost_leases(engine_connection: Connection, *, now: datetime, limit: int) -> list[Claimed]:
    """Return messages whose lease ran out: their worker died, or was stopped for longer than the lease."""
    lost = (
        select(*_CLAIMED)
        .where(and_(MessageRow.state == State.SENDING.value, MessageRow.lease_expires_at <= now))
        .order_by(MessageRow.lease_expires_at)
        .limit(limit)
    )
    return [as_claimed(row) for row in engine_connection.execute(lost)]


def renew(connection: Connection, messages: Sequence[Claimed], *, now: datetime, until: datetime) -> None:
    """Prolong leases that have not run out; one that has belongs to the sweep."""
    connection.execute(
        update(MessageRow)
        .where(
            MessageRow.id.in_([message.id for message in messages]),
            MessageRow.lease_token.in_({message.lease for message in messages}),
            MessageRow.state == State.SENDING.value,
            MessageRow.lease_expires_at > now,
        )
        .values(lease_expires_at=until)
    )


def as_claimed(row: Row[tuple[object, ...]]) -> Claimed:
    """Read a leased row as a claimed message."""
    return Claimed(
        id=MessageId(row.id),
        channel=Channel(row.channel),
        priority=Priority(row.priority),
        recipient=Recipient(row.recipient),
        body=row.body,
        gift=None if row.gift is None else gift_from_json(row.gift),
        campaign_id=row.campaign_id,
        lease=LeaseToken(row.lease_token),
        lease_expires_at=row.lease_expires_at,
        attempts_made=row.attempts_made,
        max_attempts=row.max_attempts,
        calls_made=row.calls_made,
        doubtful_sends=row.doubtful_sends,
        refused_generation=row.refused_generation,
        trigger=Trigger(row.trigger),
    )
