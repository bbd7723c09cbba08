"""A message exists once its row commits; keys make repeated calls harmless."""

from __future__ import annotations

import threading
import traceback

import pytest
from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dispatcher.domain.errors import IdempotencyConflict, LedgerOutdated
from dispatcher.domain.state import State
from dispatcher.ledger import Books, after_commit, make_engine
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import MESSAGES
from dispatcher.testing import FakeClock
from tests.making import NUMBER, gift, row, sms


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(MESSAGES)).scalar_one()


def test_what_was_enqueued_reads_back_exactly(books: Books, clock: FakeClock) -> None:
    wanted = gift(clock.now(), note="für Dich 🎁", tags=["vip", "spring"])
    books.enqueue([wanted], source="test")
    found = books.message(wanted.id)
    assert (found.gift, found.recipient, found.tags, found.state) == (
        wanted.gift,
        wanted.recipient,
        wanted.tags,
        State.QUEUED,
    )
    assert (found.due_at, found.expires_at, found.created_at) == (wanted.due_at, wanted.expires_at, wanted.created_at)


def test_the_same_key_with_the_same_content_returns_the_first(books: Books, engine: Engine, clock: FakeClock) -> None:
    first = books.enqueue([sms(clock.now(), idempotency_key="k")], source="test")[0]
    again = books.enqueue([sms(clock.now(), idempotency_key="k")], source="test")[0]
    assert (again.id, again.duplicate, first.duplicate, count(engine)) == (first.id, True, False, 1)


def test_the_same_key_with_other_content_is_refused_and_leaves_no_row(
    books: Books, engine: Engine, clock: FakeClock
) -> None:
    books.enqueue([sms(clock.now(), "one", idempotency_key="k")], source="test")
    with pytest.raises(IdempotencyConflict, match="other content"):
        books.enqueue([sms(clock.now(), "fine"), sms(clock.now(), "two", idempotency_key="k")], source="test")
    assert count(engine) == 1


def test_a_key_twice_in_one_page_makes_one_message(books: Books, engine: Engine, clock: FakeClock) -> None:
    page = [sms(clock.now(), idempotency_key="k"), sms(clock.now(), "other"), sms(clock.now(), idempotency_key="k")]
    receipts = books.enqueue(page, source="test")
    assert [receipt.duplicate for receipt in receipts] == [False, False, True]
    assert receipts[2].id == receipts[0].id
    assert count(engine) == 2


def test_of_many_callers_with_one_key_exactly_one_wins(books: Books, engine: Engine, clock: FakeClock) -> None:
    fresh = []

    def call() -> None:
        fresh.append(not books.enqueue([gift(clock.now(), "order-1")], source="test")[0].duplicate)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(fresh), len(fresh), count(engine)) == (1, 8, 1)


def test_in_the_callers_transaction_the_message_shares_its_fate(books: Books, engine: Engine, clock: FakeClock) -> None:
    with Session(engine) as session:
        books.enqueue_within(session, [sms(clock.now())], source="test")
        session.rollback()
    assert count(engine) == 0
    with Session(engine) as session, session.begin():
        books.enqueue_within(session, [sms(clock.now())], source="test")
    assert count(engine) == 1


def test_the_bell_rings_after_the_outermost_commit_only(books: Books, engine: Engine, clock: FakeClock) -> None:
    rings: list[int] = []

    def ring() -> None:
        rings.append(count(engine))

    with Session(engine) as session:
        with session.begin():
            with session.begin_nested():
                books.enqueue_within(session, [sms(clock.now())], source="test")
                after_commit(session, ring)
            assert rings == [], "a savepoint's release is no commit"
        assert rings == [1], "rung once, when the row could be seen"
        books.enqueue_within(session, [sms(clock.now())], source="test")
        after_commit(session, ring)
        session.rollback()
        session.commit()
        assert rings == [1], "a rollback rings for nobody"
        books.enqueue_within(session, [sms(clock.now())], source="test")
        after_commit(session, ring)
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            raise ZeroDivisionError
        session.commit()
        assert rings == [1, 2], "a savepoint rolled back inside does not silence the transaction"


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "lost"},
        {"state": "sending"},
        {"channel": "fax"},
        {"body": None},
        {"priority": "urgent"},
        {"channel": "gift", "body": None, "gift": {"sku": "x"}, "idempotency_key": None},
    ],
)
def test_the_database_itself_refuses_rows_that_cannot_be(
    engine: Engine, clock: FakeClock, changes: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(insert(MESSAGES), row(sms(clock.now())) | changes)


def test_a_database_without_tables_says_what_to_do(tmp_path: object, clock: FakeClock) -> None:
    empty = make_engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(LedgerOutdated, match="dispatcher migrate"):
        Books(engine=empty).enqueue([sms(clock.now())], source="test")


def test_an_error_of_the_database_does_not_tell_what_was_to_be_written(engine: Engine, clock: FakeClock) -> None:
    wrong = row(sms(clock.now(), "a private text"), state="lost")
    with pytest.raises(IntegrityError) as caught, transaction(engine) as connection:
        connection.execute(insert(MESSAGES), wrong)
    told = "".join(traceback.format_exception(caught.value))
    assert "ck_dispatcher_messages_" in told
    assert "private" not in told
    assert NUMBER not in told


A_GIFT: dict[str, object] = {"sku": "A", "amount": "5.00", "currency": "AUD", "note": ""}


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {name: value for name, value in A_GIFT.items() if name != without}
            for without in ("sku", "amount", "currency")
        ),
        *(A_GIFT | {"amount": amount} for amount in (5, None, "", "five", "5.", ".5", "1.2.3", "-5", "5e3", "5,00")),
        *(A_GIFT | {name: 5} for name in ("sku", "currency", "note")),
        [],
        "a text",
    ],
    ids=str,
)
def test_the_database_refuses_a_gift_that_no_worker_could_read(engine: Engine, clock: FakeClock, wrong: object) -> None:
    """Whoever writes it: else each claim of the channel would stumble over it."""
    good = row(gift(clock.now()))
    with transaction(engine) as connection:
        connection.execute(insert(MESSAGES), good | {"gift": {"sku": "A", "amount": "5", "currency": "AUD"}})
    for statement in (insert(MESSAGES).values(row(gift(clock.now())) | {"gift": wrong}), update(MESSAGES)):
        with pytest.raises(IntegrityError, match="gift"), transaction(engine) as connection:
            connection.execute(statement.values(gift=wrong))
