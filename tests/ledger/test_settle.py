"""Settling is a compare-and-set on the lease: nothing is recorded twice, no late worker overwrites a newer outcome."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update

from dispatcher.domain.attempt import Claimed
from dispatcher.domain.errors import TransitionRefused
from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.state import State
from dispatcher.ledger import Books, By, Resolution, SqlLedger
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import GIFT_GUARDS, MESSAGES
from dispatcher.testing import ACCEPTED, FakeClock
from tests.making import gift, outcome, settled, sms, wish

HOUR = timedelta(hours=1)
IN_DOUBT = outcome(OutcomeKind.IN_DOUBT, error="read_timeout")


def guarded(engine: Engine) -> set[object]:
    with engine.connect() as connection:
        return set(connection.execute(select(GIFT_GUARDS.c.message_id)).scalars())


def claim(books: Books, ledger: SqlLedger, clock: FakeClock, message: NewMessage) -> Claimed:
    books.enqueue([message], source="test")
    return ledger.claim(wish(clock.now(), message.channel)).messages[0]


def test_an_accepted_message_keeps_its_evidence(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    held = claim(books, ledger, clock, sms(clock.now()))
    assert ledger.settle([settled(held, ACCEPTED, clock.now())]) == {held.id}
    message, attempts, _ = books.story(held.id)
    assert (message.state, message.provider_id, message.attempts_made) == (State.ACCEPTED, "provider-1", 1)
    assert [(a.number, a.outcome, a.http_status, a.latency_ms) for a in attempts] == [
        (1, OutcomeKind.ACCEPTED, 200, 40)
    ]
    assert message.accepted_at == clock.now() + timedelta(milliseconds=40)


def test_a_batch_settles_at_once_each_message_by_its_own_outcome(
    books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    books.enqueue([sms(clock.now(), f"text {n}") for n in range(3)], source="test")
    one, two, three = ledger.claim(wish(clock.now())).messages
    ledger.settle(
        [
            settled(one, ACCEPTED, clock.now()),
            settled(two, outcome(OutcomeKind.REJECTED, http_status=400, error="invalid_request"), clock.now()),
            settled(three, outcome(OutcomeKind.FAILED, http_status=503), clock.now()),
        ]
    )
    states = [books.message(each.id).state for each in (one, two, three)]
    assert states == [State.ACCEPTED, State.DEAD, State.QUEUED]
    assert books.message(three.id).due_at > clock.now()


def test_the_longest_error_in_the_widest_characters_can_be_recorded_and_is_found(
    books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    """The index that searches for words has them all, and PostgreSQL refuses entries of more than 2,704 bytes."""
    held = claim(books, ledger, clock, sms(clock.now()))
    dice = random.Random(1)
    words = "".join(chr(dice.randint(0x20000, 0x2A6DF)) for _ in range(500))  # four bytes each, and nothing repeats
    refused = outcome(OutcomeKind.REJECTED, http_status=400, error="x" * 100, error_description=words)
    ledger.settle([settled(held, refused, clock.now())])
    message, attempts, _ = books.story(held.id)
    assert (message.state, attempts[0].error_description) == (State.DEAD, words)
    assert message.last_error == f"400 {'x' * 100} {words}"[:500]


def test_settling_the_same_answer_again_changes_nothing(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    held = claim(books, ledger, clock, sms(clock.now()))
    answer = settled(held, outcome(OutcomeKind.FAILED, http_status=500), clock.now())
    ledger.settle([answer])
    before = books.story(held.id)
    assert ledger.settle([answer]) == frozenset()
    assert books.story(held.id) == before


def test_invariant_4_a_late_worker_cannot_overwrite_a_newer_outcome(
    books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    late = claim(books, ledger, clock, sms(clock.now()))
    clock.advance(HOUR)
    lost = ledger.lost_leases(now=clock.now(), limit=10)
    ledger.settle([settled(lost[0], IN_DOUBT, clock.now(), roll=0.0)])
    newer = ledger.claim(wish(clock.now())).messages[0]
    ledger.settle([settled(newer, ACCEPTED, clock.now())])
    refused = outcome(OutcomeKind.REJECTED, http_status=400)
    assert ledger.settle([settled(late, refused, clock.now())]) == frozenset()
    message, attempts, _ = books.story(late.id)
    assert message.state is State.ACCEPTED
    assert [a.outcome for a in attempts] == [OutcomeKind.IN_DOUBT, OutcomeKind.ACCEPTED, OutcomeKind.REJECTED]
    assert "kept as evidence" in (attempts[-1].why_next or "")


def test_a_late_answer_resolves_the_doubt_that_its_own_lease_left(
    books: Books, ledger: SqlLedger, engine: Engine, clock: FakeClock
) -> None:
    late = claim(books, ledger, clock, gift(clock.now()))
    clock.advance(HOUR)
    lost = ledger.lost_leases(now=clock.now(), limit=10)
    ledger.settle([settled(lost[0], IN_DOUBT, clock.now())])
    assert books.message(late.id).state is State.IN_DOUBT
    assert ledger.settle([settled(late, ACCEPTED, clock.now())]) == {late.id}
    assert books.message(late.id).state is State.ACCEPTED
    assert guarded(engine) == {late.id}


@pytest.mark.parametrize(
    ("what", "state", "stays_guarded"),
    [
        (ACCEPTED, State.ACCEPTED, True),
        (IN_DOUBT, State.IN_DOUBT, True),
        (outcome(OutcomeKind.FAILED, http_status=502), State.IN_DOUBT, True),
        (outcome(OutcomeKind.CONFLICT, http_status=409), State.IN_DOUBT, True),
        (outcome(OutcomeKind.NOT_SENT, error="refused"), State.QUEUED, False),
        (outcome(OutcomeKind.THROTTLED, http_status=429), State.QUEUED, False),
        (outcome(OutcomeKind.UNAUTHORIZED, http_status=401), State.QUEUED, False),
        (outcome(OutcomeKind.MISCONFIGURED, http_status=403), State.QUEUED, False),
        (outcome(OutcomeKind.REJECTED, http_status=400), State.DEAD, False),
    ],
)
def test_a_gifts_guard_falls_only_with_proof_that_it_was_not_carried_out(
    books: Books,
    ledger: SqlLedger,
    engine: Engine,
    clock: FakeClock,
    what: object,
    state: State,
    stays_guarded: bool,
) -> None:
    held = claim(books, ledger, clock, gift(clock.now()))
    ledger.settle([settled(held, what, clock.now())])  # type: ignore[arg-type]
    assert books.message(held.id).state is state
    assert guarded(engine) == ({held.id} if stays_guarded else set())


def test_invariant_6_waiting_spends_no_attempt(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now())], source="test")
    for kind in (OutcomeKind.NOT_SENT, OutcomeKind.THROTTLED, OutcomeKind.UNAUTHORIZED, OutcomeKind.MISCONFIGURED) * 5:
        held = ledger.claim(wish(clock.now())).messages[0]
        ledger.settle([settled(held, outcome(kind), clock.now())])
        clock.advance(HOUR / 4)
    message, attempts, _ = books.story(held.id)
    assert (message.state, message.attempts_made, len(attempts)) == (State.QUEUED, 0, 20)


def test_a_person_resolves_what_is_in_doubt(books: Books, ledger: SqlLedger, engine: Engine, clock: FakeClock) -> None:
    by = By(actor="olga", reason="the provider's list has it not", now=clock.now())
    held = [claim(books, ledger, clock, gift(clock.now())) for _ in range(3)]
    ledger.settle([settled(each, IN_DOUBT, clock.now()) for each in held])
    sent, again, given_up = (each.id for each in held)
    books.resolve(sent, Resolution.SENT, by, provider_id="p-9", budget=5, life=HOUR)
    books.resolve(again, Resolution.NOT_SENT, by, budget=5, life=HOUR)
    books.resolve(given_up, Resolution.GIVE_UP, by, budget=5, life=HOUR)
    assert [books.message(each).state for each in (sent, again, given_up)] == [
        State.ACCEPTED,
        State.QUEUED,
        State.DEAD,
    ]
    assert guarded(engine) == {sent, given_up}, "what was given up may have been carried out"
    assert ledger.claim(wish(clock.now(), Channel.GIFT)).messages[0].id == again
    _, _, audit = books.story(sent)
    assert [(entry.actor, entry.action, entry.reason) for entry in audit] == [
        ("olga", "resolve sent", "the provider's list has it not")
    ]


def test_a_replay_brings_a_fresh_budget_and_keeps_what_was(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    held = claim(books, ledger, clock, sms(clock.now()))
    ledger.settle([settled(held, outcome(OutcomeKind.REJECTED, http_status=400), clock.now())])
    by = By(actor="olga", reason="fixed", now=clock.now())
    books.replay(held.id, by, budget=5, life=HOUR)
    with pytest.raises(TransitionRefused, match="queued"):
        books.replay(held.id, by, budget=5, life=HOUR)
    again = ledger.claim(wish(clock.now())).messages[0]
    assert (again.attempts_made, again.max_attempts, again.trigger.value) == (1, 6, "replay")
    ledger.settle([settled(again, ACCEPTED, clock.now())])
    _, attempts, _ = books.story(held.id)
    assert [(a.number, a.trigger.value) for a in attempts] == [(1, "auto"), (2, "replay")]


def test_a_gift_that_may_have_been_sent_is_never_replayed(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    held = claim(books, ledger, clock, gift(clock.now()))
    ledger.settle([settled(held, IN_DOUBT, clock.now())])
    by = By(actor="olga", reason="no idea", now=clock.now())
    with pytest.raises(TransitionRefused, match="in_doubt"):
        books.replay(held.id, by, budget=5, life=HOUR)
    books.resolve(held.id, Resolution.GIVE_UP, by, budget=5, life=HOUR)
    with pytest.raises(TransitionRefused, match="may have been carried out"):
        books.replay(held.id, by, budget=5, life=HOUR)


def test_invariant_4_a_late_worker_cannot_settle_what_a_newer_one_holds(
    books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    late = claim(books, ledger, clock, sms(clock.now()))
    clock.advance(HOUR)
    lost = ledger.lost_leases(now=clock.now(), limit=10)
    ledger.settle([settled(lost[0], IN_DOUBT, clock.now(), roll=0.0)])
    newer = ledger.claim(wish(clock.now())).messages[0]
    assert ledger.settle([settled(late, outcome(OutcomeKind.REJECTED, http_status=400), clock.now())]) == frozenset()
    assert books.message(late.id).state is State.SENDING
    assert ledger.settle([settled(newer, ACCEPTED, clock.now())]) == {late.id}


def test_a_late_answer_that_tells_nothing_new_spends_nothing_more(
    books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    late = claim(books, ledger, clock, gift(clock.now()))
    clock.advance(HOUR)
    lost = ledger.lost_leases(now=clock.now(), limit=10)
    ledger.settle([settled(lost[0], IN_DOUBT, clock.now())])
    assert ledger.settle([settled(late, IN_DOUBT, clock.now())]) == frozenset()
    message, attempts, _ = books.story(late.id)
    assert (message.state, message.attempts_made, len(attempts)) == (State.IN_DOUBT, 1, 2)


@pytest.mark.parametrize(
    ("answer", "spent"),
    [
        (ACCEPTED, 1),
        (outcome(OutcomeKind.REJECTED, http_status=400), 1),
        (outcome(OutcomeKind.THROTTLED, http_status=429), 0),
        (outcome(OutcomeKind.NOT_SENT), 0),
    ],
)
@pytest.mark.parametrize("make", [sms, gift])
def test_a_late_answer_decides_whether_the_doubtful_call_spent_an_attempt(
    books: Books,
    ledger: SqlLedger,
    clock: FakeClock,
    make: Callable[[datetime], NewMessage],
    answer: Outcome,
    spent: int,
) -> None:
    """One call is one attempt: what is swept and then answered is not counted twice, and waiting never counts."""
    late = claim(books, ledger, clock, replace(make(clock.now()), max_attempts=1))
    clock.advance(HOUR)
    lost = ledger.lost_leases(now=clock.now(), limit=10)
    ledger.settle([settled(lost[0], IN_DOUBT, clock.now())])
    assert (books.message(late.id).state, books.message(late.id).attempts_made) == (State.IN_DOUBT, 1)
    assert ledger.settle([settled(late, answer, clock.now())]) == {late.id}
    message = books.message(late.id)
    assert (message.attempts_made, message.calls_made) == (spent, 2)


@pytest.mark.parametrize("receipt", [State.DELIVERED, State.UNDELIVERED])
def test_invariant_9_outcomes_do_not_move_backwards(
    books: Books, ledger: SqlLedger, engine: Engine, clock: FakeClock, receipt: State
) -> None:
    held = claim(books, ledger, clock, sms(clock.now()))
    answer = settled(held, ACCEPTED, clock.now())
    ledger.settle([answer])
    with transaction(engine) as connection:
        connection.execute(update(MESSAGES).where(MESSAGES.c.id == held.id).values(state=receipt.value))
    late = [settled(held, what, clock.now()) for what in (ACCEPTED, IN_DOUBT, outcome(OutcomeKind.FAILED))]
    assert ledger.settle([answer, *late]) == frozenset()
    by = By(actor="olga", reason="mistaken", now=clock.now())
    with pytest.raises(TransitionRefused):
        books.cancel(held.id, by)
    with pytest.raises(TransitionRefused):
        books.replay(held.id, by, budget=5, life=HOUR)
    with pytest.raises(TransitionRefused):
        books.resolve(held.id, Resolution.NOT_SENT, by, budget=5, life=HOUR)
    assert books.message(held.id).state is receipt
