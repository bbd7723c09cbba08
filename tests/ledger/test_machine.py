"""The state machine as a whole: random walks of claims, answers, sweeps and people, on both databases.

Whatever the order, every change of state is a move that the machine has, a gift's guard stands while it may have been
carried out, and no gift is sent again before somebody or something proved that it was not.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, delete, select

from dispatcher.domain.attempt import Claimed
from dispatcher.domain.errors import TransitionRefused
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.ledger import Books, By, Resolution, SqlLedger
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import AttemptRow, AuditRow, GiftGuardRow, MessageRow
from dispatcher.testing import FakeClock
from tests.making import gift, outcome, settled, sms, wish

DEFINITE = {
    OutcomeKind.NOT_SENT,
    OutcomeKind.THROTTLED,
    OutcomeKind.UNAUTHORIZED,
    OutcomeKind.MISCONFIGURED,
    OutcomeKind.REJECTED,
}
GUARDED = {State.SENDING, State.IN_DOUBT, State.ACCEPTED}


class Walk(RuleBasedStateMachine):
    """Two workers, a clock and an operator, in any order."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        with transaction(self.engine) as connection:
            for table in (AttemptRow, GiftGuardRow, AuditRow, MessageRow):
                connection.execute(delete(table))
        self.books, self.ledger, self.clock = Books(engine=self.engine), SqlLedger.on(self.engine), FakeClock()
        self.held: list[Claimed] = []
        self.states: dict[UUID, State] = {}
        self.maybe_carried_out: Counter[UUID] = Counter()

    def by(self) -> By:
        return By(actor="olga", reason="test", now=self.clock.now())

    @rule(count=st.integers(1, 3))
    def enqueue(self, count: int) -> None:
        for message in [sms(self.clock.now()) for _ in range(count)] + [gift(self.clock.now()) for _ in range(count)]:
            self.books.enqueue([message], source="test")
            self.states[message.id] = State.QUEUED

    @rule(channel=st.sampled_from(Channel), count=st.integers(1, 3))
    def claim(self, channel: Channel, count: int) -> None:
        for message in self.ledger.claim(wish(self.clock.now(), channel, count)).messages:
            assert self.maybe_carried_out[message.id] == 0 or channel is Channel.SMS, "a second live send of a gift"
            self.maybe_carried_out[message.id] += 1
            self.held.append(message)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), kind=st.sampled_from(OutcomeKind))
    def answer(self, data: st.DataObject, kind: OutcomeKind) -> None:
        message = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        taken = self.ledger.settle([settled(message, outcome(kind, http_status=500), self.clock.now())])
        if kind in DEFINITE and message.id in taken:
            self.maybe_carried_out[message.id] = 0

    @rule()
    def sweep(self) -> None:
        lost = self.ledger.lost_leases(now=self.clock.now(), limit=100)
        doubt = outcome(OutcomeKind.IN_DOUBT, error="lease_lost")
        self.ledger.settle([settled(message, doubt, self.clock.now()) for message in lost])

    @rule(minutes=st.sampled_from([1, 10, 60 * 30]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(timedelta(minutes=minutes))

    @rule()
    def expire(self) -> None:
        self.ledger.expire(now=self.clock.now(), limit=100)

    @precondition(lambda self: self.states)
    @rule(data=st.data(), answer=st.sampled_from(Resolution))
    def a_person_acts(self, data: st.DataObject, answer: Resolution) -> None:
        message = data.draw(st.sampled_from(sorted(self.states)))
        with suppress(TransitionRefused):
            self.books.cancel(message, self.by())
        with suppress(TransitionRefused):
            self.books.replay(message, self.by(), budget=2, life=timedelta(hours=1))
        with suppress(TransitionRefused):
            self.books.resolve(message, answer, self.by(), budget=2, life=timedelta(hours=1))
            if answer is Resolution.NOT_SENT:
                self.maybe_carried_out[message] = 0

    @invariant()
    def every_change_is_a_move_of_the_machine(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(select(MessageRow.id, MessageRow.state, MessageRow.channel)).all()
            guards = set(connection.execute(select(GiftGuardRow.message_id)).scalars())
        for id_, text, channel in rows:
            state, before = State(text), self.states[id_]
            if state is not before:
                assert reachable(before, state), f"{before} -> {state}"
                self.states[id_] = state
            if channel == "gift" and state in GUARDED:
                assert id_ in guards, "a gift that may have been carried out has lost its guard"
            if channel == "gift" and state in (State.QUEUED, State.EXPIRED, State.CANCELLED):
                assert id_ not in guards


def reachable(before: State, after: State, steps: int = 3) -> bool:
    """Say whether the machine leads there; one rule may make several moves (cancelled, then replayed)."""
    return before.may_become(after) or (
        steps > 1 and any(before.may_become(via) and reachable(via, after, steps - 1) for via in State)
    )


def test_random_walks_never_leave_the_machine(engine: Engine) -> None:
    walk = type("WalkHere", (Walk,), {"engine": engine})
    run_state_machine_as_test(
        walk,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
