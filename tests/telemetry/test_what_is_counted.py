"""What the engine tells its meter, by what happens on a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from dispatcher.domain.attempt import Claimed, Sent, Settlement
from dispatcher.domain.errors import LedgerUnavailable, TokenUnavailable
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome
from dispatcher.ledger import SqlLedger
from dispatcher.ports import ClaimRequest, Permits, Taken
from dispatcher.telemetry.board import Board
from dispatcher.telemetry.catalogue import CLOCK, WORKER
from dispatcher.telemetry.counting import LAYOUT, CountingMeter
from dispatcher.telemetry.exposition import BoardCollector
from dispatcher.testing import ACCEPTED, ScriptedTransport
from tests.engine.conftest import House
from tests.making import gift, sms, wish
from tests.telemetry.reading import Numbers, gathered

Read = Callable[[], Numbers]


class Altered:
    """The real ledger, of which a test replaces what it wants."""

    def __init__(self, ledger: SqlLedger, **calls: Callable[..., object]) -> None:
        self._ledger = ledger
        self._calls = calls

    def __getattr__(self, name: str) -> object:
        return self._calls.get(name) or getattr(self._ledger, name)


class OneAtATime(ScriptedTransport):
    """Hands back one call at a time, while the others stay in flight."""

    def finished(self, *, wait: timedelta) -> list[Sent]:
        others = [self._pending.pop() for _ in range(len(self._pending) - 1)]
        done = super().finished(wait=wait)
        self._pending.extend(others)
        return done


@pytest.fixture
def read(house: House) -> Read:
    """Give the house a meter, and return what reads it."""
    board = Board(LAYOUT.width)
    row = board.take(0)
    assert row is not None
    house.meter = CountingMeter(row)
    return lambda: gathered([BoardCollector(board, (*WORKER, *CLOCK))])


def away(*_: object, **__: object) -> frozenset[MessageId]:
    raise LedgerUnavailable("somebody restarts it")


def test_claims_and_settlements_by_batch_and_message(house: House, read: Read) -> None:
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(120)], gift(house.clock.now()))
    house.pump()
    numbers = read()
    assert numbers.of("dispatcher_worker_claimed_messages_total", channel="sms") == 120
    assert numbers.of("dispatcher_worker_claimed_messages_total", channel="gift") == 1
    assert numbers.of("dispatcher_worker_claim_seconds_count", channel="sms") >= 3, "capacity is 50"
    assert numbers.of("dispatcher_worker_settled_attempts_total") == 121
    assert 3 <= numbers.of("dispatcher_worker_settle_seconds_count") <= 10, "batches, not messages"
    assert numbers.of("dispatcher_worker_late_settlements_total") == 0
    assert numbers.of("dispatcher_worker_permit_seconds_count") >= 4
    assert numbers.of("dispatcher_worker_token_seconds_count") >= 4
    assert numbers.of("dispatcher_worker_pump_seconds_count") == 1


def test_what_is_in_flight_while_it_is(house: House, read: Read) -> None:
    seen: list[tuple[float, float]] = []

    def answer(_message: Claimed) -> Outcome:
        numbers = read()
        seen.append(
            (
                numbers.of("dispatcher_worker_in_flight", channel="sms"),
                numbers.of("dispatcher_worker_in_flight", channel="gift"),
            )
        )
        return ACCEPTED

    house.transport.answer = answer
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(7)], gift(house.clock.now()))
    house.pump()
    assert set(seen) == {(7, 1)}
    assert read().of("dispatcher_worker_in_flight", channel="sms") == 0


def test_time_that_the_ledger_takes(house: House, read: Read) -> None:
    def slow(request: ClaimRequest) -> Taken:
        house.clock.advance(timedelta(milliseconds=200))
        return house.ledger.claim(request)

    house.enqueue(sms(house.clock.now()))
    house.pump(ledger=Altered(house.ledger, claim=slow))  # type: ignore[arg-type]
    numbers = read()
    claims = numbers.of("dispatcher_worker_claim_seconds_count", channel="sms")
    assert numbers.of("dispatcher_worker_claim_seconds_sum", channel="sms") == pytest.approx(0.2 * claims)
    assert numbers.of("dispatcher_worker_claim_seconds_bucket", channel="sms", le="0.1") == 0
    assert numbers.of("dispatcher_worker_claim_seconds_bucket", channel="sms", le="0.25") == claims


def test_late_settlements(house: House, read: Read) -> None:
    def too_late(_: Sequence[Settlement]) -> frozenset[MessageId]:
        return frozenset()

    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(3)])
    house.pump(ledger=Altered(house.ledger, settle=too_late))  # type: ignore[arg-type]
    assert read().of("dispatcher_worker_late_settlements_total") == 3


def test_answers_that_go_to_the_spool_and_a_ledger_that_stays_away(house: House, read: Read) -> None:
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(3)])
    gone = Altered(house.ledger, settle=away)
    house.pump(ledger=gone)  # type: ignore[arg-type]
    numbers = read()
    assert numbers.of("dispatcher_worker_spooled_attempts_total") == 3
    assert numbers.of("dispatcher_worker_settled_attempts_total") == 0
    assert numbers.of("dispatcher_worker_ledger_failures_total", call="settle") == 1
    house.pump(ledger=gone)  # type: ignore[arg-type]
    assert read().of("dispatcher_worker_ledger_failures_total", call="spool") > 1


def test_a_claim_that_fails_holds_the_line(house: House, read: Read) -> None:
    house.pump(ledger=Altered(house.ledger, claim=away))  # type: ignore[arg-type]
    numbers = read()
    assert numbers.of("dispatcher_worker_ledger_failures_total", call="claim") == 1, (
        "a ledger that is away is not asked again"
    )
    assert numbers.of("dispatcher_worker_holds_total", channel="gift", reason="ledger") == 1


def test_a_rate_that_holds_the_line_for_the_whole_slice(house: House, read: Read) -> None:
    house.limiter.held[Channel.SMS] = Permits(count=0, wait=timedelta(milliseconds=250), reason="rate")
    house.limiter.held[Channel.GIFT] = Permits(count=0, wait=timedelta(minutes=1), reason="breaker")
    house.pump()
    numbers = read()
    assert numbers.of("dispatcher_worker_holds_total", channel="sms", reason="rate") == 20
    assert numbers.of("dispatcher_worker_held_seconds_total", channel="sms", reason="rate") == 5
    assert numbers.of("dispatcher_worker_held_seconds_total", channel="gift", reason="breaker") == 5
    assert numbers.of("dispatcher_worker_pump_seconds_sum") == 5


@pytest.mark.parametrize("reason", ["throttled", "breaker"])
def test_a_wait_that_is_the_clocks_business_is_counted_and_takes_no_time(house: House, read: Read, reason: str) -> None:
    house.limiter.held[Channel.SMS] = Permits(count=0, wait=timedelta(seconds=30), reason=reason)
    house.pump()
    numbers = read()
    assert numbers.of("dispatcher_worker_holds_total", channel="sms", reason=reason) == 1
    assert numbers.of("dispatcher_worker_held_seconds_total", channel="sms", reason=reason) < 0.1
    assert numbers.of("dispatcher_worker_holds_total", channel="gift", reason=reason) == 0


def test_a_token_that_is_not_to_be_had(house: House, read: Read) -> None:
    house.token.trouble = TokenUnavailable("the token endpoint is down", retry_after=timedelta(seconds=30))
    house.pump()
    numbers = read()
    assert numbers.of("dispatcher_worker_holds_total", channel="sms", reason="token") == 1
    assert numbers.of("dispatcher_worker_token_seconds_count") == 2


def test_leases_that_are_prolonged(house: House, read: Read) -> None:
    def slow(_message: Claimed) -> Outcome:
        house.clock.advance(timedelta(seconds=40))
        return ACCEPTED

    house.transport = OneAtATime(house.clock)
    house.transport.answer = slow
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(2)])
    house.pump()
    assert read().of("dispatcher_worker_renewed_leases_total") == 1


def test_beats_and_what_they_find(house: House, read: Read) -> None:
    house.enqueue(sms(house.clock.now()), sms(house.clock.now(), "two"))
    house.ledger.claim(wish(house.clock.now(), count=1))
    tick = house.tick()
    house.clock.advance(timedelta(days=4))
    tick.run(late=timedelta(milliseconds=300))
    numbers = read()
    assert numbers.of("dispatcher_clock_tick_seconds_count") == 2
    assert numbers.of("dispatcher_clock_lag_seconds_sum") == 0.3
    assert numbers.of("dispatcher_clock_expired_messages_total") == 1
    assert numbers.of("dispatcher_clock_lost_leases_total") == 1
    assert numbers.of("dispatcher_clock_failed_ticks_total") == 0


def test_the_oldest_open_transaction(house: House, read: Read) -> None:
    @dataclass(frozen=True)
    class Held:
        pid: int = 1
        application: str = "pg_dump"
        role: str = "postgres"
        open_for: timedelta = timedelta(minutes=7)
        is_long: bool = True

    tick = house.tick()
    tick.ledger = Altered(house.ledger, oldest_transaction=Held)  # type: ignore[assignment]
    tick.run()
    assert read().of("dispatcher_clock_oldest_transaction_seconds") == 420


def test_beats_that_fail(house: House, read: Read) -> None:
    tick = house.tick()
    tick.ledger = Altered(house.ledger, due=away)  # type: ignore[assignment]
    tick.run()
    numbers = read()
    assert numbers.of("dispatcher_clock_failed_ticks_total") == 1
    assert numbers.of("dispatcher_clock_tick_seconds_count") == 2


def test_duties_that_fail(house: House, read: Read) -> None:
    tick = house.tick()
    tick.ledger = Altered(house.ledger, expire=away)  # type: ignore[assignment]
    tick.run()
    numbers = read()
    assert numbers.of("dispatcher_clock_failed_ticks_total") == 0
    assert numbers.of("dispatcher_clock_duty_failures_total", duty="expire") == 1
    assert numbers.of("dispatcher_clock_duty_failures_total", duty="leases") == 0


def test_calls_that_an_earlier_pump_left_behind_do_not_break_the_next(house: House, read: Read) -> None:
    """A pump that ends by an error leaves its calls in the process's transport; who comes next settles them."""
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(4)])
    left = house.ledger.claim(wish(house.clock.now(), count=3)).messages
    house.transport.start(left, house.token.token("write"))
    assert house.pump() == 4
    numbers = read()
    assert numbers.of("dispatcher_worker_settled_attempts_total") == 4
    assert numbers.of("dispatcher_worker_in_flight", channel="sms") == 0
