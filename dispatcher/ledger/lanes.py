"""What bulk may take now: the running campaigns, their open lanes, and what their own rate and budget still allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any, Self, TypeVarTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    ScalarSelect,
    Select,
    Uuid,
    and_,
    bindparam,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.selectable import TableValuedAlias

from dispatcher.domain.budget import Budget, in_units, parse_budget, to_minor
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.rate import Rate, parse_rate
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger.lower_bounds import Least, LowerBounds, timed
from dispatcher.ledger.operations import By, audit
from dispatcher.ledger.pauses import AUTOMATIC
from dispatcher.ledger.tables import CAMPAIGNS, GIFT_GUARDS, LANES, MESSAGES, QUEUED

_Columns = TypeVarTuple("_Columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A running campaign with its open lanes; or, without an id, the bulk messages of no campaign."""

    campaign: UUID | None
    lanes: tuple[int, ...]
    limited: bool
    """It has a rate or a budget of its own, so its row must be held while its messages are taken."""


NO_CAMPAIGN = Runner(campaign=None, lanes=(0,), limited=False)
OF_NONE = UUID(int=0)
"""Stands for the messages of no campaign where campaigns go by their ids: they come first."""
NOBODY = UUID(int=(1 << 128) - 1)
"""Comes after every campaign, so that the ring begins with its first."""
LOOKED_AT = 64
"""Lanes of running campaigns that one look returns at the most."""
Place = tuple[Priority, UUID | None, int]
"""Part of the queue of a channel, which is read in order of ``due_at``: a priority, a campaign or none, a lane."""


def runners(
    connection: Connection, channel: str, now: datetime, *, after: UUID, bounds: Mapping[Place, datetime]
) -> list[Runner]:
    """Return some of whose bulk messages may go now, in a ring: those of no campaign, then campaigns by their ids.

    However many campaigns run, this reads only as many as it returns, or once into the index for each that has nothing.

    :param after: who took last: a campaign, ``OF_NONE`` or ``NOBODY``.
    :param bounds: the least ``due_at`` that is queued, of some places.
    """
    rows = _look(connection, channel, now, behind=after, some=LOOKED_AT, bounds=bounds)
    found = []
    for campaign, group in groupby(rows, key=lambda row: row.id):
        lanes = list(group)
        limited = lanes[0].rate is not None or lanes[0].budget is not None
        found.append(Runner(campaign=campaign, lanes=tuple(row.lane for row in lanes), limited=limited))
    cut = len(rows) == LOOKED_AT and len(found) > 1
    if cut:  # of the last one there may be more lanes than were read; it comes first the next time
        found.pop()
    onward = [runner for runner in found if runner.campaign is not None and runner.campaign > after]
    if cut and len(onward) == len(found):
        return found  # the ring does not close yet
    return [*onward, NO_CAMPAIGN, *found[len(onward) :]]


def _look(
    connection: Connection,
    channel: str,
    now: datetime,
    *,
    behind: UUID,
    some: int,
    bounds: Mapping[Place, datetime],
) -> Sequence[Any]:
    given: dict[str, object] = {"of_channel": channel, "moment": now, "behind": behind, "some": some}
    bounded = {place: since for place, since in bounds.items() if place[1] is not None}
    if bounded:
        given["campaigns"] = [campaign for _, campaign, _ in bounded]
        given["lanes"] = [lane for _, _, lane in bounded]
        given["since"] = list(bounded.values())
    return connection.execute(_running(bounded=bool(bounded)), given).all()


@cache
def _running(*, bounded: bool) -> Select[tuple[Any, ...]]:
    """Select running campaigns with their open lanes in which something waits, from one on and then from the first."""
    behind, some = bindparam("behind", type_=CAMPAIGNS.c.id.type), bindparam("some", type_=Integer())
    lane = func.coalesce(LANES.c.lane, 0).label("lane")
    base = _open(select(CAMPAIGNS.c.id, lane, CAMPAIGNS.c.rate, CAMPAIGNS.c.budget))
    if bounded:
        bound = _given_bounds()
        base = base.outerjoin(bound, and_(bound.c.campaign == CAMPAIGNS.c.id, bound.c.lane == lane))
        since = func.coalesce(bound.c.since, literal_column("'-infinity'::timestamptz"))
        first = _first([*_of_lane(), MESSAGES.c.due_at >= since], literal(1))
    else:
        first = _first(_of_lane(), literal(1))
    base = base.where(first.is_not(None))
    base = base.order_by(CAMPAIGNS.c.id, LANES.c.lane).limit(some)
    onward = base.where(CAMPAIGNS.c.id > behind).subquery()
    around = base.where(CAMPAIGNS.c.id <= behind).subquery()
    return select(union_all(select(onward), select(around)).limit(some).subquery())


