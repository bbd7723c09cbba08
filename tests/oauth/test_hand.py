"""What a process holds in its hand, between threads that read, complain and refresh at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatcher.oauth.hand import Hand, Held, held_until
from dispatcher.ports import Token

from .timing import SteppedClock


@pytest.fixture
def hand(clock: SteppedClock) -> Hand:
    return Hand(clock)


def held(clock: SteppedClock, generation: int, seconds: float) -> Held:
    token = Token(value="abc", generation=generation, scopes=frozenset())
    return held_until(clock.monotonic() + seconds, token=token, life=timedelta(seconds=seconds), roll=0.5)


def test_what_was_read_before_it_was_refused_is_not_taken_after(hand: Hand, clock: SteppedClock) -> None:
    read = held(clock, 1, 100)
    hand.give_up(1)
    hand.take(read)
    assert hand.usable() is None


def test_the_longer_lived_token_stays(hand: Hand, clock: SteppedClock) -> None:
    hand.take(held(clock, 2, 100))
    hand.take(held(clock, 3, 50))
    hand.take(held(clock, 2, 200))  # the same again, as a look at Redis finds it
    usable = hand.usable()
    assert usable is not None
    assert (usable.token.generation, usable.ends_at) == (2, clock.monotonic() + 100)
    hand.take(held(clock, 1, 150))
    usable = hand.usable()
    assert usable is not None
    assert usable.token.generation == 1


def test_a_token_past_its_end_is_neither_taken_nor_used(hand: Hand, clock: SteppedClock) -> None:
    hand.take(held(clock, 1, 0))
    assert hand.usable() is None
    hand.take(held(clock, 2, 100))
    clock.step(90)
    assert hand.fresh() is None
    assert hand.usable() is not None
    clock.step(10)
    assert hand.usable() is None


def test_only_the_newest_refusals_are_remembered(hand: Hand) -> None:
    for generation in range(1000):
        hand.give_up(generation)
    assert hand.refused(999)
    assert not hand.refused(0)


def test_a_private_generation_is_newer_than_any_known(hand: Hand, clock: SteppedClock) -> None:
    ahead = int(clock.now().timestamp() * 1000) + 1_000_000
    hand.keep(held(clock, ahead, 100))
    assert hand.private_generation() == ahead + 1
