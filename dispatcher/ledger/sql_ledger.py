"""The ledger as the engine uses it: each method one short transaction, none held while a request is under way."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.exc import DBAPIError

from dispatcher.domain.attempt import Claimed, Settlement
from dispatcher.domain.errors import LedgerUnavailable, SettlementRefused
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.ledger import bulk, claim, counts, minutes, pauses, settle
from dispatcher.ledger.advance import advance
from dispatcher.ledger.database_errors import Meaning, meaning_of
from dispatcher.ledger.engine import make_engine, reading, transaction
from dispatcher.ledger.lanes import Place, anything_due, pause_running, queue_bounds
from dispatcher.ledger.lower_bounds import LowerBounds, single
from dispatcher.ledger.open_transactions import OpenTransaction, oldest_transaction
from dispatcher.ledger.tables import ASKED_FOR, LEDGER, MESSAGES, QUEUED
from dispatcher.ports import Advance, ClaimRequest, Due, Taken

TOO_LATE = "its time was over before it could be sent"
_NO_SORT = text("SELECT set_config('enable_sort', 'off', true)")


def _expiry_bounds() -> LowerBounds[None]:
    """Make the lower bound of ``expires_at`` among queued messages."""
    queued = select(MESSAGES.c.expires_at).where(MESSAGES.c.state == QUEUED, text(ASKED_FOR))
    return LowerBounds(search=single(queued.order_by(MESSAGES.c.expires_at)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlLedger:
    """The ledger on SQLite or PostgreSQL. All methods raise LedgerUnavailable when it cannot be used now."""

    engine: Engine
    claims: claim.Claims = field(repr=False)
    _queued: Mapping[Channel, LowerBounds[Place]] = field(repr=False)
    leased: LowerBounds[None] = field(default_factory=claim.lease_bounds, init=False, repr=False)
    expiring: LowerBounds[None] = field(default_factory=_expiry_bounds, init=False, repr=False)
    _identity: list[UUID] = field(default_factory=list, init=False, repr=False)
    """Once it was read: the ledger's own id, which never changes."""

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the ledger at a SQLAlchemy URL; connects at first use."""
        return cls.on(make_engine(url))

    @classmethod
    def on(cls, engine: Engine) -> Self:
        """Use an engine that exists already."""
        queued = {channel: queue_bounds(channel) for channel in Channel}
        return cls(engine=engine, claims=claim.Claims(engine, queued), _queued=queued)

    def identity(self) -> UUID:
        """Return the ledger's own id; the database is asked once.

        :raises LedgerUnavailable: it was never asked and cannot be now, or its table was emptied.
        """
        if not self._identity:
            with reading(self.engine) as connection:
                found = connection.execute(select(LEDGER.c.id)).scalar()
            if found is None:
                raise LedgerUnavailable("the ledger has lost its id: the table dispatcher_ledger is empty")
            self._identity.append(found)
        return self._identity[0]

    def claim(self, request: ClaimRequest) -> Taken:
        """Take messages that are due; the leases have committed when this returns."""
        return self.claims.claim(request)

    def settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        """Record attempts and what follows from them, in one group commit.

        :raises SettlementRefused: the database refuses a value of at least one of them; nothing was written.
        """
        if not settlements:
            return frozenset()
        try:
            with transaction(self.engine) as connection:
                return settle.settle(connection, settlements)
        except DBAPIError as error:
            if meaning_of(error) is Meaning.REFUSED:
                raise SettlementRefused(f"the ledger refuses an answer: {error.orig}") from None
            raise
        except (ArithmeticError, TypeError, ValueError) as error:  # a value that no parameter can carry
            raise SettlementRefused(f"an answer cannot be written: {error}") from error

    def unknown(self, messages: Collection[MessageId]) -> frozenset[MessageId]:
        """Return those that the ledger does not have: of another ledger, removed, or younger than a restored backup."""
        if not messages:
            return frozenset()
        with reading(self.engine) as connection:
            found = connection.execute(select(MESSAGES.c.id).where(MESSAGES.c.id.in_(messages))).scalars()
            return frozenset(messages) - frozenset(MessageId(each) for each in found)

    def renew(self, messages: Iterable[Claimed], *, now: datetime, until: datetime) -> None:
        """Prolong the leases of messages that are still in flight."""
        held = list(messages)
        if held:
            with transaction(self.engine) as connection:
                claim.renew(connection, held, now=now, until=until)

    def lost_leases(self, *, now: datetime, limit: int) -> list[Claimed]:
        """Return messages whose lease ran out, oldest first."""
        with reading(self.engine) as connection:
            return claim.lost_leases(connection, now=now, limit=limit, bounds=self.leased)

    def expire(self, *, now: datetime, limit: int) -> int:
        """Give up queued messages whose time is over."""
        overdue = (
            select(MESSAGES.c.id)
            .where(MESSAGES.c.state == QUEUED, MESSAGES.c.expires_at <= now, text(ASKED_FOR))
            .order_by(MESSAGES.c.expires_at)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            if connection.dialect.name == "postgresql":
                # Where statistics know of nothing queued, reading all of another index and sorting looks as cheap.
                connection.execute(_NO_SORT)
            with self.expiring.applied(connection, now) as bounds:
                if None in bounds:
                    overdue = overdue.where(MESSAGES.c.expires_at >= bounds[None])
                ids = connection.execute(overdue).scalars().all()
        if not ids:
            return 0
        give_up = (
            update(MESSAGES)
            .where(MESSAGES.c.id.in_(ids), MESSAGES.c.state == State.QUEUED.value, MESSAGES.c.expires_at <= now)
            .values(state=State.EXPIRED.value, updated_at=now, last_error=TOO_LATE, failure=TOO_LATE)
            .returning(MESSAGES.c.id)
        )
        with transaction(self.engine) as connection:
            return len(connection.execute(give_up).all())

    def advance(self, *, now: datetime) -> Advance:
        """Start, resume and finish campaigns, open their windows anew, call off what was cancelled."""
        return advance(self.engine, now=now)

    def operate(self, *, now: datetime, patience: timedelta) -> int:
        """Go on with bulk operations for about so long, and return how many messages were changed."""
        changed, ends = 0, time.monotonic() + patience.total_seconds()
        for operation in bulk.running(self.engine):
            while time.monotonic() < ends and (now_changed := bulk.step(self.engine, operation, now=now)):
                changed += now_changed
        return changed

    def recount(self, *, now: datetime, patience: timedelta) -> None:
        """Count campaigns anew whose last count is old, for about so long, so that nobody who looks has to."""
        counts.recount(self.engine, now=now, patience=patience)

    def fold(self, *, now: datetime) -> int:
        """Fold old counts of calls into their sums, and return how many rows went."""
        with transaction(self.engine) as connection:
            return minutes.fold(connection, now=now)

    def due(self, *, now: datetime) -> list[Due]:
        """Say for each channel whether something waits that could go now."""
        with reading(self.engine) as connection:
            return [
                Due(channel=channel, waiting=_waiting(connection, channel, now, self._queued[channel]))
                for channel in Channel
            ]

    def oldest_transaction(self) -> OpenTransaction | None:
        """Return anybody's transaction that has been open for longest in the ledger's database."""
        with reading(self.engine) as connection:
            return oldest_transaction(connection)

    def pause(self, channel: Channel, *, by: str, reason: str, until: datetime | None, now: datetime) -> None:
        """Stop a channel at the next claim, everywhere."""
        with transaction(self.engine) as connection:
            pauses.pause(connection, channel, by=by, reason=reason, until=until, now=now)

    def pause_campaign(self, campaign: UUID, *, reason: str, until: datetime, now: datetime) -> bool:
        """Pause a running campaign until a moment; returns whether this call did."""
        with transaction(self.engine) as connection:
            return pause_running(connection, campaign, reason=reason, until=until, now=now)

    def close(self) -> None:
        """Give up the pooled connections."""
        self.engine.dispose()


def _waiting(connection: Connection, channel: Channel, now: datetime, queued: LowerBounds[Place]) -> bool:
    """Look for the first message that could go."""
    if connection.execute(select(claim.paused(channel.value, now))).scalar():
        return False
    with queued.applied(connection, now) as bounds:
        return anything_due(connection, channel, now, bounds=bounds)
