"""Out of the queue: leases by compare-and-set, transactional first, bulk campaign by campaign with its reserved share.

A claim is one transaction and commits before any request leaves, so a lease that runs out can only mean "sent or about
to be". Gifts get their guard row in the same transaction: the database itself refuses a second live send. Whoever opted
out is taken out here, at the last moment, and a campaign's own rate and budget are counted on its locked row.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Row,
    Select,
    bindparam,
    case,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from dispatcher.domain.attempt import Claimed, Trigger
from dispatcher.domain.identity import ENTROPY_BITS, LeaseToken, MessageId, uuid7
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import State
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.enqueue import gift_from_json
from dispatcher.ledger.invariants import SoundGift
from dispatcher.ledger.lanes import NOBODY, OF_NONE, Allowance, Place, Runner, amounts_of, runners
from dispatcher.ledger.lower_bounds import LowerBounds, single
from dispatcher.ledger.tables import CHANNELS, GIFT_GUARDS, MESSAGES, QUEUED, SENDING, SUPPRESSIONS
from dispatcher.logs import get_logger
from dispatcher.ports import ClaimRequest, Taken

log = get_logger(__name__)

OPTED_OUT = "the recipient opted out"
LEAST_SHARE = 32
"""How many messages one campaign is given at once, if there is room for so many."""
BUSY = timedelta(milliseconds=50)
"""When to look again at a campaign that another worker was taking from, or whose budget is all under way."""

_TROUBLED = (OutcomeKind.UNAUTHORIZED.value, OutcomeKind.MISCONFIGURED.value)

_CLAIMED = (
    MESSAGES.c.id,
    MESSAGES.c.channel,
    MESSAGES.c.priority,
    MESSAGES.c.recipient,
    MESSAGES.c.body,
    MESSAGES.c.gift,
    MESSAGES.c.campaign_id,
    MESSAGES.c.lease_token,
    MESSAGES.c.lease_expires_at,
    MESSAGES.c.attempts_made,
    MESSAGES.c.max_attempts,
    MESSAGES.c.calls_made,
    MESSAGES.c.doubtful_sends,
    MESSAGES.c.refused_generation,
    MESSAGES.c.trigger,
    MESSAGES.c.configuration_answers,
    MESSAGES.c.revision,
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of one worker; remembers only whose turn it is among the running campaigns."""

    engine: Engine
    bounds: Mapping[Channel, LowerBounds[Place]]
    _turn: count[int] = field(default_factory=count, init=False)
    _after: dict[Channel, UUID] = field(default_factory=lambda: dict.fromkeys(Channel, NOBODY), init=False)
    """Who took bulk messages last."""

    def claim(self, request: ClaimRequest) -> Taken:
        """Take what is due, in this order: bulk's reserved share, transactional, bulk with what is left."""
        with (
            transaction(self.engine) as connection,
            self.bounds[request.channel].applied(connection, request.now) as bounds,
        ):
            after = self._after[request.channel]
            lease = _Lease(connection, request, turn=next(self._turn), after=after, bounds=bounds)
            if request.troubled_last:
                lease.take(untroubled=True)
            lease.take(untroubled=False)
        self._after[request.channel] = lease.after
        for name, reason in lease.paused:
            log.warning("campaign_paused", campaign=name, reason=reason)
        return Taken(messages=[as_claimed(row) for row in lease.rows], again_in=lease.again_in)


