"""What went wrong, counted: failures in groups, and what a bulk operation would come to before it is begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, select

from dispatcher.domain.fields import Safety
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.query import Query
from dispatcher.domain.state import State
from dispatcher.ledger.enqueue import read_amount
from dispatcher.ledger.reopening import cancelled
from dispatcher.ledger.search import conditions, safety
from dispatcher.ledger.tables import GIFT_GUARDS, MESSAGES

GIVEN_UP = (State.DEAD, State.EXPIRED)
CAPPED_AT = 10_000
PSEUDONYM = "r"
"""What stands for a recipient who was redacted begins with it; numbers begin with a plus."""


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


def groups(connection: Connection, query: Query, *, limit: int, among: Sequence[UUID] | None = None) -> list[Group]:
    """Return dead and expired messages in groups, the largest first.

    :param among: all that match, if they are known already.
    """
    chosen = [MESSAGES.c.id.in_(among), given_up()] if among is not None else _all_of(query, connection.dialect.name)
    by = (MESSAGES.c.channel, MESSAGES.c.last_outcome, MESSAGES.c.last_status, MESSAGES.c.failure)
    rows = connection.execute(
        select(
            *by,
            func.count().label("count"),
            func.min(MESSAGES.c.updated_at, type_=MESSAGES.c.updated_at.type).label("first_at"),
            func.max(MESSAGES.c.updated_at, type_=MESSAGES.c.updated_at.type).label("last_at"),
            func.count(MESSAGES.c.recipient.distinct()).label("recipients"),
            func.count(MESSAGES.c.campaign_id.distinct()).label("campaigns"),
        )
        .where(*chosen)
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
    return and_(MESSAGES.c.state.in_([state.value for state in GIVEN_UP]), MESSAGES.c.discarded_at.is_(None))


def given_up_of(query: Query, dialect: str) -> list[ColumnElement[bool]]:
    """Return what must hold of the dead and expired messages that match and that nobody has put away."""
    return [*conditions(query, dialect, within=GIVEN_UP), MESSAGES.c.discarded_at.is_(None)]


def _all_of(query: Query, dialect: str) -> list[ColumnElement[bool]]:
    return [*conditions(query, dialect, within=GIVEN_UP, words_first=True), MESSAGES.c.discarded_at.is_(None)]


def guarded() -> ColumnElement[bool]:
    """Build the condition "a gift that may have been carried out"."""
    return exists().where(GIFT_GUARDS.c.message_id == MESSAGES.c.id)


def redacted() -> ColumnElement[bool]:
    """Build the condition "it has no content any more", told by its recipient, which the failures' index has."""
    return func.substr(MESSAGES.c.recipient, 1, 1) == PSEUDONYM


def counted(connection: Connection, where: Sequence[ColumnElement[bool]], *, cap: int = CAPPED_AT) -> int:
    """Count matches, up to one more than the cap."""
    some = select(literal(1)).select_from(MESSAGES).where(*where).limit(cap + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def standing_counts(connection: Connection, *, cap: int) -> dict[tuple[Channel, Priority, State], int]:
    """Count by channel, priority and state what is not settled well, each up to a cap; 0 is left out."""
    found = {}
    for channel in Channel:
        for priority in Priority:
            for state in (State.QUEUED, State.SENDING, State.IN_DOUBT, State.DEAD, State.EXPIRED):
                where = [
                    MESSAGES.c.state == state.value,
                    MESSAGES.c.channel == channel.value,
                    MESSAGES.c.priority == priority.value,
                ]
                if state not in (State.QUEUED, State.SENDING):
                    where.append(MESSAGES.c.discarded_at.is_(None))  # as the index has it
                some = select(literal(1)).select_from(MESSAGES).where(*where).limit(cap).subquery()
                count = connection.execute(select(func.count()).select_from(some)).scalar_one()
                if count:
                    found[channel, priority, state] = count
    return found


def foresee(connection: Connection, query: Query, ids: Sequence[UUID], *, replay: bool) -> Forecast:
    """Say what a bulk operation on messages would come to.

    :param ids: those that were selected; empty: all that match.
    """
    named = [MESSAGES.c.id.in_(ids)] if ids else []
    kind, may_be_out, off = safety().label("safety"), guarded().label("guarded"), cancelled().label("called_off")
    by = (MESSAGES.c.channel, kind, may_be_out, off, redacted().label("redacted"))
    # Two passes: that for SMS reads the failures' index alone, that for gifts reads what each is worth as well.
    currency = MESSAGES.c.gift["currency"].as_string()
    amount = MESSAGES.c.gift["amount"].as_string()
    passes = (
        select(*by, func.count().label("count")).where(MESSAGES.c.channel == Channel.SMS.value).group_by(*by),
        select(*by, currency.label("currency"), amount.label("amount"), func.count().label("count"))
        .where(MESSAGES.c.channel == Channel.GIFT.value)
        .group_by(*by, currency, amount),
    )
    counts: Counter[tuple[str, str]] = Counter()
    money: dict[tuple[str, str], dict[str, Decimal]] = {}
    left_out: Counter[str] = Counter()
    for each in passes:
        for row in connection.execute(each.where(*named, *_all_of(query, connection.dialect.name))):
            count = row._mapping["count"]
            if row.guarded:
                left_out["a gift that may have been carried out"] += count
            elif row.called_off and replay:
                left_out["of a cancelled campaign"] += count
            elif row.redacted and replay:
                left_out["redacted: they have no number and no words any more"] += count
            else:
                key = (row.channel, row.safety)
                counts[key] += count
                if row.channel == Channel.GIFT.value:
                    sums = money.setdefault(key, {})
                    sums[row.currency or ""] = (
                        sums.get(row.currency or "", Decimal(0)) + read_amount(row.amount) * count
                    )
    found = [
        Sum(channel=Channel(channel), safety=Safety(safe), count=count, money=money.get((channel, safe), {}))
        for (channel, safe), count in sorted(counts.items())
    ]
    return Forecast(sums=tuple(found), left_out=_untouched(connection, query, named) | dict(left_out))


def _untouched(connection: Connection, query: Query, named: Sequence[ColumnElement[bool]]) -> dict[str, int]:
    """Count what matches and is not among the given-up: each reason from its own small index."""
    dialect = connection.dialect.name
    put_away = [*conditions(query, dialect, within=GIVEN_UP), MESSAGES.c.discarded_at.is_not(None)]
    reasons = {
        "in doubt: a person resolves each of them": conditions(query, dialect, within=[State.IN_DOUBT]),
        "put away before": put_away,
    }
    found = {reason: counted(connection, [*where, *named]) for reason, where in reasons.items()}
    return {reason: count for reason, count in found.items() if count}
