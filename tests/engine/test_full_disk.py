"""Invariant 10 where the disk fails too: answers stay in memory, damage stays small, no ledger takes another's."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from dispatcher.domain.attempt import Settlement
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.engine import HeldAnswers, Spool
from dispatcher.engine.spooled import settle_spooled
from dispatcher.ledger import Filter, SqlLedger
from dispatcher.testing import ACCEPTED
from tests.engine.conftest import House
from tests.engine.test_spool import Flaky
from tests.making import gift, settled, sms, wish

pytestmark = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
"""A SQLite ledger would be on the disk that is full."""


@contextmanager
def full_disk(after: int = 0) -> Iterator[None]:
    """Let this process write no file beyond a size: the system's own error, in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def answers(house: House, count: int) -> list[Settlement]:
    house.enqueue(*[gift(house.clock.now()) for _ in range(count)])
    held = house.ledger.claim(wish(house.clock.now(), Channel.GIFT)).messages
    return [settled(each, ACCEPTED, house.clock.now()) for each in held]


def eventually(true: Callable[[], bool], within: float = 5) -> bool:
    ends = time.monotonic() + within
    while not true() and time.monotonic() < ends:
        time.sleep(0.01)
    return true()


def test_a_write_that_fails_in_the_middle_leaves_the_file_as_it_was(house: House) -> None:
    first, *others = answers(house, 4)
    house.spool.append([first])
    (file,) = house.folder.rglob("*.jsonl")
    before = file.read_bytes()
    with full_disk(after=len(before) + 900), pytest.raises(OSError, match="File too large"):
        house.spool.append(others)
    assert file.read_bytes() == before
    house.spool.append(others)
    house.pump()
    assert {message.state for message in house.books.messages(Filter())} == {State.ACCEPTED}


def test_a_first_write_that_fails_leaves_no_file(house: House) -> None:
    batch = answers(house, 1)
    with full_disk(after=20), pytest.raises(OSError, match="File too large"):
        house.spool.append(batch)
    assert not house.spool.waiting