class _Lease:
    """One claim under way: the lease that it hands out and the rows that took it."""

    def __init__(
        self,
        connection: Connection,
        request: ClaimRequest,
        *,
        turn: int,
        after: UUID,
        bounds: Mapping[Place, datetime],
    ) -> None:
        self.channel = request.channel.value
        self.rows: list[Row[tuple[object, ...]]] = []
        self.bulk_taken = 0
        self.again_in: timedelta | None = None
        self.paused: list[tuple[str, str]] = []
        self.after = after
        self._connection = connection
        self._request = request
        self._turn = turn
        self._bounds = bounds
        self._token = uuid7(int(request.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS))
        self._runners: list[Runner] | None = None
        self._untroubled = False

    @property
    def room(self) -> int:
        return self._request.count - len(self.rows)

    def take(self, *, untroubled: bool) -> None:
        """Fill the room there is: bulk's reserved share, transactional, bulk with what is left.

        :param untroubled: leave out messages whose last answer was a configuration answer.
        """
        self._untroubled = untroubled
        if self._request.bulk:
            self.claim_bulk(min(self.room, self._request.bulk - self.bulk_taken))
        if self.room:
            self.claim(Priority.TRANSACTIONAL, None, 0, self.room)
        self.claim_bulk(min(self.room, self._request.bulk_limit - self.bulk_taken))

    def claim_bulk(self, room: int) -> None:
        """Share ``room`` among running campaigns and the messages of none, whose turn it is; leftovers go round again.

        No share is smaller than some, so that a claim asks no more often with a thousand campaigns than with ten.
        """
        if room <= 0:
            return
        if self._runners is None:
            self._runners = runners(
                self._connection, self.channel, self._request.now, after=self.after, bounds=self._bounds
            )
        hungry = self._runners
        while hungry and room > 0:
            share = max(LEAST_SHARE, -(-room // len(hungry)))
            still = []
            for runner in hungry:
                want = min(share, room)
                if want <= 0:
                    break
                taken = self._claim_runner(runner, want)
                self.after = runner.campaign or OF_NONE
                room -= taken
                if taken == want:
                    still.append(runner)
            hungry = still

    def _claim_runner(self, runner: Runner, want: int) -> int:
        """Take up to ``want`` messages of one campaign, from one open lane after the other."""
        allowance: Allowance | None = None
        if runner.limited and runner.campaign is not None:
            allowance = Allowance.hold(self._connection, runner.campaign, self._request.now)
            if allowance is None:  # another worker takes from it at this moment
                self._look_again(BUSY)
                return 0
            if allowance.permits is not None:
                want = min(want, allowance.permits)
        first = self._turn % len(runner.lanes)
        taken = 0
        for lane in runner.lanes[first:] + runner.lanes[:first]:
            if taken == want:
                break
            taken += self.claim(Priority.BULK, runner.campaign, lane, want - taken, allowance)
        if allowance is not None:
            allowance.book(self._connection)
            reason = allowance.pause_if_spent(self._connection)
            if reason is not None:
                self.paused.append((allowance.name, reason))
            elif allowance.short is not None:  # what is under way may free some of the budget again
                self._look_again(BUSY)
            if allowance.again_in is not None:
                self._look_again(allowance.again_in)
        return taken

    def claim(
        self, priority: Priority, campaign: UUID | None, lane: int, want: int, allowance: Allowance | None = None
    ) -> int:
        """Lease up to ``want`` messages of one lane and return how many; opted-out ones are taken out on the way."""
        leased = 0
        since = self._bounds.get((priority, campaign, lane))
        leasing = _leasing(
            gift=self._request.channel is Channel.GIFT,
            of_campaign=campaign is not None,
            untroubled=self._untroubled,
            bounded=since is not None,
        )
        given = {
            "on_channel": self.channel,
            "with_priority": priority.value,
            "in_campaign": campaign,
            "in_lane": lane,
            "moment": self._request.now,
            "lease": self._token,
            "lease_ends": self._request.now + self._request.lease,
        }
        if since is not None:
            given["since"] = since
        while leased < want:
            given["want"] = want - leased
            if allowance is not None and allowance.budget is not None:
                leasing = self._affordable(given, allowance)
            rows = self._connection.execute(leasing, given).all()
            mine = [row for row in rows if row.lease_token is not None]
            leased += len(mine)
            self._keep(mine, allowance)
            if len(mine) == len(rows):  # nobody had opted out, so there is no place left to fill
                break
        self.bulk_taken += leased if priority is Priority.BULK else 0
        return leased

    def _affordable(self, given: Mapping[str, object], allowance: Allowance) -> ReturningUpdate[tuple[object, ...]]:
        """Narrow what is due to what the budget allows, in its order."""
        due = _due(gift=True, of_campaign=True, untroubled=self._untroubled, bounded="since" in given)
        rows = self._connection.execute(due.add_columns(MESSAGES.c.gift), given).all()
        costing = [row for row in rows if not row.opted_out]
        within = {row.id for row in costing[: allowance.affordable(amounts_of(costing))]}
        within |= {row.id for row in rows if row.opted_out}
        return _leases(due.where(MESSAGES.c.id.in_(within)))

    def _keep(self, rows: Sequence[Row[tuple[object, ...]]], allowance: Allowance | None) -> None:
        """Guard claimed gifts, each with what it costs whose budget."""
        booked = allowance if allowance is not None and allowance.budget is not None else None
        amounts = amounts_of(rows) if booked is not None else []
        if rows and self._request.channel is Channel.GIFT:
            guards = [
                {
                    "message_id": row.id,
                    "guarded_at": self._request.now,
                    "campaign_id": row.campaign_id if booked else None,
                    "amount": amounts[place] if booked else None,
                    "booked_on": booked.day if booked else None,
                }
                for place, row in enumerate(rows)
            ]
            self._connection.execute(insert(GIFT_GUARDS), guards)
        if allowance is not None:
            allowance.take(len(rows), amounts)
        self.rows.extend(rows)

    def _look_again(self, wait: timedelta) -> None:
        self.again_in = wait if self.again_in is None else min(self.again_in, wait)


def paused(channel: str | BindParameter[str], now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Build the condition "this channel is paused now"."""
    return exists().where(
        CHANNELS.c.channel == channel,
        CHANNELS.c.paused_at.is_not(None),
        or_(CHANNELS.c.paused_until.is_(None), CHANNELS.c.paused_until > now),
    )


def _due(*, gift: bool, of_campaign: bool, untroubled: bool, bounded: bool) -> Select[tuple[UUID, bool | None]]:
    """Select what may be claimed of one lane, the oldest first, and lock it.

    :param bounded: begin at ``since``, below which nothing of the lane is queued (see ``lower_bounds``).
    """
    channel = bindparam("on_channel", type_=MESSAGES.c.channel.type)
    now = bindparam("moment", type_=MESSAGES.c.due_at.type)
    opted_out = (
        select(literal(1))
        .where(SUPPRESSIONS.c.channel == MESSAGES.c.channel, SUPPRESSIONS.c.recipient == MESSAGES.c.recipient)
        .limit(1)  # never hashed as a whole, however many opted out
        .scalar_subquery()
    )
    campaign = bindparam("in_campaign", type_=MESSAGES.c.campaign_id.type)
    due = (
        select(MESSAGES.c.id, opted_out.label("opted_out"))
        .where(
            MESSAGES.c.state == QUEUED,
            MESSAGES.c.channel == channel,
            MESSAGES.c.priority == bindparam("with_priority", type_=MESSAGES.c.priority.type),
            MESSAGES.c.campaign_id == campaign if of_campaign else MESSAGES.c.campaign_id.is_(None),
            MESSAGES.c.lane == bindparam("in_lane", type_=MESSAGES.c.lane.type),
            MESSAGES.c.due_at <= now,
            MESSAGES.c.expires_at > now,
            ~paused(channel, now),
        )
        .order_by(MESSAGES.c.campaign_id, MESSAGES.c.due_at, MESSAGES.c.id)  # see lanes._first
        .limit(bindparam("want", type_=Integer()))
        .with_for_update(of=MESSAGES, skip_locked=True)
    )
    if bounded:
        due = due.where(MESSAGES.c.due_at >= bindparam("since", type_=MESSAGES.c.due_at.type))
    if untroubled:
        due = due.where(or_(MESSAGES.c.last_outcome.is_(None), MESSAGES.c.last_outcome.not_in(_TROUBLED)))
    if gift:  # one that is older than the rule waits until it expires: it cannot be sent as it is
        due = due.where(~exists().where(GIFT_GUARDS.c.message_id == MESSAGES.c.id), SoundGift())
    return due


def _leases(due: Select[tuple[UUID, bool | None]]) -> ReturningUpdate[tuple[object, ...]]:
    """Lease what is due; take out those who opted out.

    The rows are locked and were looked at as they are now, so their ids are enough. To ask for their state once more
    would let PostgreSQL go through all that is queued for each of them while its statistics do not know of a burst.
    """
    chosen = due.cte("due")
    free = chosen.c.opted_out.is_(None)
    return (
        update(MESSAGES)
        .where(MESSAGES.c.id == chosen.c.id)
        .values(
            state=case((free, State.SENDING.value), else_=State.SUPPRESSED.value),
            lease_token=case((free, bindparam("lease", type_=MESSAGES.c.lease_token.type))),
            lease_expires_at=case((free, bindparam("lease_ends", type_=MESSAGES.c.lease_expires_at.type))),
            last_error=case((free, MESSAGES.c.last_error), else_=OPTED_OUT),
            updated_at=bindparam("moment", type_=MESSAGES.c.updated_at.type),
        )
        .returning(*_CLAIMED)
    )


@cache
def _leasing(*, gift: bool, of_campaign: bool, untroubled: bool, bounded: bool) -> ReturningUpdate[tuple[object, ...]]:
    """Build the claim's own statement once: to put it together anew costs more than to carry it out."""
    return _leases(_due(gift=gift, of_campaign=of_campaign, untroubled=untroubled, bounded=bounded))


def lost_leases(connection: Connection, *, now: datetime, limit: int, bounds: LowerBounds[None]) -> list[Claimed]:
    """Return messages whose lease ran out: their worker died, or was stopped for longer than the lease."""
    lost = (
        select(*_CLAIMED)
        .where(MESSAGES.c.state == SENDING, MESSAGES.c.lease_expires_at <= now)
        .order_by(MESSAGES.c.lease_expires_at)
        .limit(limit)
    )
    with bounds.applied(connection, now) as found:
        if None in found:
            lost = lost.where(MESSAGES.c.lease_expires_at >= found[None])
        return [as_claimed(row) for row in connection.execute(lost)]


def lease_bounds() -> LowerBounds[None]:
    """Make the lower bound of ``lease_expires_at`` among leased messages."""
    leased = select(MESSAGES.c.lease_expires_at).where(MESSAGES.c.state == SENDING)
    return LowerBounds(search=single(leased.order_by(MESSAGES.c.lease_expires_at)))


def renew(connection: Connection, messages: Sequence[Claimed], *, now: datetime, until: datetime) -> None:
    """Prolong leases that have not run out; one that has belongs to the sweep."""
    connection.execute(
        update(MESSAGES)
        .where(
            MESSAGES.c.id.in_([message.id for message in messages]),
            MESSAGES.c.lease_token.in_({message.lease for message in messages}),
            MESSAGES.c.state == SENDING,
            MESSAGES.c.lease_expires_at > now,
        )
        .values(lease_expires_at=until)
    )


def as_claimed(row: Row[*tuple[Any, ...]]) -> Claimed:
    """Read a leased row as a claimed message."""
    return Claimed(
        id=MessageId(row.id),
        channel=Channel(row.channel),
        priority=Priority(row.priority),
        recipient=Recipient(row.recipient),
        body=row.body,
        gift=gift_from_json(row.gift) if row.channel == Channel.GIFT.value else None,
        campaign_id=row.campaign_id,
        lease=LeaseToken(row.lease_token),
        lease_expires_at=row.lease_expires_at,
        attempts_made=row.attempts_made,
        max_attempts=row.max_attempts,
        calls_made=row.calls_made,
        doubtful_sends=row.doubtful_sends,
        refused_generation=row.refused_generation,
        trigger=Trigger(row.trigger),
        # Queued by a person since: what was counted before no longer holds.
        configuration_answers=row.configuration_answers if row.trigger == Trigger.AUTO else 0,
        revision=row.revision,
    )
