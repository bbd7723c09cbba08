"""The clock's beat: idempotent, in any number."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis

from dispatcher.broker import RedisDutyReports
from dispatcher.domain.duty import Duty
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from tests.engine.conftest import House
from tests.making import gift, sms, wish

MINUTES = timedelta(minutes=5)


def test_it_rings_only_for_what_could_go_now(house: House) -> None:
    tick = house.tick()
    tick.run()
    assert house.bell.rings == 0
    house.enqueue(sms(house.clock.now(), due_at=house.clock.now() + MINUTES))
    tick.run()
    assert house.bell.rings == 0
    house.clock.advance(MINUTES)
    tick.run()
    assert house.bell.rings == 1


def test_a_lost_lease_is_ambiguous(house: House) -> None:
    text, card = sms(house.clock.now()), gift(house.clock.now())
    house.enqueue(text, card)
    for channel in Channel:
        house.ledger.claim(wish(house.clock.now(), channel))
    tick = house.tick()
    house.clock.advance(MINUTES)
    tick.run()
    assert house.states(text, card) == [State.QUEUED, State.IN_DOUBT]
    _, attempts, _ = house.books.story(text.id)
    assert [(a.outcome, a.error) for a in attempts] == [(OutcomeKind.IN_DOUBT, "lease_lost")]
    assert "may be a duplicate" in (attempts[0].why_next or "")
    assert house.books.message(text.id).attempts_made == 1


def test_two_sweeps_at_once_record_one_attempt(house: House) -> None:
    text = sms(house.clock.now())
    house.enqueue(text)
    house.ledger.claim(wish(house.clock.now()))
    one, two = house.tick(), house.tick()
    house.clock.advance(MINUTES)
    lost = house.ledger.lost_leases(now=house.clock.now(), limit=10)
    for tick in (one, two):
        house.ledger.settle([tick._give_up(message) for message in lost])
    _, attempts, _ = house.books.story(text.id)
    assert len(attempts) == 1


def test_what_is_too_late_expires(house: House) -> None:
    code = sms(house.clock.now(), expires_at=house.clock.now() + timedelta(minutes=1))
    house.enqueue(code)
    tick = house.tick()
    house.clock.advance(MINUTES)
    tick.run()
    assert house.states(code) == [State.EXPIRED]
    house.pump()
    assert house.transport.carried == []


@pytest.mark.parametrize("age", [timedelta(days=25), timedelta(days=400)], ids=str)
def test_a_lease_that_ran_out_long_ago_is_taken_back_and_the_clock_goes_on(house: House, age: timedelta) -> None:
    old = gift(house.clock.now())
    house.enqueue(old)
    house.ledger.claim(wish(house.clock.now(), Channel.GIFT))
    tick = house.tick()
    house.clock.advance(age)
    house.enqueue(sms(house.clock.now()))
    tick.run()
    assert house.states(old) == [State.IN_DOUBT]
    assert house.bell.rings == 1
    _, (attempt,), _ = house.books.story(old.id)
    assert attempt.latency_ms == 2**31 - 1


class Broken:
    """The real ledger, one of whose methods fails."""

    def __init__(self, ledger: object, method: str, error: Exception) -> None:
        self._ledger = ledger
        self._method = method
        self._error = error
        self.tries = 0

    def __getattr__(self, name: str) -> object:
        if name != self._method:
            return getattr(self._ledger, name)
        return self._fail

    def _fail(self, **_: object) -> None:
        self.tries += 1
        raise self._error


METHODS = {
    Duty.EXPIRE: "expire",
    Duty.CAMPAIGNS: "advance",
    Duty.OPERATIONS: "operate",
    Duty.LEASES: "lost_leases",
    Duty.COUNTS: "recount",
    Duty.STATISTICS: "fold",
    Duty.TRANSACTIONS: "oldest_transaction",
}


@pytest.mark.parametrize("error", [LedgerUnavailable("a lock"), OverflowError("a bug")], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("duty", Duty)
def test_a_duty_that_fails_neither_stops_another_nor_is_tried_at_every_beat(
    house: House, redis: Redis, duty: Duty, error: Exception
) -> None:
    late, lost = sms(house.clock.now(), expires_at=house.clock.now() + timedelta(minutes=1)), gift(house.clock.now())
    house.enqueue(lost)
    house.ledger.claim(wish(house.clock.now(), Channel.GIFT))
    house.enqueue(late)
    tick = house.tick()
    reports = RedisDutyReports(redis)
    house.clock.advance(timedelta(hours=2))  # what is done once an hour is due as well
    house.enqueue(sms(house.clock.now()))
    broken = Broken(house.ledger, METHODS[duty], error)
    tick.ledger, tick.reports = broken, reports  # type: ignore[assignment]
    tick._fold_at = 0
    rings = house.bell.rings
    for _ in range(20):
        tick.run()
        house.clock.advance(timedelta(seconds=1))
    assert house.bell.rings - rings == 20, "each beat rang for what is due"
    assert house.states(late) == [State.QUEUED if duty is Duty.EXPIRE else State.EXPIRED]
    assert house.states(lost) == [State.SENDING if duty is Duty.LEASES else State.IN_DOUBT]
    assert broken.tries == 5, "after 1, 2, 4 and 8 seconds"
    (found,) = reports.read()
    assert (found.duty, found.failures, found.reason) == (duty, 5, str(error))
    tick.ledger = house.ledger
    house.clock.advance(timedelta(minutes=1))
    tick.run()
    assert reports.read() == ()


def test_a_ledger_that_answers_nothing_costs_the_beat_and_blames_no_duty(house: House, redis: Redis) -> None:
    tick = house.tick()
    tick.reports = RedisDutyReports(redis)
    tick.ledger = Broken(house.ledger, "due", LedgerUnavailable("away"))  # type: ignore[assignment]
    for _ in range(5):
        tick.run()
    assert tick.reports.read() == ()
    assert tick._reachable_since is None


def test_an_impossible_row_costs_no_other_lease(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [gift(house.clock.now()) for _ in range(3)]
    house.enqueue(*messages)
    house.ledger.claim(wish(house.clock.now(), Channel.GIFT))
    tick = house.tick()
    house.clock.advance(MINUTES)
    give_up = type(tick)._give_up
    poison = messages[1].id

    def poisoned(self: object, message: object) -> object:
        settled = give_up(self, message)  # type: ignore[arg-type]
        bad = replace(settled.outcome, http_status=2**70)
        return replace(settled, outcome=bad) if settled.message_id == poison else settled

    monkeypatch.setattr(type(tick), "_give_up", poisoned)
    tick.run()
    assert house.states(*messages) == [State.IN_DOUBT, State.SENDING, State.IN_DOUBT]