def test_answers_that_no_disk_takes_stay_in_memory_and_are_settled_by_the_ledger(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.enqueue(*[gift(house.clock.now()) for _ in range(5)])
    flaky = Flaky(house.ledger)
    with full_disk():
        house.pump(ledger=flaky)  # type: ignore[arg-type]
        assert "spool_failed" in caplog.text
        assert "spooled" not in caplog.text.replace("dispatcher.engine.spooled", "")
        house.enqueue(sms(house.clock.now()))
        house.pump(ledger=flaky)  # type: ignore[arg-type]
        assert len(house.transport.carried) == 5, "nothing more is claimed"
        flaky.away = False
        house.pump(ledger=flaky)  # type: ignore[arg-type]
    assert {message.state for message in house.books.messages(Filter())} == {State.ACCEPTED}
    assert not house.spool.waiting


def test_a_process_that_has_nothing_to_do_puts_what_it_holds_on_disk(house: House) -> None:
    batch = answers(house, 3)
    flaky = Flaky(house.ledger)
    held = HeldAnswers(spool=house.spool, ledger=flaky, retry_every=timedelta(milliseconds=20))  # type: ignore[arg-type]
    with full_disk():
        held.keep(batch)
        assert not held.put_down()
        time.sleep(0.1)
        assert not held.put_down()
    assert eventually(lambda: house.spool.waiting)
    assert held.put_down(), "nothing is held any more"
    house.pump()
    assert {message.state for message in house.books.messages(Filter())} == {State.ACCEPTED}


def test_a_process_that_ends_tries_for_a_while_and_names_what_is_lost(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = answers(house, 1)
    flaky = Flaky(house.ledger)
    held = HeldAnswers(spool=house.spool, ledger=flaky, retry_every=timedelta(milliseconds=20))  # type: ignore[arg-type]
    with full_disk():
        held.keep([one])
        held.close(patience=timedelta(milliseconds=100))
    assert "answers_lost" in caplog.text
    assert str(one.message_id) in caplog.text


def test_a_torn_line_does_not_hurt_the_line_that_is_appended_to_it(house: House) -> None:
    first, second = answers(house, 2)
    house.spool.append([first])
    (file,) = house.folder.rglob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"attempt_id": "01')  # as a crash leaves it
    house.spool.append([second])
    house.pump()
    assert {message.state for message in house.books.messages(Filter())} == {State.ACCEPTED}
    assert [each.line for each in house.spool.quarantined()] == ['{"attempt_id": "01']


class Renamed:
    """The ledger under another id, as a second ledger has it."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger, self._id = ledger, uuid4()

    def identity(self) -> UUID:
        return self._id

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)


def test_two_ledgers_that_share_a_folder_settle_their_own_answers_only(house: House) -> None:
    mine = answers(house, 3)
    house.spool.append(mine)
    other = Renamed(house.ledger)
    theirs = Spool(house.folder, "worker-1", other.identity)
    assert not theirs.waiting
    theirs.drain(lambda batch: pytest.fail(f"{len(batch)} answers of another ledger"))
    house.pump()
    assert {message.state for message in house.books.messages(Filter())} == {State.ACCEPTED}


def test_a_file_that_names_another_ledger_is_left_alone(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.spool.append(answers(house, 1))
    (file,) = house.folder.rglob("*.jsonl")
    other = Spool(house.folder, "worker-1", lambda: UUID(int=1))
    other.folder.mkdir()
    moved = file.rename(other.folder / file.name)
    other.drain(lambda batch: pytest.fail(f"{len(batch)} answers of another ledger"))
    assert moved.exists()
    assert "spool_of_another_ledger" in caplog.text


@pytest.mark.parametrize("spooled", [True, False])
def test_an_answer_whose_message_the_ledger_does_not_have_is_quarantined_and_not_dropped(
    house: House, caplog: pytest.LogCaptureFixture, spooled: bool
) -> None:
    known, lost = answers(house, 2)
    with house.ledger.engine.begin() as connection:  # a restored backup that is older
        connection.exec_driver_sql("DELETE FROM dispatcher_gift_guards WHERE message_id = %s", (lost.message_id,))
        connection.exec_driver_sql("DELETE FROM dispatcher_messages WHERE id = %s", (lost.message_id,))
    if spooled:
        house.spool.append([known, lost])
        house.pump()
    else:
        assert [each.answer for each in settle_spooled(house.ledger, [known, lost])] == [lost]
        return
    (kept,) = house.spool.quarantined()
    assert (kept.answer, kept.reason) == (lost, "the ledger has no message with this id")
    assert not house.spool.waiting
    assert "settlement_refused" in caplog.text
    taken, left = house.spool.retry(lambda batch: settle_spooled(house.ledger, batch))
    assert (taken, left) == (0, [kept])


def test_a_quarantined_answer_is_settled_again_once_the_ledger_takes_it(house: House) -> None:
    good, odd = answers(house, 2)
    impossible = "ALTER TABLE dispatcher_attempts ADD CONSTRAINT odd CHECK (message_id <> '{}')"
    with house.ledger.engine.begin() as connection:
        connection.exec_driver_sql(impossible.format(odd.message_id))
    house.spool.append([good, odd])
    house.pump()
    assert [each.answer for each in house.spool.quarantined()] == [odd]
    with house.ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE dispatcher_attempts DROP CONSTRAINT odd")
    assert house.spool.retry(lambda batch: settle_spooled(house.ledger, batch)) == (1, [])
    assert {message.state for message in house.books.messages(Filter())} == {State.ACCEPTED}
    assert house.spool.quarantined() == []
    assert not list(house.folder.rglob("*.refused"))


def test_an_answer_to_a_message_unknown_at_once_is_kept_too(house: House) -> None:
    house.enqueue(gift(house.clock.now()))

    class Forgetful(Flaky):
        """A ledger that is restored from an old backup while the call is under way."""

        def settle(self, settlements):  # type: ignore[no-untyped-def]
            with house.ledger.engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM dispatcher_gift_guards")
                connection.exec_driver_sql("DELETE FROM dispatcher_messages")
            return super().settle(settlements)

    forgetful = Forgetful(house.ledger)
    forgetful.away = False
    house.pump(ledger=forgetful)  # type: ignore[arg-type]
    house.pump()
    (kept,) = house.spool.quarantined()
    assert kept.reason == "the ledger has no message with this id"


def test_a_full_disk_at_the_quarantine_keeps_the_file(house: House, tmp_path: Path) -> None:
    known, lost = answers(house, 2)
    house.spool.append([known, lost])
    with house.ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM dispatcher_gift_guards WHERE message_id = %s", (lost.message_id,))
        connection.exec_driver_sql("DELETE FROM dispatcher_messages WHERE id = %s", (lost.message_id,))
    with full_disk():
        house.pump()
    assert list(house.folder.rglob("*.jsonl"))
    assert [each.state for each in house.books.messages(Filter())] == [State.ACCEPTED], "the others are settled"
    house.pump()
    assert not house.spool.waiting
    assert [each.answer for each in house.spool.quarantined()] == [lost]
