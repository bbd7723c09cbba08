"""The operator's desk: look by one query language, see what a deed would come to, and do it as a durable operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from dispatcher.domain.errors import BrokerUnavailable, PrivateSearch
from dispatcher.domain.message import DEFAULT_LIFE, Channel, Intake
from dispatcher.domain.operation import Deed, Pace
from dispatcher.domain.query import Query, parse_query
from dispatcher.domain.state import State
from dispatcher.inspection.mending import Changes, check_moment, mended
from dispatcher.ledger import Books, By, Forecast, Group, InspectionBooks, Message, Operation
from dispatcher.ports import Bell, Clock, Limiter

GIVEN_UP = "state:dead,expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a bulk operation would come to."""

    kind: Deed
    query: Query
    ids: tuple[UUID, ...]
    forecast: Forecast
    takes: timedelta | None
    """Of sending, at the channels' present rates; None if Redis cannot tell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """What nobody knows about."""

    rows: tuple[Message, ...]
    """Gifts first, oldest first."""
    counts: dict[Channel, int]
    """More than 10,000 are told as 10,001."""
    money: dict[str, Decimal]
    """What the gifts are worth, by currency."""

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A bulk operation and what became of its messages so far."""

    operation: Operation
    outcomes: dict[State, int]

    @property
    def failed_again(self) -> int:
        """Messages that it queued and that failed once more."""
        return sum(self.outcomes.get(state, 0) for state in (State.DEAD, State.EXPIRED, State.IN_DOUBT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What one operator looks at and does. All methods raise LedgerUnavailable when the ledger is away."""

    books: InspectionBooks
    limiter: Limiter
    bell: Bell
    clock: Clock
    actor: str
    intake: Intake
    messages: Books
    sees_numbers: bool = True
    """Whether queries may ask for what lists mask. Else prefixes tell a number, digit by digit."""

    def read(self, text: str) -> Query:
        """Read a query.

        :raises QueryError: what is wrong and where.
        :raises PrivateSearch: it asks for a number, and this operator may not see numbers here.
        """
        query = parse_query(text, now=self.clock.now())
        if not self.sees_numbers and query.private is not None:
            raise PrivateSearch(
                f"{query.private.field} asks for numbers, which are masked here", query.private.position
            )
        return query

    def search(self, text: str, *, limit: int = 50, before: UUID | None = None) -> list[Message]:
        """Return messages that match, newest first; those that somebody put away only if no state is asked for."""
        return self.books.search(self.read(text), limit=limit, before=before)

    def in_doubt(self, text: str = "", *, limit: int = 200) -> InDoubt:
        """Return what nobody knows about and matches: gifts first, oldest first."""
        rows: list[Message] = []
        counts: dict[Channel, int] = {}
        for channel in (Channel.GIFT, Channel.SMS):
            query = self.read(f"{text} state:in_doubt channel:{channel.value}")
            counts[channel] = self.books.count(query)
            if counts[channel] and len(rows) < limit:
                rows += self.books.oldest(query, limit=limit - len(rows))
        money = self.books.worth(self.read(f"{text} state:in_doubt channel:gift"))
        return InDoubt(rows=tuple(rows), counts=counts, money=money)

    def groups(self, text: str = "", *, limit: int = 50, among: Sequence[UUID] | None = None) -> list[Group]:
        """Return dead and expired messages that match in groups, the largest first.

        :param among: all that match, if they are known already.
        """
        return self.books.groups(self.read(text), limit=limit, among=among)

    def replay(
        self, message: UUID, *, reason: str | None, at: datetime | None = None, changes: Changes | None = None
    ) -> None:
        """Queue one dead, expired or cancelled message again, put right before if there is something to put right.

        :param at: not before; now if left out.
        :raises MessageNotFound: there is none.
        :raises TransitionRefused: it cannot be sent again.
        :raises InvalidMessage: the moment or one of the changes is wrong.
        """
        now = self.clock.now()
        check_moment(at, now=now)
        content = None
        if changes is not None and changes.any:
            was = self.messages.message(message)
            if was.redacted_at is None:  # else there is nothing to mend, and the ledger says why
                content = mended(was, changes, now=now, intake=self.intake)
        by = By(actor=self.actor, reason=reason, now=now)
        budget = self.intake.max_attempts
        self.messages.replay(message, by, budget=budget, life=DEFAULT_LIFE, at=at, content=content)
        self.bell.ring()

    def plan(self, kind: Deed, text: str, ids: Sequence[UUID] = ()) -> Plan:
        """Say what an operation on what matches would come to, and whom it would leave out and why."""
        query = self.read(text)
        forecast = self.books.foresee(kind, query, ids)
        takes = self._takes(forecast) if kind is Deed.REPLAY else None
        return Plan(kind=kind, query=query, ids=tuple(ids), forecast=forecast, takes=takes)

    def begin(self, plan: Plan, *, reason: str | None, pace: Pace | None = None) -> Operation:
        """Begin the operation that was planned; the clock carries it out, whoever goes away."""
        by = By(actor=self.actor, reason=reason, now=self.clock.now())
        return self.books.begin(
            plan.kind,
            plan.query,
            by,
            ids=plan.ids,
            pace=pace or Pace(),
            budget=self.intake.max_attempts,
            life=DEFAULT_LIFE,
        )

    def drive(self, operation: UUID) -> int:
        """Carry out the operation's next step here and now, and wake the workers; returns how many were changed."""
        changed = self.books.step(operation, now=self.clock.now())
        if changed:
            self.bell.ring()
        return changed

    def standing(self, operation: UUID) -> Standing:
        """Say where an operation stands; raises OperationNotFound."""
        return Standing(operation=self.books.operation(operation), outcomes=self.books.outcomes(operation))

    def _takes(self, forecast: Forecast) -> timedelta | None:
        slowest = timedelta(0)
        try:
            for channel in Channel:
                count = sum(each.count for each in forecast.sums if each.channel is channel)
                rate = self.limiter.state(channel).effective_rate if count else 1.0
                slowest = max(slowest, timedelta(seconds=count / rate))
        except BrokerUnavailable:
            return None
        return slowest
