"""The use cases of operators: search, preview, replay, discard, resolve, cancel, pause and resume.

The command line and the pages parse what a person asks for, call this service and render what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from dispatcher.admin.actor import Actor, Role
from dispatcher.admin.editing import MessageEdit, apply_edit, check_moment
from dispatcher.domain.errors import BrokerUnavailable, InvalidMessage, PrivateSearch
from dispatcher.domain.message import DEFAULT_LIFE, Channel, Intake
from dispatcher.domain.operation import Deed, Pace
from dispatcher.domain.query import Query, parse_query
from dispatcher.domain.state import State
from dispatcher.domain.words import at as written
from dispatcher.ledger import AuditEntry, Books, By, Forecast, Group, InspectionBooks, Message, Operation, Resolution
from dispatcher.ports import Bell, Clock, Limiter

GIVEN_UP = "state:dead,expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a bulk operation would do."""

    kind: Deed
    query: Query
    ids: tuple[UUID, ...]
    forecast: Forecast
    takes: timedelta | None
    """The estimated time to send them at the channels' present rates; None if Redis is unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Messages of which it is unknown whether the provider accepted them."""

    rows: tuple[Message, ...]
    """Gifts first, oldest first."""
    counts: dict[Channel, int]
    """Counted up to 10,000; 10,001 means more."""
    money: dict[str, Decimal]
    """The value of the gifts, by currency."""

    @property
    def total(self) -> int:
        """The number of messages."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationProgress:
    """A bulk operation and the present states of the messages that it changed."""

    operation: Operation
    outcomes: dict[State, int]

    @property
    def failed_again(self) -> int:
        """The number of messages that it queued and that failed again."""
        return sum(self.outcomes.get(state, 0) for state in (State.DEAD, State.EXPIRED, State.IN_DOUBT))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPaused:
    """A channel's pause."""

    channel: Channel
    since: datetime
    until: datetime | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelResumed:
    """What resuming a channel changed."""

    channel: Channel
    was_paused: bool
    limits_problem: str | None
    """Why its limits and its breaker were not cleared; None if they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorService:
    """Use cases of one actor. Every method raises LedgerUnavailable when the ledger cannot be reached."""

    books: InspectionBooks
    limiter: Limiter
    bell: Bell
    clock: Clock
    actor: Actor
    intake: Intake
    messages: Books
    request_token: Callable[[], None]
    """Asks for a token now, although the API refused the last one; does nothing where no API is configured.

    :raises BrokerUnavailable: Redis cannot be reached.
    """
    sees_numbers: bool = True
    """Whether queries may contain phone numbers, which lists mask: by prefixes, a query finds one digit by digit."""

    def read(self, text: str) -> Query:
        """Read a query.

        :raises QueryError: with the problem and its position.
        :raises PrivateSearch: it contains a phone number, which this actor may not search for here.
        """
        query = parse_query(text, now=self.clock.now())
        if not self.sees_numbers and query.private is not None:
            raise PrivateSearch(
                f"{query.private.field} asks for numbers, which are masked here", query.private.position
            )
        return query

    def search(self, text: str, *, limit: int = 50, before: UUID | None = None) -> list[Message]:
        """Return messages that match, newest first; without discarded ones if the query names a state."""
        return self.books.search(self.read(text), limit=limit, before=before)

    def in_doubt(self, text: str = "", *, limit: int = 200) -> InDoubt:
        """Return matching messages in doubt: gifts first, oldest first."""
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

        :param among: the ids of all that match, if the caller knows them.
        """
        return self.books.groups(self.read(text), limit=limit, among=among)

    def replay(
        self,
        message: UUID,
        *,
        reason: str | None,
        at: datetime | None = None,
        changes: MessageEdit | None = None,
        notify: bool = True,
    ) -> Message:
        """Queue one dead, expired or cancelled message again; return it.

        :param at: not before this moment; None: now.
        :param changes: what to edit before.
        :param notify: wake the workers; a caller that replays many does it once.
        :raises MessageNotFound: there is no such message.
        :raises TransitionRefused: the message cannot be sent again.
        :raises InvalidMessage: the moment or one of the changes is invalid.
        :raises NotPermitted: it is a gift, and the actor's role is not payments.
        """
        now = self.clock.now()
        check_moment(at, now=now)
        was = self._of_permitted(message)
        content = None
        # A redacted message has no content to edit; the ledger refuses it with the reason.
        if changes is not None and changes.any and was.redacted_at is None:
            content = apply_edit(was, changes, now=now, intake=self.intake)
        budget = self.intake.max_attempts
        self.messages.replay(message, self._by(reason), budget=budget, life=DEFAULT_LIFE, at=at, content=content)
        if notify:
            self.bell.ring()
        return self.messages.message(message)

    def cancel(self, message: UUID, *, reason: str | None) -> Message:
        """Cancel a queued message; return it.

        :raises MessageNotFound: there is no such message.
        :raises TransitionRefused: it is no longer queued.
        """
        self.messages.cancel(message, self._by(reason))
        return self.messages.message(message)

    def resolve(
        self, message: UUID, resolution: Resolution, *, reason: str | None, provider_id: str | None = None
    ) -> Message:
        """Record what a person found out about a message in doubt; return the message.

        :param provider_id: the provider's id of a message that was sent.
        :raises MessageNotFound: there is no such message.
        :raises TransitionRefused: it is not in doubt.
        :raises NotPermitted: it is a gift, and the actor's role is not payments.
        """
        self._of_permitted(message)
        self.messages.resolve(
            message,
            resolution,
            self._by(reason),
            provider_id=provider_id,
            budget=self.intake.max_attempts,
            life=DEFAULT_LIFE,
        )
        if resolution is Resolution.NOT_SENT:
            self.bell.ring()
        return self.messages.message(message)

    def pause_channel(self, channel: Channel, *, reason: str, until: datetime | None = None) -> ChannelPaused:
        """Stop claims of a channel everywhere. Its messages stay queued; calls in flight complete.

        :param until: when it resumes by itself; None: not before ``resume_channel``.
        :raises InvalidMessage: ``until`` is past.
        """
        by = self._by(reason)
        if until is not None and until <= by.now:
            raise InvalidMessage("until", f"{written(until)} is past; give a moment to come")
        self.messages.pause(channel, by, until=until)
        return ChannelPaused(channel=channel, since=by.now, until=until, by=by.actor, reason=reason)

    def resume_channel(self, channel: Channel, *, reason: str | None) -> ChannelResumed:
        """Resume a channel: end its pause, clear its limits and its breaker, and ask for a token again.

        The pause ends although Redis is unavailable; the result then says that the limits remain.
        """
        was_paused = self.messages.resume(channel, self._by(reason))
        problem = None
        try:
            self.limiter.clear(channel)
            self.request_token()
        except BrokerUnavailable as unavailable:
            problem = str(unavailable)
        self.bell.ring()
        return ChannelResumed(channel=channel, was_paused=was_paused, limits_problem=problem)

    def plan(self, kind: Deed, text: str, ids: Sequence[UUID] = ()) -> Plan:
        """Return what a bulk operation on the matching messages would do, and which it would leave out and why."""
        query = self.read(text)
        forecast = self.books.foresee(kind, query, ids)
        takes = self._takes(forecast) if kind is Deed.REPLAY else None
        return Plan(kind=kind, query=query, ids=tuple(ids), forecast=forecast, takes=takes)

    def begin(self, plan: Plan, *, reason: str | None, pace: Pace | None = None) -> Operation:
        """Start the planned operation. The clock continues it if the caller stops.

        :raises NotPermitted: it would send gifts, and the actor's role is not payments.
        """
        if plan.kind is Deed.REPLAY and plan.forecast.money:
            self.actor.require(Role.PAYMENTS)
        return self.books.begin(
            plan.kind,
            plan.query,
            self._by(reason),
            ids=plan.ids,
            pace=pace or Pace(),
            budget=self.intake.max_attempts,
            life=DEFAULT_LIFE,
        )

    def drive(self, operation: UUID) -> int:
        """Execute the operation's next step now and wake the workers; return the number of changed messages."""
        changed = self.books.step(operation, now=self.clock.now())
        if changed:
            self.bell.ring()
        return changed

    def progress(self, operation: UUID) -> OperationProgress:
        """Return how far an operation is.

        :raises OperationNotFound: there is no such operation.
        """
        return OperationProgress(operation=self.books.operation(operation), outcomes=self.books.outcomes(operation))

    def operations(self, *, limit: int = 50) -> list[Operation]:
        """Return bulk operations, newest first."""
        return self.books.operations(limit=limit)

    def pause_operation(self, operation: UUID, *, reason: str | None) -> OperationProgress:
        """Stop an operation before its next step.

        :raises OperationNotFound: there is no such operation.
        :raises OperationRefused: it is not running.
        """
        self.books.pause_operation(operation, self._by(reason))
        return self.progress(operation)

    def resume_operation(self, operation: UUID, *, reason: str | None) -> OperationProgress:
        """Continue a paused operation; raises as ``pause_operation`` does."""
        self.books.resume_operation(operation, self._by(reason))
        return self.progress(operation)

    def abort_operation(self, operation: UUID, *, reason: str | None) -> OperationProgress:
        """End an operation; what it has changed stays changed. Raises as ``pause_operation`` does."""
        self.books.abort_operation(operation, self._by(reason))
        return self.progress(operation)

    def audit(self, *, about: str | None = None, limit: int = 50, before: UUID | None = None) -> list[AuditEntry]:
        """Return entries of the audit trail, newest first.

        :param about: only those about this subject: a message's id, ``channel:gift``, ``campaign:ID``.
        :param before: the page after this entry.
        """
        return self.books.audit(subject=about, limit=limit, before=before)

    def record(self, action: str, subject: str) -> None:
        """Append to the audit trail that the actor saw what lists mask."""
        self.books.note(self._by(None), action, subject[:200])

    def _by(self, reason: str | None) -> By:
        return By(actor=self.actor.name, reason=reason, now=self.clock.now())

    def _of_permitted(self, message: UUID) -> Message:
        found = self.messages.message(message)
        self.actor.require_for(found.channel)
        return found

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
