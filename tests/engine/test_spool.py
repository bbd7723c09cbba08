"""Invariant 10: an answer that came is never dropped, even while the ledger is away."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from dispatcher.domain.attempt import Claimed, Settlement
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.engine import Quarantined, Spool
from dispatcher.ledger import SqlLedger
from dispatcher.testing import ACCEPTED, FakeClock
from tests.engine.conftest import House
from tests.ledgers import Postgres
from tests.making import gift, settled, sms, wish


class Flaky:
    """The real ledger, whose settling can be taken away."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self.away = True

    def settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        if self.away:
            raise LedgerUnavailable("somebody restarts it")
        return self._ledger.settle(settlements)

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)


def test_invariant_10_answers_are_spooled_and_settled_once_the_ledger_is_back(house: House) -> None:
    messages = [gift(house.clock.now()) for _ in range(5)]
    house.enqueue(*messages)
    flaky = Flaky(house.ledger)
    house.pump(ledger=flaky)  # type: ignore[arg-type]
    assert set(house.states(*messages)) == {State.SENDING}
    assert house.spool.waiting
    assert house.bell.rings > 0, "it rings, so that somebody settles the spool soon"
    flaky.away = False
    house.pump(ledger=flaky)  # type: ignore[arg-type]
    assert set(house.states(*messages)) == {State.ACCEPTED}
    assert {house.transport.sends_of(message.id) for message in messages} == {1}
    assert not house.spool.waiting


def test_answers_stay_on_disk_until_the_ledger_has_taken_them(house: House) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    flaky = Flaky(house.ledger)
    for _ in range(2):  # it is away, and away again when they are to be settled
        house.pump(ledger=flaky)  # type: ignore[arg-type]
        assert house.spool.waiting
    flaky.away = False
    house.pump(ledger=flaky)  # type: ignore[arg-type]
    assert house.states(message) == [State.ACCEPTED]


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_read_only_database_loses_no_answer_and_sets_none_aside(house: House, postgres: Postgres) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    held = house.ledger.claim(wish(house.clock.now(), Channel.GIFT)).messages[0]
    house.spool.append([settled(held, ACCEPTED, house.clock.now())])
    engine = house.ledger.engine
    postgres.execute(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on")
    engine.dispose()
    for _ in range(2):
        house.pump()
        assert house.spool.waiting
    postgres.execute(f"ALTER DATABASE {engine.url.database} RESET default_transaction_read_only")
    house.pump()
    assert house.states(message) == [State.ACCEPTED]
    assert list(house.folder.rglob("*.*")) == []


def test_while_the_ledger_is_away_nothing_more_is_claimed(house: House) -> None:
    house.capacity = 10
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(100)])
    house.pump(ledger=Flaky(house.ledger))  # type: ignore[arg-type]
    assert len(house.transport.carried) == 10


def test_a_spooled_answer_is_evidence_even_after_the_lease_was_swept(house: House) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    house.pump(ledger=Flaky(house.ledger))  # type: ignore[arg-type]
    tick = house.tick()
    house.clock.advance(timedelta(minutes=5))
    tick.run()
    assert house.states(message) == [State.IN_DOUBT]
    house.pump()
    assert house.states(message) == [State.ACCEPTED]


def test_the_clock_waits_for_spools_before_it_takes_leases_back(house: House) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    house.pump(ledger=Flaky(house.ledger))  # type: ignore[arg-type]
    tick = house.tick()
    house.clock.advance(timedelta(minutes=5))
    tick._reachable_since = None  # the ledger was away for the clock too
    tick.run()
    assert house.states(message) == [State.SENDING]
    house.pump()
    assert house.states(message) == [State.ACCEPTED]


def test_what_a_dead_process_left_is_taken_over(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    held = house.ledger.claim(wish(house.clock.now())).messages[0]
    Spool(house.folder, "somebody-else", house.ledger.identity).append([settled(held, ACCEPTED, house.clock.now())])
    house.pump()
    assert house.states(message) == [State.ACCEPTED]


def test_a_line_cut_off_by_a_crash_costs_only_itself(house: House, caplog: pytest.LogCaptureFixture) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    held = house.ledger.claim(wish(house.clock.now())).messages[0]
    house.spool.append([settled(held, ACCEPTED, house.clock.now())])
    (file,) = house.folder.rglob("*.jsonl")
    with file.open("ab") as handle:
        handle.write(b'{"attempt_id": "01')
    flaky = Flaky(house.ledger)
    for _ in range(2):
        house.pump(ledger=flaky)  # type: ignore[arg-type]
    flaky.away = False
    house.pump(ledger=flaky)  # type: ignore[arg-type]
    assert house.states(message) == [State.ACCEPTED]
    assert not house.spool.waiting
    (kept,) = house.folder.rglob("*.refused")
    assert len(kept.read_bytes().splitlines()) == 2, "for a person, once, however often the spool was tried"
    assert [each.line for each in house.spool.quarantined()] == ['{"attempt_id": "01']
    assert "spool_line_unreadable" in caplog.text
    assert "attempt_id" not in caplog.text


def test_one_settlement_that_the_ledger_refuses_does_not_hold_up_the_others(house: House) -> None:
    good, bad = sms(house.clock.now(), "good"), sms(house.clock.now(), "bad")
    house.enqueue(good, bad)
    held = {each.id: each for each in house.ledger.claim(wish(house.clock.now())).messages}
    taken = settled(held[bad.id], ACCEPTED, house.clock.now())
    impossible = replace(taken, decision=replace(taken.decision, state=State.SENDING))  # a CHECK refuses it: no lease
    house.spool.append([impossible, settled(held[good.id], ACCEPTED, house.clock.now())])
    house.pump()
    assert house.states(good, bad) == [State.ACCEPTED, State.SENDING]
    assert not house.spool.waiting
    assert len(list(house.folder.rglob("*.refused"))) == 1, "what was refused is kept for a person"


def _append_many(spool: Spool, held: Claimed, times: int) -> None:
    clock = FakeClock()
    for _ in range(times):
        spool.append([settled(held, ACCEPTED, clock.now())])


def test_nothing_is_lost_between_one_that_writes_and_one_that_settles(house: House) -> None:
    """A file that is settled and removed at the moment of an append must not swallow the append."""
    house.enqueue(sms(house.clock.now()))
    held = house.ledger.claim(wish(house.clock.now())).messages[0]
    house.ledger.identity()  # the writer has no connection of its own
    writer = multiprocessing.get_context("fork").Process(target=_append_many, args=(house.spool, held, 300))
    writer.start()
    found: list[Settlement] = []

    def take(batch: Sequence[Settlement]) -> list[Quarantined]:
        found.extend(batch)
        return []

    while writer.is_alive() or house.spool.waiting:
        house.spool.drain(take)
    writer.join()
    assert len(found) == 300


def test_the_spool_holds_no_number_and_no_text(house: House) -> None:
    message = sms(house.clock.now(), "a very secret text")
    house.enqueue(message)
    house.pump(ledger=Flaky(house.ledger))  # type: ignore[arg-type]
    (file,) = house.folder.rglob("*.jsonl")
    content = file.read_text()
    assert str(message.id) in content
    assert "secret text" not in content
    assert message.recipient not in content
