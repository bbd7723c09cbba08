"""Bulk operations: each message once, through kills and rivals; pace, canary, pause; what is never touched."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event

from dispatcher.domain.errors import LedgerUnavailable, OperationNotFound, OperationRefused
from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State
from dispatcher.ledger import Books, By, Filter, InspectionBooks, Operation, Resolution, SqlLedger, bulk, operations
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers
from tests.making import gift, outcome, settled, wish


@pytest.fixture
def store(engine: Engine) -> InspectionBooks:
    return InspectionBooks(engine=engine)


def by(clock: FakeClock, reason: str | None = "the outage is over") -> By:
    return By(actor="olga", reason=reason, now=clock.now())


def die(engine: Engine, clock: FakeClock, count: int, name: str = "spring") -> None:
    """Let a campaign's messages die."""
    campaigns = campaigns_on(engine, clock)
    campaigns.start(campaigns.create(numbers(count, first=len(name) * 10_000), name=name, template="Hi").campaign.id)
    fail(engine, clock, count)


def fail(engine: Engine, clock: FakeClock, count: int, *, accepted: int = 0) -> None:
    """Claim messages and let them die, but for some."""
    ledger = SqlLedger.on(engine)
    claimed = ledger.claim(wish(clock.now(), count=count)).messages
    answers = [
        outcome(OutcomeKind.ACCEPTED, http_status=200)
        if place < accepted
        else outcome(OutcomeKind.REJECTED, http_status=400)
        for place in range(len(claimed))
    ]
    ledger.settle([settled(each, answer, clock.now()) for each, answer in zip(claimed, answers, strict=True)])
    clock.advance(timedelta(seconds=1))


def begin(
    store: InspectionBooks,
    clock: FakeClock,
    query: str = "",
    *,
    kind: Deed = Deed.REPLAY,
    ids: Any = (),
    **pace: Any,
) -> Operation:
    return store.begin(
        kind,
        parse_query(query, now=clock.now()),
        by(clock),
        ids=ids,
        pace=Pace(**pace),
        budget=3,
        life=timedelta(hours=1),
    )


def drive(store: InspectionBooks, operation: Operation, clock: FakeClock) -> Operation:
    while store.step(operation.id, now=clock.now()):
        pass
    return store.operation(operation.id)


def counts(books: Books) -> dict[State, int]:
    return {tally.state: tally.count for tally in books.tallies()}


def test_everything_that_matches_is_queued_again_once(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 1200)
    operation = begin(store, clock, "status:400")
    assert operation.total == 1200
    done = drive(store, operation, clock)
    assert (done.state, done.done, done.skipped) == (Stage.DONE, 1200, 0)
    assert counts(books) == {State.QUEUED: 1200}
    message = books.messages(Filter(), limit=1)[0]
    assert (message.max_attempts, message.expires_at) == (4, clock.now() + timedelta(hours=1))
    assert [entry.action for entry in books.story(message.id)[2]] == ["replay"]
    assert campaigns_on(engine, clock).books.find("spring").state == "running"


def test_what_fails_again_is_not_replayed_twice(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 700)
    operation = begin(store, clock)
    assert store.step(operation.id, now=clock.now()) == 500
    fail(engine, clock, 500)
    assert drive(store, operation, clock).done == 700
    assert counts(books) == {State.DEAD: 500, State.QUEUED: 200}


def test_what_died_after_it_was_begun_is_not_meant(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 10)
    operation = begin(store, clock)
    clock.advance(timedelta(seconds=1))
    die(engine, clock, 5, name="autumn leaves")
    assert drive(store, operation, clock).done == 10
    assert counts(books) == {State.DEAD: 5, State.QUEUED: 10}