def _given_bounds() -> TableValuedAlias:
    """Read the bounds of lanes from three arrays, which only PostgreSQL has."""
    campaigns = bindparam("campaigns", type_=ARRAY(Uuid()))
    lanes = bindparam("lanes", type_=ARRAY(Integer()))
    since = bindparam("since", type_=ARRAY(DateTime(timezone=True)))
    columns = (column("campaign", Uuid()), column("lane", Integer()), column("since", DateTime(timezone=True)))
    return func.unnest(campaigns, lanes, since).table_valued(*columns, name="bound").render_derived()


def _open(of_campaigns: Select[*_Columns]) -> Select[*_Columns]:
    """Narrow to running campaigns and their lanes whose window is open."""
    now = bindparam("moment", type_=LANES.c.opens_at.type)
    return of_campaigns.outerjoin(LANES, LANES.c.campaign_id == CAMPAIGNS.c.id).where(
        CAMPAIGNS.c.state == CampaignState.RUNNING.value,
        CAMPAIGNS.c.channel == bindparam("of_channel", type_=CAMPAIGNS.c.channel.type),
        or_(LANES.c.opens_at.is_(None), LANES.c.opens_at <= now),
        or_(LANES.c.closes_at.is_(None), LANES.c.closes_at > now),
    )


def _first(of_place: Sequence[ColumnElement[bool]], what: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Take something of the first message of a place that could go: one step into the index, however much waits."""
    now = bindparam("moment", type_=LANES.c.opens_at.type)
    return (
        select(what)
        .where(
            MESSAGES.c.state == QUEUED,
            MESSAGES.c.channel == bindparam("of_channel", type_=CAMPAIGNS.c.channel.type),
            *of_place,
            MESSAGES.c.due_at <= now,
            MESSAGES.c.expires_at > now,
        )
        # By the campaign too, although there is but one: PostgreSQL does not take "IS NULL" for a constant, and would
        # sort all that waits.
        .order_by(MESSAGES.c.campaign_id, MESSAGES.c.due_at)
        .limit(1)
        .scalar_subquery()
    )


def _of_lane() -> list[ColumnElement[bool]]:
    """Build the conditions of a lane's messages, beside a campaign and its lane."""
    return [
        MESSAGES.c.priority == Priority.BULK.value,
        MESSAGES.c.campaign_id == CAMPAIGNS.c.id,
        MESSAGES.c.lane == func.coalesce(LANES.c.lane, 0),
    ]


def _of_none(priority: Priority) -> list[ColumnElement[bool]]:
    """Build the conditions of messages of no campaign."""
    return [MESSAGES.c.priority == priority.value, MESSAGES.c.campaign_id.is_(None), MESSAGES.c.lane == 0]


def anything_due(connection: Connection, channel: Channel, now: datetime, *, bounds: Mapping[Place, datetime]) -> bool:
    """Say whether a channel has any message that could go now.

    :param bounds: the least ``due_at`` that is queued, of some places.
    """
    given: dict[str, object] = {"of_channel": channel.value, "moment": now}
    of_none = {priority: bounds.get((priority, None, 0)) for priority in Priority}
    given |= {f"{priority.value}_since": since for priority, since in of_none.items() if since is not None}
    found = _first_of_none(bounded=tuple(priority for priority, since in of_none.items() if since is not None))
    if any(since is not None for since in connection.execute(found, given).one()):
        return True
    return bool(_look(connection, channel.value, now, behind=NOBODY, some=1, bounds=bounds))


def queue_bounds(channel: Channel) -> LowerBounds[Place]:
    """Make the lower bounds of ``due_at`` in a channel's queue, by place."""

    def search(connection: Connection, now: datetime) -> dict[Place, Least]:
        rows = connection.execute(_least_queued(), {"of_channel": channel.value, "moment": now})
        return {(Priority(row.priority), row.campaign, row.lane): Least.of(row) for row in rows}

    return LowerBounds(search=search)


@cache
def _least_queued() -> Select[tuple[Any, ...]]:
    """Select the least ``due_at`` that is queued, due or not, of each place that a claim may read."""

    def least(of_place: Sequence[ColumnElement[bool]]) -> ScalarSelect[datetime]:
        queued = MESSAGES.c.channel == bindparam("of_channel", type_=CAMPAIGNS.c.channel.type)
        of_queue = select(MESSAGES.c.due_at).where(MESSAGES.c.state == QUEUED, queued, *of_place)
        return of_queue.order_by(MESSAGES.c.campaign_id, MESSAGES.c.due_at).limit(1).scalar_subquery()

    none = literal_column("CAST(NULL AS uuid)", Uuid()).label("campaign")
    of_none = [
        select(
            literal(priority.value).label("priority"), none, literal(0).label("lane"), *timed(least(_of_none(priority)))
        )
        for priority in Priority
    ]
    lane = func.coalesce(LANES.c.lane, 0).label("lane")
    of_campaigns = _open(
        select(literal(Priority.BULK.value), CAMPAIGNS.c.id, lane, *timed(least(_of_lane()))).select_from(CAMPAIGNS)
    )
    return select(union_all(*of_none, of_campaigns).subquery())


def first_due(connection: Connection, channel: Channel, now: datetime) -> dict[Priority, datetime]:
    """Return since when the first message that could go has been due, by priority."""
    given = {"of_channel": channel.value, "moment": now}
    transactional, bulk = connection.execute(_first_of_none(bounded=()), given).one()
    of_campaigns = connection.execute(_first_of_campaigns(), given).scalar()
    found = {
        Priority.TRANSACTIONAL: transactional,
        Priority.BULK: min(filter(None, (bulk, of_campaigns)), default=None),
    }
    return {priority: since for priority, since in found.items() if since is not None}


@cache
def _first_of_none(*, bounded: tuple[Priority, ...]) -> Select[datetime | None, datetime | None]:
    def since(priority: Priority) -> list[ColumnElement[bool]]:
        bound = bindparam(f"{priority.value}_since", type_=MESSAGES.c.due_at.type)
        return [MESSAGES.c.due_at >= bound] if priority in bounded else []

    transactional, bulk = (
        _first([*_of_none(each), *since(each)], MESSAGES.c.due_at) for each in (Priority.TRANSACTIONAL, Priority.BULK)
    )
    return select(transactional.label("transactional"), bulk.label("bulk"))


@cache
def _first_of_campaigns() -> Select[datetime | None]:
    first = _open(select(_first(_of_lane(), MESSAGES.c.due_at).label("due")).select_from(CAMPAIGNS)).subquery()
    return select(func.min(first.c.due, type_=MESSAGES.c.due_at.type))


def pause_running(
    connection: Connection, campaign: UUID, *, reason: str, until: datetime | None, now: datetime
) -> bool:
    """Pause a running campaign without a person's word; returns whether this call did."""
    paused = (
        update(CAMPAIGNS)
        .where(CAMPAIGNS.c.id == campaign, CAMPAIGNS.c.state == CampaignState.RUNNING.value)
        .values(
            state=CampaignState.PAUSED.value,
            paused_at=now,
            paused_until=until,
            paused_by=AUTOMATIC,
            pause_reason=reason,
        )
        .returning(CAMPAIGNS.c.id)
    )
    if connection.execute(paused).scalar() is None:
        return False
    audit(connection, By(actor=AUTOMATIC, reason=reason, now=now), "pause", f"campaign:{campaign}")
    return True


@dataclass(slots=True, kw_only=True)
class Allowance:
    """What a limited campaign may still take in this claim. Its row is locked until the claim commits."""

    campaign: UUID
    name: str
    rate: Rate | None
    budget: Budget | None
    now: datetime
    paid_until: datetime
    """The rate's theoretical arrival time (GCRA): each message that is taken moves it by one interval."""
    spent: int
    spent_that_day: int
    day: str
    short: int | None = field(default=None, init=False)
    """The amount of the first gift that the budget did not allow."""
    _taken: int = field(default=0, init=False)

    @classmethod
    def hold(cls, connection: Connection, campaign: UUID, now: datetime) -> Self | None:
        """Lock a running campaign; None if another claim holds it, or it does not run any more."""
        row = connection.execute(
            select(
                CAMPAIGNS.c.name,
                CAMPAIGNS.c.rate,
                CAMPAIGNS.c.budget,
                CAMPAIGNS.c.gift,
                CAMPAIGNS.c.next_permit_at,
                CAMPAIGNS.c.spent,
                CAMPAIGNS.c.spent_that_day,
                CAMPAIGNS.c.day,
            )
            .where(CAMPAIGNS.c.id == campaign, CAMPAIGNS.c.state == CampaignState.RUNNING.value)
            .with_for_update(skip_locked=True, key_share=True)
        ).one_or_none()
        if row is None:
            return None
        today = budget_day(now)
        return cls(
            campaign=campaign,
            name=row.name,
            rate=None if row.rate is None else parse_rate(row.rate),
            budget=None if row.budget is None else parse_budget(row.budget, row.gift["currency"]),
            now=now,
            paid_until=max(now, row.next_permit_at or now),
            spent=row.spent,
            spent_that_day=row.spent_that_day if row.day == today else 0,
            day=today,
        )

    @property
    def permits(self) -> int | None:
        """How many messages the rate allows now; None if there is no rate."""
        if self.rate is None:
            return None
        ahead = (self.paid_until - self.now).total_seconds()
        return max(0, int(self.rate.burst - ahead * self.rate.per_second + 1e-6))

    @property
    def again_in(self) -> timedelta | None:
        """When the rate allows the next message; None if it is not the rate that holds the campaign."""
        if self.rate is None or self.permits:
            return None
        ahead = (self.paid_until - self.now).total_seconds()
        return timedelta(seconds=max(0.0, ahead - (self.rate.burst - 1) / self.rate.per_second))

    def affordable(self, amounts: Sequence[int]) -> int:
        """Return how many gifts, in their order, the budget allows; remembers the first one that it does not."""
        if self.budget is None:
            return len(amounts)
        room = min(self._rooms())
        for count, amount in enumerate(amounts):
            if amount > room:
                self.short = amount
                return count
            room -= amount
        return len(amounts)

    def take(self, count: int, amounts: Sequence[int] = ()) -> None:
        """Count what was taken."""
        self._taken += count
        self.spent += sum(amounts)
        self.spent_that_day += sum(amounts)
        if self.rate is not None:
            self.paid_until += timedelta(seconds=count / self.rate.per_second)

    def book(self, connection: Connection) -> None:
        """Write down what was taken, in the transaction that took it."""
        if self._taken:
            connection.execute(
                update(CAMPAIGNS)
                .where(CAMPAIGNS.c.id == self.campaign)
                .values(
                    next_permit_at=self.paid_until if self.rate is not None else None,
                    spent=self.spent,
                    spent_that_day=self.spent_that_day,
                    day=self.day if self.budget is not None else None,
                )
            )

    def pause_if_spent(self, connection: Connection) -> str | None:
        """Pause the campaign if its budget does not allow the next gift, and return why.

        While calls are under way that may turn out "not carried out", the budget may yet allow it: then it waits.
        """
        if self.short is None or self.budget is None:
            return None
        under_way = connection.execute(
            select(func.sum(GIFT_GUARDS.c.amount))
            .join(MESSAGES, MESSAGES.c.id == GIFT_GUARDS.c.message_id)
            .where(MESSAGES.c.state == State.SENDING.value, GIFT_GUARDS.c.campaign_id == self.campaign)
        ).scalar_one()
        reason, until = self._reason(int(under_way or 0))
        if reason is None:
            return None
        pause_running(connection, self.campaign, reason=reason, until=until, now=self.now)
        return reason

    def _rooms(self) -> Iterator[int]:
        assert self.budget is not None  # noqa: S101 - only asked with a budget
        if self.budget.total is not None:
            yield self.budget.total - self.spent
        if self.budget.daily is not None:
            yield self.budget.daily - self.spent_that_day

    def _reason(self, under_way: int) -> tuple[str | None, datetime | None]:
        assert self.budget is not None and self.short is not None  # noqa: S101, PT018 - only asked when short
        currency = self.budget.currency
        wanted = in_units(self.short, currency)
        if self.budget.total is not None and self.short > self.budget.total - (self.spent - under_way):
            used = f"{currency} {in_units(self.spent, currency)} of {in_units(self.budget.total, currency)}"
            return f"the budget is used up ({used}): the next gift of {wanted} does not fit", None
        if self.budget.daily is not None and self.short > self.budget.daily - (self.spent_that_day - under_way):
            used = f"{currency} {in_units(self.spent_that_day, currency)} of {in_units(self.budget.daily, currency)}"
            tomorrow = self.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            return f"the day's budget is used up ({used}): the next gift of {wanted} waits for tomorrow", tomorrow
        return None, None


def budget_day(now: datetime) -> str:
    """Return the day, in UTC, that a gift is booked on."""
    return f"{now:%Y-%m-%d}"


def amounts_of(rows: Sequence[Any]) -> list[int]:
    """Return what claimed gifts cost, in the smallest unit."""
    return [to_minor(row.gift["amount"], row.gift["currency"]) for row in rows]
