"""A campaign's counts: always those of its rows, however they came about, and kept by the clock for whoever looks."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select

from dispatcher.campaigns import Campaigns
from dispatcher.domain.errors import DispatcherError
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.ledger import Books, By, CampaignBooks, Filter, Resolution, SqlLedger
from dispatcher.ledger.engine import reading
from dispatcher.ledger.tables import MESSAGES
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers
from tests.making import outcome, settled, sms, wish

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def counting_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the stopwatch: on a busy machine a count takes long, and what takes long is counted less often."""
    monkeypatch.setattr("dispatcher.ledger.counts.time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.fixture
def shelf(engine: Engine) -> CampaignBooks:
    return CampaignBooks(engine=engine)


def begin(engine: Engine, clock: FakeClock, name: str, size: int, first: int = 0) -> tuple[Campaigns, UUID]:
    campaigns = campaigns_on(engine, clock)
    made = campaigns.create(numbers(size, first), name=name, template="Hi")
    return campaigns, campaigns.start(made.campaign.id).id


def scanned(engine: Engine, campaign: UUID) -> dict[State, int]:
    """Count from the rows themselves."""
    rows = select(MESSAGES.c.state, func.count()).where(MESSAGES.c.campaign_id == campaign).group_by(MESSAGES.c.state)
    with reading(engine) as connection:
        return {State(row[0]): row[1] for row in connection.execute(rows)}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (2, 3))])
def test_counts_are_those_of_the_rows_whatever_happened(
    engine: Engine, books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock, seed: int
) -> None:
    dice = random.Random(seed)
    campaigns, one = begin(engine, clock, "one", 60)
    _, other = begin(engine, clock, "other", 25, first=100)
    books.enqueue([sms(clock.now(), bulk=True) for _ in range(10)], source="test")
    kinds = [OutcomeKind.ACCEPTED, OutcomeKind.REJECTED, OutcomeKind.IN_DOUBT, OutcomeKind.FAILED]
    acts = [*["send"] * 4, "cancel", "replay", "resolve", "suppress", "expire", "retry", "call off"]
    for turn in range(60):
        by = By(actor="test", reason="dice", now=clock.now())
        anybody = dice.choice(books.messages(Filter(), limit=200)).id
        try:
            match dice.choice(acts) if turn < 58 else "call off":
                case "send":
                    claimed = ledger.claim(wish(clock.now(), count=dice.randint(1, 12))).messages
                    done = [each for each in claimed if dice.random() < 0.9]  # the others stay under way
                    ledger.settle([settled(each, outcome(dice.choice(kinds)), clock.now()) for each in done])
                case "cancel":
                    books.cancel(anybody, by)
                case "replay":
                    books.replay(anybody, by, budget=5, life=timedelta(hours=1))
                case "resolve":
                    answer = dice.choice(list(Resolution))
                    books.resolve(anybody, answer, by, budget=5, life=timedelta(hours=1))
                case "suppress":
                    shelf.suppress(Channel.SMS, [dice.choice(numbers(60))], by)
                case "expire":
                    ledger.expire(now=clock.now() + timedelta(days=60), limit=2)
                case "retry":
                    campaigns.retry_failed(one)
                case "call off" if turn >= 58:
                    campaigns.cancel(other)
        except DispatcherError:
            continue  # what was asked for is not possible with this one
        clock.advance(SECOND)
        ledger.advance(now=clock.now())
        assert shelf.counted(one) == scanned(engine, one)
        assert shelf.counted(other) == scanned(engine, other)
    assert len(scanned(engine, one)) >= 4


def test_the_clock_keeps_what_it_counted(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaigns, id_ = begin(engine, clock, "spring", 50)
    assert shelf.find(id_).counted(now=clock.now()) is None
    for _ in range(5):
        ledger.recount(now=clock.now(), patience=SECOND)
        claimed = ledger.claim(wish(clock.now(), count=4)).messages
        ledger.settle([settled(each, outcome(OutcomeKind.ACCEPTED), clock.now()) for each in claimed])
        clock.advance(SECOND)
    kept = shelf.find(id_).counted(now=clock.now())
    assert kept is not None
    assert kept.states == {State.QUEUED: 34, State.ACCEPTED: 16}
    assert kept.per_second == pytest.approx(4)
    (listed,) = campaigns.listed()
    assert (listed.sent, listed.waiting, listed.counted_at) == (16, 34, clock.now() - SECOND)
    assert campaigns.progress(id_).sent == 20
    assert campaigns.progress(id_, lately=True).sent == 16
    clock.advance(timedelta(seconds=40))  # nobody counts any more: then it is counted by whoever looks
    (listed,) = campaigns.listed()
    assert (listed.sent, listed.rate_now, listed.counted_at) == (20, 0.0, clock.now())


def test_what_takes_long_is_counted_less_often(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, id_ = begin(engine, clock, "spring", 10)
    moments = iter([0.0, 0.0, 0.0, 0.5, *[1.0] * 1000])
    monkeypatch.setattr("dispatcher.ledger.counts.time", SimpleNamespace(monotonic=lambda: next(moments)))
    ledger.recount(now=clock.now(), patience=timedelta(seconds=5))  # took half a second
    first = clock.now()
    counted: list[datetime] = []
    for _ in range(30):
        clock.advance(SECOND)
        ledger.recount(now=clock.now(), patience=timedelta(seconds=5))
        at = shelf.find(id_).counted_at
        counted += [] if at in (None, first) else [at]
    assert min(counted) == first + timedelta(seconds=10)


def test_patience_leaves_the_rest_for_the_next_beat(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    ids = [begin(engine, clock, f"no. {place}", 2, first=10 * place)[1] for place in range(6)]
    ledger.recount(now=clock.now(), patience=timedelta(0))
    assert Counter(shelf.find(id_).counted_at for id_ in ids) == {None: 6}
    ledger.recount(now=clock.now(), patience=timedelta(seconds=5))
    assert Counter(shelf.find(id_).counted_at for id_ in ids) == {clock.now(): 6}


def test_a_campaign_that_is_over_is_counted_again_when_somebody_answers_for_one(
    engine: Engine, books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaigns, id_ = begin(engine, clock, "spring", 3)
    claimed = ledger.claim(wish(clock.now(), count=3)).messages
    ledger.settle([settled(each, outcome(OutcomeKind.IN_DOUBT), clock.now()) for each in claimed])
    doubtful = [each.id for each in claimed if books.message(each.id).state is State.IN_DOUBT]
    if not doubtful:  # an SMS in doubt is tried again until its attempts are spent
        for _ in range(10):
            clock.advance(timedelta(hours=1))
            again = ledger.claim(wish(clock.now(), count=3)).messages
            ledger.settle([settled(each, outcome(OutcomeKind.IN_DOUBT), clock.now()) for each in again])
        doubtful = [each.id for each in claimed if books.message(each.id).state is State.IN_DOUBT]
    ledger.advance(now=clock.now())
    clock.advance(timedelta(hours=1))
    ledger.recount(now=clock.now(), patience=SECOND)
    before = shelf.find(id_).counted_at
    clock.advance(timedelta(minutes=1))
    ledger.recount(now=clock.now(), patience=SECOND)
    assert shelf.find(id_).counted_at == before
    by = By(actor="olga", reason="seen in their console", now=clock.now())
    books.resolve(doubtful[0], Resolution.SENT, by, budget=5, life=timedelta(hours=1))
    ledger.recount(now=clock.now(), patience=SECOND)
    (listed,) = campaigns.listed()
    assert (listed.counted_at, listed.sent) == (clock.now(), 1)
