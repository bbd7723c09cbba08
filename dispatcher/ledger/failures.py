"""What went wrong, counted: failures in groups, and what a bulk operation would come to before it is begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, or_, select

from dispatcher.domain.fields import Safety
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.query import Query
from dispatcher.domain.state import State
from dispatcher.ledger.search import conditions, safety
from dispatcher.ledger.tables import CampaignRow, GiftGuardRow, MessageRow

GIVEN_UP = (State.DEAD, State.EXPIRED)
CAPPED_AT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Messages that failed for one reason."""

    channel: Channel
    outcome: str | None
    status: int | None
    failure: str | None
    count: int
    first_at: datetime
    last_at: datetime
    recipients: int
    campaigns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """How many messages of one kind, and what they are worth."""

    channel: Channel
    safety: Safety
    count: int
    money: dict[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a bulk operation would do to whom, and whom it would leave out and why."""

    sums: tuple[Sum, ...]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Messages that it would change."""
        return sum(each.count for each in self.sums)

    @property
    def money(self) -> dict[str, Decimal]:
        """What the gifts among them are worth, by currency."""
        found: dict[str, Decimal] = {}
        for each in self.sums:
            for currency, amount in each.money.items():
                found[currency] = found.get(currency, Decimal(0)) + amount
        return found


def groups(connection: Connection, query: Query, *, limit: int) -> list[Group]:
    """Return dead and expired messages in groups, the largest first."""
    by = (MessageRow.channel, MessageRow.last_outcome, MessageRow.last_status, MessageRow.failure)
    rows = connection.execute(
        select(
            *by,
            func.count().label("count"),
            func.min(MessageRow.updated_at, type_=MessageRow.updated_at.type).label("first_at"),
            func.max(MessageRow.updated_at, type_=MessageRow.updated_at.type).label("last_at"),
            func.count(MessageRow.recipient.distinct()).label("recipients"),
            func.count(MessageRow.campaign_id.distinct()).label("campaigns"),
        )
        .where(given_up(), *conditions(query, connection.dialect.name))
        .group_by(*by)
        .order_by(func.count().desc())
        .limit(limit)
    )
    return [
        Group(
            channel=Channel(row.channel),
            outcome=row.last_outcome,
            status=row.last_status,
            failure=row.failure,
            count=row._mapping["count"],
            first_at=row.first_at,
            last_at=row.last_at,
            recipients=row.recipients,
            campaigns=row.campaigns,
        )
        for row in rows
    ]


def given_up() -> ColumnElement[bool]:
    """Build the condition "dead or expired, and nobody has put it away"."""
    return and_(MessageRow.state.in_([state.value for state in GIVEN_UP]), MessageRow.discarded_at.is_(None))


def guarded() -> ColumnElement[bool]:
    """Build the condition "a gift that may have been carried out"."""
    return exists().where(GiftGuardRow.message_id == MessageRow.id)


def called_off() -> ColumnElement[bool]:
    """Build the condition "its campaign was cancelled"."""
    return exists().where(CampaignRow.id == MessageRow.campaign_id, CampaignRow.state == "cancelled")


def counted(connection: Connection, where: Sequence[ColumnElement[bool]]) -> int:
    """Count matches, up to one more than ``CAPPED_AT``."""
    some = select(literal(1)).select_from(MessageRow).where(*where).limit(CAPPED_AT + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def standing_counts(connection: Connection, *, cap: int) -> dict[tuple[Channel, Priority, State], int]:
    """Count by channel, priority and state what is not settled well, each up to a cap; 0 is left out."""
    found = {}
    for channel in Channel:
        for priority in Priority:
            for state in (State.QUEUED, State.SENDING, State.IN_DOUBT, State.DEAD, State.EXPIRED):
                where = [
                    MessageRow.state == state.value,
                    MessageRow.channel == channel.value,
                    MessageRow.priority == priority.value,
                ]
                if state not in (State.QUEUED, State.SENDING):
                    where.append(MessageRow.discarded_at.is_(None))  # as the index has it
                some = select(literal(1)).select_from(MessageRow).where(*where).limit(cap).subquery()
                count = connection.execute(select(func.count()).select_from(some)).scalar_one()
                if count:
                    found[channel, priority, state] = count
    return found


def foresee(connection: Connection, where: Sequence[ColumnElement[bool]], *, replay: bool) -> Forecast:
    """Say what a bulk operation on messages would come to."""
    never = or_(guarded(), called_off()) if replay else guarded()
    kind = safety().label("safety")
    currency = MessageRow.gift["currency"].as_string().label("currency")
    amount = MessageRow.gift["amount"].as_string().label("amount")
    by = (MessageRow.channel, kind, currency, amount)
    rows = connection.execute(
        select(*by, func.count().label("count")).where(*where, given_up(), ~never).group_by(*by)
    ).all()
    counts: Counter[tuple[str, str]] = Counter()
    money: dict[tuple[str, str], dict[str, Decimal]] = {}
    for row in rows:
        key, count = (row.channel, row.safety), row._mapping["count"]
        counts[key] += count
        if row.amount is not None:
            sums = money.setdefault(key, {})
            sums[row.currency] = sums.get(row.currency, Decimal(0)) + Decimal(row.amount) * count
    found = [
        Sum(channel=Channel(channel), safety=Safety(safe), count=count, money=money.get((channel, safe), {}))
        for (channel, safe), count in sorted(counts.items())
    ]
    return Forecast(sums=tuple(found), left_out=_left_out(connection, where, replay=replay))


def _left_out(connection: Connection, where: Sequence[ColumnElement[bool]], *, replay: bool) -> dict[str, int]:
    reasons = {
        "in doubt: a person resolves each of them": MessageRow.state == State.IN_DOUBT.value,
        "put away before": and_(
            MessageRow.state.in_([state.value for state in GIVEN_UP]), MessageRow.discarded_at.is_not(None)
        ),
        "a gift that may have been carried out": and_(given_up(), guarded()),
    }
    if replay:
        reasons["of a cancelled campaign"] = and_(given_up(), called_off())
    found = {}
    for reason, condition in reasons.items():
        count = counted(connection, [*where, condition])
        if count:
            found[reason] = count
    return found
