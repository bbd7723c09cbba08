"""Many calls at once: capacity, order, hand-back, closing."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.domain.outcome import OutcomeKind

from .conftest import Connect
from .messages import TOKEN, SystemClock, gather, send, sms
from .stand import Peer, Stand, always, answer, once

NOW = timedelta(0)


def by_text(peer: Peer) -> None:
    """Answer after as many milliseconds as the message says."""
    while (received := peer.receive()) is not None:
        time.sleep(int(received.body.split(b"after ")[1].split(b" ")[0]) / 1000)
        peer.send(answer())


@pytest.mark.timed
def test_go_out_at_the_same_time(connect: Connect) -> None:
    with Stand(always(answer(), after=0.05)) as api:
        transport = connect(api.url, capacity=96, read_timeout=timedelta(seconds=5))
        transport.start([sms() for _ in range(96)], TOKEN)
        gather(transport, 96)
        started = time.monotonic()
        transport.start([sms() for _ in range(96)], TOKEN)
        sents = gather(transport, 96)
        took = time.monotonic() - started
    assert {sent.outcome.kind for sent in sents} == {OutcomeKind.ACCEPTED}
    assert took < 0.5  # one after the other they would take 4.8 s
    assert api.connections <= 96


def test_wait_their_turn_beyond_the_capacity(connect: Connect) -> None:
    with Stand(always(answer(), after=0.03)) as api:
        transport = connect(api.url, capacity=2)
        messages = [sms() for _ in range(9)]
        transport.start(messages, TOKEN)
        assert transport.in_flight == 9
        sents = gather(transport, 9)
    assert {sent.message.id for sent in sents} == {message.id for message in messages}
    assert transport.in_flight == 0
    assert api.connections == 2


def test_come_back_in_the_order_in_which_they_complete(connect: Connect) -> None:
    with Stand(by_text) as api:
        transport = connect(api.url)
        slow, middle, quick = sms("after 220 ms"), sms("after 120 ms"), sms("after 20 ms")
        transport.start([slow, middle, quick], TOKEN)
        sents = gather(transport, 3)
    assert [sent.message.id for sent in sents] == [quick.id, middle.id, slow.id]


@pytest.mark.timed
def test_start_returns_at_once_and_finished_waits_no_longer_than_told(connect: Connect) -> None:
    with Stand(always(answer(), after=0.2)) as api:
        transport = connect(api.url, capacity=64)
        started = time.monotonic()
        transport.start([sms() for _ in range(32)], TOKEN)
        assert time.monotonic() - started < 0.15
        assert transport.finished(wait=NOW) == []
        started = time.monotonic()
        assert transport.finished(wait=timedelta(seconds=0.05)) == []
        assert 0.045 < time.monotonic() - started < 0.15
        gather(transport, 32)


def test_finished_takes_all_that_are_ready(connect: Connect) -> None:
    with Stand(always(answer())) as api:
        transport = connect(api.url)
        transport.start([sms() for _ in range(12)], TOKEN)
        time.sleep(0.3)
        assert transport.in_flight == 12
        assert len(transport.finished(wait=timedelta(seconds=5))) == 12
        assert transport.in_flight == 0
        assert transport.finished(wait=NOW) == []


@pytest.mark.timed
def test_tell_when_they_began_and_how_long_they_took(connect: Connect) -> None:
    with Stand(always(answer(), after=0.1)) as api:
        before = datetime.now(UTC)
        sent = send(connect(api.url))
    assert before <= sent.started_at <= before + timedelta(seconds=0.1)
    assert timedelta(seconds=0.1) <= sent.latency < timedelta(seconds=0.3)
    assert sent.token_generation == 7


def test_a_mistake_of_ours_becomes_an_outcome_and_the_next_call_goes_on(connect: Connect) -> None:
    class Moody(SystemClock):
        """Fails once, after the answer came."""

        failing = 0

        def now(self) -> datetime:
            self.failing += 1
            if self.failing == 3:
                raise ZeroDivisionError
            return super().now()

    with Stand(always(answer())) as api:
        transport = connect(api.url, capacity=1, clock=Moody())
        outcome = send(transport).outcome
        assert (outcome.kind, outcome.error) == (OutcomeKind.IN_DOUBT, "ZeroDivisionError")
        assert send(transport).outcome.kind is OutcomeKind.ACCEPTED


@pytest.mark.timed
def test_closing_breaks_hanging_calls_off_at_once(connect: Connect) -> None:
    before = threading.active_count()
    with Stand(once(then=Peer.hang)) as api:
        transport = connect(api.url, capacity=8, read_timeout=timedelta(seconds=30))
        transport.start([sms() for _ in range(10)], TOKEN)
        while len(api.received) < 8:
            time.sleep(0.01)
        started = time.monotonic()
        transport.close()
        assert time.monotonic() - started < 0.1
        sents = gather(transport, 10, within=1)
    kinds = [sent.outcome.kind for sent in sents]
    assert kinds.count(OutcomeKind.IN_DOUBT) == 8
    assert kinds.count(OutcomeKind.NOT_SENT) == 2  # they had not begun
    assert len(api.received) == 8
    end = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_nothing_starts_once_closed(connect: Connect) -> None:
    transport = connect("http://127.0.0.1:1")
    transport.close()
    transport.close()
    with pytest.raises(RuntimeError, match="closed"):
        transport.start([sms()], TOKEN)