def test_a_step_that_is_killed_is_made_again_as_if_it_had_never_been(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(engine, clock, 1100)
    operation = begin(store, clock)
    real, calls = operations.audit_each, iter(range(100))

    def sometimes(*args: Any, **details: Any) -> None:
        if next(calls) in (0, 2):
            raise LedgerUnavailable("the connection broke in the middle")
        real(*args, **details)

    monkeypatch.setattr(bulk, "audit_each", sometimes)
    for _ in range(6):
        try:
            store.step(operation.id, now=clock.now())
        except LedgerUnavailable:
            continue
    assert drive(store, operation, clock).done == 1100
    assert counts(books) == {State.QUEUED: 1100}
    assert {len(books.story(message.id)[2]) for message in books.messages(Filter(), limit=2000)} == {1}


def test_many_who_drive_one_operation_change_each_message_once(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 2000)
    operation = begin(store, clock)
    threads = [
        threading.Thread(target=drive, args=(InspectionBooks(engine=engine), operation, clock)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drive(store, operation, clock).done == 2000
    assert counts(books) == {State.QUEUED: 2000}


def test_gifts_that_may_have_been_carried_out_are_never_in_it(
    books: Books, ledger: SqlLedger, store: InspectionBooks, clock: FakeClock
) -> None:
    books.enqueue([gift(clock.now()) for _ in range(3)], source="test")
    safe, doubtful, given_up = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    ledger.settle(
        [
            settled(safe, outcome(OutcomeKind.REJECTED, http_status=422), clock.now()),
            settled(doubtful, outcome(OutcomeKind.IN_DOUBT), clock.now()),
            settled(given_up, outcome(OutcomeKind.IN_DOUBT), clock.now()),
        ]
    )
    clock.advance(timedelta(seconds=1))
    books.resolve(given_up.id, Resolution.GIVE_UP, by(clock), budget=3, life=timedelta(hours=1))
    query = parse_query("channel:gift", now=clock.now())
    forecast = store.foresee(Deed.REPLAY, query)
    assert forecast.total == 1
    assert str(forecast.money["AUD"]) == "25.00"
    assert forecast.left_out == {
        "in doubt: a person resolves each of them": 1,
        "a gift that may have been carried out": 1,
    }
    for kind in Deed:
        operation = begin(store, clock, "", kind=kind, ids=[safe.id, doubtful.id, given_up.id])
        drive(store, operation, clock)
    assert [books.message(each.id).state for each in (safe, doubtful, given_up)] == [
        State.QUEUED,
        State.IN_DOUBT,
        State.DEAD,
    ]
    assert books.message(given_up.id).discarded_at is None


def test_it_waits_for_its_moment_and_goes_at_its_rate(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 100)
    operation = begin(store, clock, at=clock.now() + timedelta(minutes=1), per_second=5.0)
    assert store.step(operation.id, now=clock.now()) == 0
    clock.advance(timedelta(minutes=1))
    seen = []
    for _ in range(25):
        clock.advance(timedelta(seconds=1))
        store.step(operation.id, now=clock.now())
        seen.append(store.operation(operation.id).done)
    assert seen[:3] == [5, 10, 15]
    assert (seen[19], store.operation(operation.id).state) == (100, Stage.DONE)


def test_it_is_spread_evenly(engine: Engine, store: InspectionBooks, clock: FakeClock) -> None:
    die(engine, clock, 60)
    operation = begin(store, clock, spread=timedelta(minutes=10))
    for minute in range(1, 11):
        clock.advance(timedelta(minutes=1))
        drive(store, operation, clock)
        assert store.operation(operation.id).done == 6 * minute


@pytest.mark.parametrize(
    ("accepted", "stage", "done"), [(20, Stage.DONE, 100), (16, Stage.DONE, 100), (15, Stage.STOPPED, 20)]
)
def test_a_canary_stops_it_if_too_many_fail_again(
    engine: Engine, store: InspectionBooks, clock: FakeClock, accepted: int, stage: Stage, done: int
) -> None:
    die(engine, clock, 100)
    operation = begin(store, clock, canary=20)
    assert store.step(operation.id, now=clock.now()) == 20
    assert store.step(operation.id, now=clock.now()) == 0, "it waits for what became of the first"
    fail(engine, clock, 20, accepted=accepted)
    ended = drive(store, operation, clock)
    assert (ended.state, ended.done) == (stage, done)
    assert (ended.note or "").startswith("stopped by its canary: 5 of the first 20") == (stage is Stage.STOPPED)


def test_it_can_be_paused_and_ended(engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock) -> None:
    die(engine, clock, 1100)
    operation = begin(store, clock)
    store.step(operation.id, now=clock.now())
    store.pause_operation(operation.id, by(clock, "look at it"))
    assert store.step(operation.id, now=clock.now()) == 0
    with pytest.raises(OperationRefused, match="is paused, so it cannot become paused"):
        store.pause_operation(operation.id, by(clock))
    store.resume_operation(operation.id, by(clock))
    assert store.step(operation.id, now=clock.now()) == 500
    store.abort_operation(operation.id, by(clock, "enough"))
    assert store.step(operation.id, now=clock.now()) == 0
    assert (store.operation(operation.id).state, store.operation(operation.id).note) == (Stage.ABORTED, "enough")
    assert counts(books) == {State.DEAD: 100, State.QUEUED: 1000}
    with pytest.raises(OperationRefused):
        store.resume_operation(operation.id, by(clock))
    with pytest.raises(OperationNotFound):
        store.operation(UUID(int=1))


def test_what_is_put_away_is_listed_no_more_and_can_be_replayed_by_its_id(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 10)
    drive(store, begin(store, clock, kind=Deed.DISCARD), clock)
    query = parse_query("state:dead", now=clock.now())
    assert (store.search(query, limit=10), store.groups(query)) == ([], [])
    assert store.foresee(Deed.REPLAY, query).left_out == {"put away before": 10}
    message = books.messages(Filter(), limit=1)[0]
    books.replay(message.id, by(clock), budget=1, life=timedelta(hours=1))
    assert books.message(message.id).discarded_at is None


@pytest.mark.parametrize("deed", ["a bulk step", "a replay", "a retry"])
def test_a_campaign_that_is_cancelled_while_its_messages_are_queued_again_sends_nothing(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock, deed: str
) -> None:
    """Cancelled and swept after the change and before its commit, or as soon as a lock lets the sweep go on."""
    die(engine, clock, 5)
    ledger, campaigns = SqlLedger.on(engine), campaigns_on(engine, clock)
    die(engine, clock, 1, name="autumn")  # one that runs, so that a lock on one campaign is not enough
    operation, (first, *_) = begin(store, clock), books.messages(Filter(states=(State.DEAD,)), limit=1)
    rival: list[threading.Thread] = []

    def cancel_and_sweep() -> None:
        for name in ("spring", "autumn"):
            campaigns.cancel(name)
        for _ in range(3):
            ledger.advance(now=clock.now())

    def before_commit(_: Any) -> None:
        if not rival:
            rival.append(threading.Thread(target=cancel_and_sweep))
            rival[0].start()
            rival[0].join(0.5)  # done if nothing held it back

    event.listen(engine, "commit", before_commit)
    try:
        match deed:
            case "a bulk step":
                store.step(operation.id, now=clock.now())
            case "a replay":
                books.replay(first.id, by(clock), budget=3, life=timedelta(hours=1))
            case _:
                campaigns.retry_failed("spring")
    finally:
        event.remove(engine, "commit", before_commit)
    rival[0].join()
    for _ in range(3):
        ledger.advance(now=clock.now())
    assert State.QUEUED not in counts(books)


def test_a_step_that_waited_for_a_cancellation_changes_nothing(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    """The step chose its messages before; by the time that it may change them the campaign is cancelled and swept."""
    die(engine, clock, 5)
    operation = begin(store, clock)
    cancelled: list[bool] = []

    def after_choosing(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        chosen = statement.startswith("SELECT") and "FROM dispatcher_messages" in statement and "LIMIT" in statement
        if chosen and not cancelled and engine.dialect.name == "postgresql":
            cancelled.append(True)
            campaigns_on(engine, clock).cancel("spring")
            SqlLedger.on(engine).advance(now=clock.now())

    event.listen(engine, "after_cursor_execute", after_choosing)
    try:
        drive(store, operation, clock)
    finally:
        event.remove(engine, "after_cursor_execute", after_choosing)
    if engine.dialect.name == "postgresql":  # SQLite has one writer: nothing comes between
        assert cancelled
        assert counts(books) == {State.DEAD: 5}
    else:
        assert counts(books) == {State.QUEUED: 5}


def test_the_clock_carries_it_out(engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock) -> None:
    die(engine, clock, 1200)
    begin(store, clock)
    SqlLedger.on(engine).operate(now=clock.now(), patience=timedelta(seconds=30))
    assert counts(books) == {State.QUEUED: 1200}


def test_messages_of_a_cancelled_campaign_are_left_out(
    engine: Engine, books: Books, store: InspectionBooks, clock: FakeClock
) -> None:
    die(engine, clock, 5)
    campaigns_on(engine, clock).cancel("spring")
    clock.advance(timedelta(seconds=1))
    query = parse_query("", now=clock.now())
    assert store.foresee(Deed.REPLAY, query).left_out == {"of a cancelled campaign": 5}
    assert drive(store, begin(store, clock), clock).done == 0
    assert counts(books) == {State.DEAD: 5}
