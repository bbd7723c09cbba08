"""Retention: what is redacted and removed, what is never touched, and that nobody else has to notice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, select, text, update
from sqlalchemy.exc import ProgrammingError

from dispatcher.admin import Pruning
from dispatcher.campaigns import Campaigns
from dispatcher.domain.errors import TransitionRefused
from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.query import parse_query
from dispatcher.domain.recipient import REDACTED
from dispatcher.domain.retention import Act, Ages, Pruned
from dispatcher.domain.state import State
from dispatcher.ledger import (
    Books,
    By,
    CampaignBooks,
    InspectionBooks,
    Resolution,
    RetentionBooks,
    SqlLedger,
    make_engine,
    retention,
)
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.retention_books import PruneRun
from dispatcher.ledger.tables import ATTEMPTS, AUDIT, GIFT_GUARDS, MESSAGES, METADATA
from dispatcher.testing import ACCEPTED, FakeClock
from tests.campaigns.making import campaigns_on, numbers
from tests.making import NUMBER, gift, outcome, settled, sms, wish
from tests.security.roles import documented_roles

DAY = timedelta(days=1)
AGES = Ages(redact_days=30, remove_days=365)
LIFE = timedelta(hours=72)
WORDS = "the sea is calm to-night"
HEARD = outcome(
    OutcomeKind.REJECTED,
    http_status=422,
    error="invalid_recipient",
    error_description=f"no such mobile: {WORDS}",
    response=f'{{"said": "{WORDS}"}}',
)


def by(clock: FakeClock, reason: str = "a test") -> By:
    return By(actor="test", reason=reason, now=clock.now())


def pruning(engine: Engine, clock: FakeClock) -> Pruning:
    return Pruning(books=RetentionBooks(engine=engine), clock=clock, actor="cli:test")


def prune(engine: Engine, clock: FakeClock, ages: Ages = AGES, **options: Any) -> Pruned:
    (last,) = deque(pruning(engine, clock).run(ages, reason="nightly", **options), maxlen=1) or [Pruned()]
    return last


def send(engine: Engine, clock: FakeClock, messages: list[NewMessage], what: Any = ACCEPTED) -> None:
    """Enqueue messages and let their calls come to something."""
    Books(engine=engine).enqueue(messages, source="test")
    carry_out(engine, clock, what)


def carry_out(engine: Engine, clock: FakeClock, what: Any = ACCEPTED) -> None:
    ledger = SqlLedger.on(engine)
    for channel in Channel:
        claimed = ledger.claim(wish(clock.now(), channel, bulk_limit=100)).messages
        ledger.settle([settled(each, what, clock.now()) for each in claimed])


def row_of(engine: Engine, id_: UUID) -> dict[str, Any] | None:
    with engine.connect() as connection:
        found = connection.execute(select(MESSAGES).where(MESSAGES.c.id == id_)).one_or_none()
    return None if found is None else dict(found._mapping)


def everything(engine: Engine) -> str:
    """Return all that the ledger holds as one text."""
    with engine.connect() as connection:
        return "\n".join(
            str(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table))
        )


def test_old_and_settled_messages_lose_number_words_and_answers(engine: Engine, books: Books, clock: FakeClock) -> None:
    taken, card = sms(clock.now(), WORDS), gift(clock.now(), note=WORDS)
    send(engine, clock, [taken, card])
    dead = sms(clock.now(), WORDS)
    send(engine, clock, [dead], HEARD)
    books.replay(dead.id, by(clock), budget=1, life=LIFE, content=sms(clock.now(), f"Put right: {WORDS}"))
    carry_out(engine, clock, HEARD)
    before = {id_: row_of(engine, id_) for id_ in (taken.id, card.id, dead.id)}
    assert everything(engine).count(WORDS) >= 7
    clock.advance(31 * DAY)

    assert prune(engine, clock) == Pruned(redacted=3)
    left = everything(engine)
    assert WORDS not in left
    assert NUMBER not in left

    kept = {"id", "state", "channel", "idempotency_key", "fingerprint", "tags", "updated_at", "created_at"}
    kept |= {"accepted_at", "attempts_made", "calls_made", "last_status", "last_code", "last_outcome", "provider_id"}
    for id_, was in before.items():
        now = row_of(engine, id_)
        assert was is not None
        assert now is not None
        assert {name: now[name] for name in kept} == {name: was[name] for name in kept}
        assert now["redacted_at"] == clock.now()
        assert books.message(id_).recipient == books.message(id_).recipient.masked == REDACTED
    gone = books.message(card.id).gift
    assert gone is not None
    assert (gone.sku, str(gone.amount), gone.currency, gone.note) == ("CARD", "25.00", "AUD", "")
    message, attempts, audit = books.story(dead.id)
    assert (message.last_error, message.failure) == ("invalid_recipient", "invalid_recipient")
    assert [(each.http_status, each.error, each.response) for each in attempts] == [
        (422, "invalid_recipient", None)
    ] * 2
    (edit,) = [each for each in audit if each.action == "edit and replay"]
    assert (edit.actor, edit.reason, edit.details) == ("test", "a test", {"redacted": True})


def unsettled(engine: Engine, books: Books, clock: FakeClock) -> set[UUID]:
    """Make a message of each kind that waits for something, and return them."""
    doubtful = [gift(clock.now()), *(sms(clock.now()) for _ in range(2))]
    send(engine, clock, doubtful[:1], outcome(OutcomeKind.IN_DOUBT))
    books.enqueue(doubtful[1:], source="test")
    with transaction(engine) as connection:
        connection.execute(update(MESSAGES).where(MESSAGES.c.id == doubtful[1].id).values(state="in_doubt"))
    under_way = SqlLedger.on(engine).claim(wish(clock.now(), count=1)).messages
    assert [each.id for each in under_way] == [doubtful[2].id]
    waiting = [sms(clock.now()), gift(clock.now())]
    books.enqueue(waiting, source="test")
    return {each.id for each in (*doubtful, *waiting)}


def test_what_waits_is_under_way_or_in_doubt_is_never_touched(engine: Engine, books: Books, clock: FakeClock) -> None:
    ids = unsettled(engine, books, clock)
    before = {id_: row_of(engine, id_) for id_ in ids}
    assert {each["state"] for each in before.values() if each} == {"queued", "sending", "in_doubt"}
    clock.advance(5000 * DAY)
    assert prune(engine, clock, Ages(redact_days=1, remove_days=1)) == Pruned()
    assert {id_: row_of(engine, id_) for id_ in ids} == before
    with engine.connect() as connection:
        assert len(connection.execute(select(GIFT_GUARDS.c.message_id)).all()) == 1


def test_a_step_that_was_told_of_them_touches_them_no_more_than_a_look(
    engine: Engine, books: Books, clock: FakeClock
) -> None:
    """Between the look and the step a message may be queued again."""
    ids = unsettled(engine, books, clock)
    before = {id_: row_of(engine, id_) for id_ in ids}
    clock.advance(5000 * DAY)
    with transaction(engine) as connection:
        assert retention.redact(connection, list(ids), clock.now(), clock.now()) == 0
        assert retention.remove(connection, list(ids), clock.now()) == 0
    assert {id_: row_of(engine, id_) for id_ in ids} == before


def test_an_age_counts_from_when_it_was_settled(engine: Engine, books: Books, clock: FakeClock) -> None:
    long_waiting = sms(clock.now(), due_at=clock.now() + 80 * DAY)
    books.enqueue([long_waiting], source="test")
    clock.advance(81 * DAY)
    carry_out(engine, clock)
    assert books.message(long_waiting.id).state is State.ACCEPTED
    clock.advance(29 * DAY)
    assert prune(engine, clock) == Pruned()
    clock.advance(2 * DAY)
    assert prune(engine, clock) == Pruned(redacted=1)
    clock.advance(333 * DAY)
    assert prune(engine, clock) == Pruned()
    clock.advance(2 * DAY)
    assert prune(engine, clock) == Pruned(removed=1)


def test_a_removed_message_takes_its_calls_and_its_guard_with_it(engine: Engine, clock: FakeClock) -> None:
    send(engine, clock, [sms(clock.now()), gift(clock.now())])
    clock.advance(366 * DAY)
    assert prune(engine, clock) == Pruned(removed=2)
    with engine.connect() as connection:
        for table in (MESSAGES, ATTEMPTS, GIFT_GUARDS):
            assert connection.execute(select(table)).all() == []
        assert connection.execute(text("SELECT sum(calls) FROM dispatcher_minutes")).scalar_one() == 2


def test_what_is_removed_without_having_been_redacted_leaves_no_words_behind(
    engine: Engine, books: Books, clock: FakeClock
) -> None:
    dead = sms(clock.now(), WORDS)
    send(engine, clock, [dead], HEARD)
    books.replay(dead.id, by(clock), budget=1, life=LIFE, content=sms(clock.now(), "Another"))
    carry_out(engine, clock, HEARD)
    clock.advance(366 * DAY)
    assert prune(engine, clock, Ages(redact_days=0, remove_days=365)) == Pruned(removed=1)
    assert WORDS not in everything(engine)
    assert NUMBER not in everything(engine)


def test_a_gift_that_may_have_been_carried_out_is_redacted_and_never_removed(
    engine: Engine, books: Books, clock: FakeClock
) -> None:
    card = gift(clock.now(), "order-1", note=WORDS)
    send(engine, clock, [card], outcome(OutcomeKind.IN_DOUBT))
    books.resolve(card.id, Resolution.GIVE_UP, by(clock), budget=1, life=LIFE)
    clock.advance(5000 * DAY)
    assert prune(engine, clock) == Pruned(redacted=1)
    assert prune(engine, clock) == Pruned()
    (again,) = books.enqueue([gift(clock.now(), "order-1", note=WORDS)], source="test")
    assert (again.id, again.duplicate, again.state) == (card.id, True, State.DEAD)
    with pytest.raises(TransitionRefused, match="given up and may have been carried out"):
        books.replay(card.id, by(clock), budget=1, life=LIFE)


def test_a_key_finds_its_receipt_until_its_row_is_removed(engine: Engine, books: Books, clock: FakeClock) -> None:
    first = gift(clock.now(), "order-1")
    send(engine, clock, [first])
    clock.advance(31 * DAY)
    prune(engine, clock)
    (again,) = books.enqueue([gift(clock.now(), "order-1")], source="test")
    assert (again.id, again.duplicate, again.state) == (first.id, True, State.ACCEPTED)
    clock.advance(366 * DAY)
    prune(engine, clock)
    (new,) = books.enqueue([gift(clock.now(), "order-1")], source="test")
    assert not new.duplicate


@pytest.fixture
def burst(engine: Engine, clock: FakeClock) -> tuple[Campaigns, UUID]:
    """A finished campaign of 23: some accepted, dead, expired, called off, opted out and one in doubt."""
    campaigns, ledger, books = campaigns_on(engine, clock), SqlLedger.on(engine), Books(engine=engine)
    made = campaigns.create(numbers(23), name="spring", template="Hi").campaign
    campaigns.start(made.id)
    campaigns.books.suppress(Channel.SMS, numbers(2), by(clock))
    claimed = ledger.claim(wish(clock.now(), bulk_limit=100, count=15)).messages
    dice = [ACCEPTED] * 6 + [HEARD] * 5
    ledger.settle([settled(each, what, clock.now()) for each, what in zip(claimed, dice, strict=False)])
    with transaction(engine) as connection:  # an SMS needs three doubtful calls to be in doubt
        doubt = update(MESSAGES).where(MESSAGES.c.id == claimed[11].id)
        connection.execute(doubt.values(state="in_doubt", lease_expires_at=None))
    ledger.settle([settled(each, ACCEPTED, clock.now()) for each in claimed[12:]])
    with engine.connect() as connection:
        queued = select(MESSAGES.c.id).where(MESSAGES.c.state == "queued").limit(2)
        called_off = connection.execute(queued).scalars().all()
    for each in called_off:
        books.cancel(each, by(clock))
    clock.advance(60 * DAY)
    ledger.expire(now=clock.now(), limit=100)
    ledger.advance(now=clock.now())
    return campaigns, made.id


def test_a_campaigns_counts_stay_as_they_were(
    engine: Engine, ledger: SqlLedger, clock: FakeClock, burst: tuple[Campaigns, UUID]
) -> None:
    campaigns, id_ = burst
    was = campaigns.progress(id_)
    assert was.counts[State.ACCEPTED] == 9
    assert was.counts[State.DEAD] == 5
    assert {state for state, count in was.counts.items() if count} == {
        *(State.ACCEPTED, State.DEAD, State.EXPIRED, State.CANCELLED, State.SUPPRESSED, State.IN_DOUBT)
    }
    clock.advance(31 * DAY)
    assert prune(engine, clock) == Pruned(redacted=22)
    assert campaigns.progress(id_).counts == was.counts
    clock.advance(366 * DAY)
    assert prune(engine, clock, limit=9) == Pruned(removed=9)
    assert campaigns.progress(id_).counts == was.counts
    assert prune(engine, clock) == Pruned(removed=13)
    for progress in (campaigns.progress(id_), campaigns.progress(id_, lately=True)):
        assert (progress.counts, progress.campaign.total, progress.settled) == (was.counts, 23, 23)
    ledger.recount(now=clock.now(), patience=timedelta(seconds=5))
    (kept,) = campaigns.listed(limit=9)
    assert kept.counts == was.counts
    removed = CampaignBooks(engine=engine).find(id_).removed
    assert removed is not None
    assert sum(removed.values()) == 22


def test_a_campaigns_recipients_stay_apart_and_are_exported_without_numbers(
    engine: Engine, clock: FakeClock, burst: tuple[Campaigns, UUID]
) -> None:
    campaigns, id_ = burst
    clock.advance(31 * DAY)
    prune(engine, clock)
    with engine.connect() as connection:
        stored = connection.execute(select(MESSAGES.c.recipient)).scalars().all()
    assert len(set(stored)) == 23
    assert max(map(len, stored)) <= 20, "the column is so wide"
    told = [str(each.recipient) for each in campaigns.deliveries(id_)]
    assert told.count("redacted") == 22
    assert told[0] in numbers(23), "that in doubt keeps its number"


def test_what_was_redacted_cannot_be_sent_again(
    engine: Engine, books: Books, ledger: SqlLedger, clock: FakeClock, burst: tuple[Campaigns, UUID]
) -> None:
    campaigns, id_ = burst
    dead, expired, off = sms(clock.now(), WORDS), sms(clock.now(), WORDS), sms(clock.now(), WORDS)
    send(engine, clock, [dead], HEARD)
    books.enqueue([expired, off], source="test")
    books.cancel(off.id, by(clock))
    clock.advance(4 * DAY)
    ledger.expire(now=clock.now(), limit=10)
    shelf, query = InspectionBooks(engine=engine), parse_query("", now=clock.now())
    pace: dict[str, Any] = {"pace": Pace(), "budget": 5, "life": LIFE}
    begun_before = shelf.begin(Deed.REPLAY, query, by(clock), ids=[], **pace)
    assert begun_before.total > 0
    assert campaigns.books.retryable(id_) > 0
    clock.advance(31 * DAY)
    prune(engine, clock)

    for each in (dead, expired, off):
        with pytest.raises(TransitionRefused, match="its words were redacted"):
            books.replay(each.id, by(clock), budget=1, life=LIFE)
        with pytest.raises(TransitionRefused, match="its words were redacted"):
            books.replay(each.id, by(clock), budget=1, life=LIFE, content=sms(clock.now(), "All new"))
    assert shelf.step(begun_before.id, now=clock.now()) == 0
    assert shelf.operation(begun_before.id).state is Stage.DONE
    query = parse_query("", now=clock.now())
    plan = shelf.foresee(Deed.REPLAY, query)
    assert plan.total == 0
    assert "redacted: they have no number and no words any more" in plan.left_out
    named = shelf.begin(Deed.REPLAY, query, by(clock), ids=[dead.id], **pace)
    assert shelf.step(named.id, now=clock.now()) == 0
    assert campaigns.books.retryable(id_) == 0
    assert campaigns.retry_failed(id_)[1] == 0
    assert not [each for each in ledger.claim(wish(clock.now(), bulk_limit=100)).messages if each.id != off.id]
    away = shelf.foresee(Deed.DISCARD, query)
    assert away.total > 0, "but it may be put away"


def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetentionBooks, "step_size", 3)
    monkeypatch.setattr(retention, "PAGE", 5)


def test_a_run_that_is_ended_between_two_steps_is_gone_on_with(
    engine: Engine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_once(monkeypatch)
    send(engine, clock, [sms(clock.now(), WORDS) for _ in range(17)])
    clock.advance(31 * DAY)
    steps = pruning(engine, clock).run(AGES, reason=None)
    assert [next(steps).redacted, next(steps).redacted] == [3, 5], "steps do not go beyond a page"
    del steps
    assert everything(engine).count(WORDS) == 12
    assert prune(engine, clock) == Pruned(redacted=12)
    assert prune(engine, clock) == Pruned()
    assert WORDS not in everything(engine)


@pytest.mark.parametrize("act", list(Act))
def test_a_step_that_is_killed_leaves_nothing_half_done(
    engine: Engine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    few_at_once(monkeypatch)
    campaigns = campaigns_on(engine, clock)
    made = campaigns.create(numbers(8), name="spring", template=WORDS).campaign
    campaigns.start(made.id)
    carry_out(engine, clock, HEARD)
    counts = campaigns.progress(made.id).counts
    clock.advance((31 if act is Act.REDACT else 366) * DAY)
    run = RetentionBooks(engine=engine).begin(AGES, by(clock))
    before = everything(engine)
    statements = _killed_before(engine, run, None)
    assert statements > 4
    for number in range(1, statements + 1):
        _killed_before(engine, run, number)
        assert everything(engine) == before, f"killed before statement {number}"
    assert prune(engine, clock).total == 8
    assert campaigns.progress(made.id).counts == counts


class _Killed(BaseException):
    pass


def _killed_before(engine: Engine, run: PruneRun, number: int | None) -> int:
    """Make the next step die before one of its statements, or else before its commit; return how many it had."""
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise _Killed

    def die(*_: object) -> None:
        raise _Killed

    books = RetentionBooks(engine=engine)
    found = ((act, before, ids) for act, before in run.ages.due(run.began) for ids in books.found(act, before))
    act, before, ids = next((act, before, ids[:3]) for act, before, ids in found if ids)
    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", die)
    try:
        with pytest.raises(_Killed):
            books.step(run, act, ids, before=before, done=Pruned())
    finally:
        event.remove(engine, "before_cursor_execute", count)
        event.remove(engine, "commit", die)
    return seen


def test_two_at_once_do_it_once(
    engine: Engine, ledger_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetentionBooks, "step_size", 7)
    campaigns = campaigns_on(engine, clock)
    made = campaigns.create(numbers(90), name="spring", template="Hi").campaign
    campaigns.start(made.id)
    carry_out(engine, clock, HEARD)
    clock.advance(366 * DAY)
    ages, sums, failures = Ages(redact_days=0, remove_days=365), [], []

    def run() -> None:
        other = make_engine(ledger_url)
        try:
            sums.append(prune(other, clock, ages).removed)
        except Exception as error:
            failures.append(error)
        finally:
            other.dispose()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert sum(sums) + prune(engine, clock, ages).removed == 90, "what one had locked the other passed over"
    assert campaigns.progress(made.id).counts[State.DEAD] == 90


def test_a_step_waits_for_nobodys_messages_and_nobody_else_for_a_steps(fresh_postgres: str, clock: FakeClock) -> None:
    engine = make_engine(fresh_postgres)
    old = [sms(clock.now()) for _ in range(3)]
    send(engine, clock, old, HEARD)
    clock.advance(31 * DAY)
    Books(engine=engine).enqueue([sms(clock.now()), gift(clock.now())], source="test")
    with engine.begin() as held:
        held.execute(update(MESSAGES).where(MESSAGES.c.id == old[0].id).values(tags=["held"]))
        assert prune(engine, clock) == Pruned(redacted=2), "that which is held is passed over"
    with engine.begin() as step:
        before = clock.now() - DAY
        assert retention.redact(step, [old[0].id], before, clock.now()) == 1
        carry_out(engine, clock)  # claims and settlements go on
        with engine.connect() as connection:
            states = connection.execute(select(MESSAGES.c.state).order_by(MESSAGES.c.id)).scalars().all()
        assert states == ["dead"] * 3 + ["accepted"] * 2
    engine.dispose()


def test_the_role_of_the_page_can_prune_and_do_nothing_else(fresh_postgres: str, clock: FakeClock) -> None:
    admin = make_engine(fresh_postgres)
    campaigns = campaigns_on(admin, clock)
    campaigns.start(campaigns.create(numbers(3), name="spring", template="Hi").campaign.id)
    dead = sms(clock.now(), WORDS)
    send(admin, clock, [dead, gift(clock.now(), note=WORDS)], HEARD)
    Books(engine=admin).replay(dead.id, by(clock), budget=1, life=LIFE, content=sms(clock.now(), "Another"))
    carry_out(admin, clock, HEARD)
    with documented_roles(fresh_postgres) as roles, roles.engine("dispatcher_retention") as engine:
        clock.advance(31 * DAY)
        assert prune(engine, clock) == Pruned(redacted=5)
        assert WORDS not in everything(admin)
        clock.advance(366 * DAY)
        assert prune(engine, clock) == Pruned(removed=5)
        for refused in (
            "UPDATE dispatcher_messages SET state = 'queued'",
            "INSERT INTO dispatcher_messages (id) VALUES (gen_random_uuid())",
            "DELETE FROM dispatcher_attempts",
            "DELETE FROM dispatcher_gift_guards",
            "DELETE FROM dispatcher_campaigns",
            "UPDATE dispatcher_campaigns SET state = 'running'",
            "DELETE FROM dispatcher_audit",
            "UPDATE dispatcher_audit SET actor = 'nobody'",
            "SELECT * FROM dispatcher_suppressions",
        ):
            with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
                connection.execute(text(refused))
    admin.dispose()


def test_each_run_is_told_in_the_audit_trail_which_stays(engine: Engine, clock: FakeClock) -> None:
    send(engine, clock, [sms(clock.now()) for _ in range(4)])
    clock.advance(31 * DAY)
    prune(engine, clock, limit=3)
    clock.advance(DAY)
    prune(engine, clock)
    clock.advance(1000 * DAY)
    prune(engine, clock)
    trail = reversed(InspectionBooks(engine=engine).audit(subject="ledger"))
    ages = {"redact_days": 30, "remove_days": 365}
    assert [(each.actor, each.action, each.reason, each.details) for each in trail] == [
        ("cli:test", "prune", "nightly", {**ages, "redacted": redacted, "removed": removed, "finished": finished})
        for redacted, removed, finished in ((3, 0, False), (1, 0, True), (0, 4, True))
    ]


def test_what_is_foreseen_is_what_is_done(engine: Engine, books: Books, clock: FakeClock) -> None:
    given_up = gift(clock.now())
    send(engine, clock, [given_up], outcome(OutcomeKind.IN_DOUBT))
    books.resolve(given_up.id, Resolution.GIVE_UP, by(clock), budget=1, life=LIFE)
    send(engine, clock, [sms(clock.now()) for _ in range(3)])
    clock.advance(340 * DAY)
    send(engine, clock, [sms(clock.now()) for _ in range(2)])
    clock.advance(31 * DAY)
    before = everything(engine)
    foreseen = pruning(engine, clock).foresee(AGES)
    assert everything(engine) == before
    assert foreseen == Pruned(removed=3, redacted=3)
    assert prune(engine, clock) == foreseen


def test_a_run_leaves_room_for_others_and_keeps_its_rate(
    engine: Engine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetentionBooks, "step_size", 3)
    send(engine, clock, [sms(clock.now()) for _ in range(9)])
    clock.advance(31 * DAY)
    began = clock.monotonic()
    prune(engine, clock, per_second=2.0)
    assert clock.monotonic() - began == 4.5


MANY = 30_000
OLD = {
    "postgresql": "CAST(lpad(to_hex(1600000000000 + n), 12, '0') || '7' || lpad(to_hex(n), 19, '0') AS uuid)",
    "sqlite": "printf('%08x-%04x-7000-8000-%012x', (1600000000000 + n) / 65536, (1600000000000 + n) % 65536, n)",
}
SERIES = {
    "postgresql": "generate_series(1, :many) n",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :many) SELECT n FROM s)",
}


def test_a_step_goes_by_the_primary_key_and_never_through_the_whole_table(engine: Engine, clock: FakeClock) -> None:
    kind = engine.dialect.name
    rows = f"""
        INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, tags, source,
            due_at, expires_at, max_attempts, created_at, updated_at)
        SELECT {OLD[kind]}, 'sms', 'bulk', 'accepted', '+' || CAST(61400000000 + n AS text), 'Hello', 'x', '[]', 'test',
            :old, :old, 5, :old, :old
        FROM {SERIES[kind]}
    """
    with transaction(engine) as connection:
        connection.execute(text(rows), {"many": MANY, "old": "2020-09-13 12:26:40.000000"})
        connection.execute(text("ANALYZE"))
    plan = plans(engine, lambda: prune(engine, clock, Ages(redact_days=30, remove_days=0), limit=1500))
    assert "Seq Scan on dispatcher_messages" not in plan
    assert "SCAN dispatcher_messages" not in plan
    assert ("pk_dispatcher_messages" if kind == "postgresql" else "(id>? AND id<?)") in plan
    plan = plans(engine, lambda: prune(engine, clock, Ages(redact_days=0, remove_days=365), limit=1500))
    assert "Seq Scan on dispatcher_messages" not in plan
    assert "SCAN dispatcher_messages" not in plan


def plans(engine: Engine, work: Callable[[], object]) -> str:
    """Return how the database goes about all the statements of a piece of work that have to do with messages."""
    found: list[str] = []
    how = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "

    def explain(_connection: Any, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if "dispatcher_messages" in statement:
            cursor.execute(how + statement, given)
            found.extend(str(row[0] if len(row) == 1 else row[-1]) for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    assert found, "nothing was asked"
    return "\n".join(found)


def test_an_unknown_time_before_the_epoch_is_no_reason_to_fail(engine: Engine, clock: FakeClock) -> None:
    assert prune(engine, clock, Ages(redact_days=36_500, remove_days=36_500)) == Pruned()


def test_audit_of_others_is_left_alone(engine: Engine, books: Books, clock: FakeClock) -> None:
    dead = sms(clock.now())
    send(engine, clock, [dead], HEARD)
    books.replay(dead.id, by(clock, "again"), budget=1, life=LIFE)
    carry_out(engine, clock, HEARD)
    with engine.connect() as connection:
        before = connection.execute(select(AUDIT)).all()
    clock.advance(31 * DAY)
    prune(engine, clock)
    with engine.connect() as connection:
        after = connection.execute(select(AUDIT).where(AUDIT.c.action != "prune")).all()
    assert after == before
