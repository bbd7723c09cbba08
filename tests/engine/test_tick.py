"""The clock's beat: idempotent, in any number."""

from __future__ import annotations

from datetime import timedelta

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
