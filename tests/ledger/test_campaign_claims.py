"""Claims of campaigns: who opted out, windows, own rates, budgets, fair shares; and what time does to campaigns."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from dispatcher.domain.errors import TransitionRefused
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import Books, By, CampaignBooks, Filter, Resolution, SqlLedger, after_campaigns
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.operations import audit_each
from dispatcher.ledger.tables import CAMPAIGNS, MESSAGES
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers, rows
from tests.making import outcome, settled, sms, wish


@pytest.fixture
def shelf(engine: Engine) -> CampaignBooks:
    return CampaignBooks(engine=engine)


def begin(engine: Engine, clock: FakeClock, name: str, size: int, *, first: int = 0, **wanted: Any) -> str:
    """Make a campaign of SMS and start it."""
    campaigns = campaigns_on(engine, clock)
    made = campaigns.create(rows(size, first), name=name, template="Hi {first_name}", **wanted)
    return str(campaigns.start(made.campaign.id).id)


def begin_gifts(engine: Engine, clock: FakeClock, size: int, budget: str, amount: str = "10.00") -> str:
    campaigns = campaigns_on(engine, clock)
    terms = {"channel": "gift", "sku": "CARD", "amount": amount, "currency": "AUD", "budget": budget}
    made = campaigns.create(numbers(size), name="winners", **terms)  # type: ignore[arg-type]
    return str(campaigns.start(made.campaign.id).id)


def by(clock: FakeClock, reason: str = "test") -> By:
    return By(actor="olga", reason=reason, now=clock.now())


def test_an_opt_out_counts_for_what_is_queued_already(
    engine: Engine, books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    begin(engine, clock, "spring", 10)
    gone = numbers(10)[3]
    shelf.suppress(Channel.SMS, [gone], by(clock))
    claimed = ledger.claim(wish(clock.now(), count=10)).messages
    assert gone not in {message.recipient for message in claimed}
    assert len(claimed) == 9
    suppressed = books.messages(Filter(states=(State.SUPPRESSED,)))
    assert [(m.recipient, m.last_error) for m in suppressed] == [(gone, "the recipient opted out")]


def test_opted_out_ones_do_not_take_the_places_of_others(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    begin(engine, clock, "spring", 30)
    shelf.suppress(Channel.SMS, numbers(20), by(clock))
    assert len(ledger.claim(wish(clock.now(), count=10)).messages) == 10


def test_an_opt_out_of_one_channel_leaves_the_other(
    books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    message = sms(clock.now())
    books.enqueue([message], source="test")
    shelf.suppress(Channel.GIFT, [message.recipient], by(clock))
    assert len(ledger.claim(wish(clock.now())).messages) == 1


def test_a_one_time_code_to_an_opted_out_number_is_suppressed_too(
    books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    message = sms(clock.now())
    books.enqueue([message], source="test")
    shelf.suppress(Channel.SMS, [message.recipient], by(clock))
    assert ledger.claim(wish(clock.now())).messages == []
    assert books.message(message.id).state is State.SUPPRESSED


def test_nothing_is_claimed_outside_the_window_and_the_clock_opens_it_anew(
    engine: Engine, ledger: SqlLedger, clock: FakeClock
) -> None:
    clock.set(datetime(2026, 11, 24, 8, 0, tzinfo=UTC))
    begin(engine, clock, "spring", 10, window="09:00-10:00 UTC")
    assert ledger.claim(wish(clock.now())).messages == []
    assert not any(due.waiting for due in ledger.due(now=clock.now()))
    clock.set(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    assert any(due.waiting for due in ledger.due(now=clock.now()))
    assert len(ledger.claim(wish(clock.now(), count=4)).messages) == 4
    clock.set(datetime(2026, 11, 24, 10, 0, tzinfo=UTC))
    assert ledger.claim(wish(clock.now())).messages == [], "the end of the window is not in it"
    ledger.advance(now=clock.now())
    assert ledger.claim(wish(clock.now())).messages == []
    clock.set(datetime(2026, 11, 25, 9, 0, tzinfo=UTC))
    assert len(ledger.claim(wish(clock.now())).messages) == 6


def test_each_recipients_own_zone_decides(engine: Engine, ledger: SqlLedger, clock: FakeClock) -> None:
    clock.set(datetime(2026, 11, 24, 9, 30, tzinfo=UTC))  # 09:30 in London, 20:30 in Sydney, 04:30 in New York
    campaigns = campaigns_on(engine, clock)
    everybody = ["+447400123456", "+61491570006", "+12125550123"]
    made = campaigns.create(everybody, name="world", template="Hello", window="09:00-17:00")
    campaigns.start(made.campaign.id)
    assert [m.recipient for m in ledger.claim(wish(clock.now())).messages] == ["+447400123456"]
    clock.set(datetime(2026, 11, 24, 14, 0, tzinfo=UTC))
    ledger.advance(now=clock.now())
    assert [m.recipient for m in ledger.claim(wish(clock.now())).messages] == ["+12125550123"]


def test_a_campaigns_own_rate_holds_over_all_workers(engine: Engine, clock: FakeClock) -> None:
    begin(engine, clock, "slow", 1000, rate="50/s burst 5")
    workers = [SqlLedger.on(engine) for _ in range(3)]
    taken: list[tuple[datetime, int]] = []
    for step in range(400):  # four seconds
        clock.advance(timedelta(milliseconds=10))
        count = len(workers[step % 3].claim(wish(clock.now(), count=20)).messages)
        taken += [(clock.now(), count)] if count else []
    total = sum(count for _, count in taken)
    assert 200 <= total <= 205
    for moment, _ in taken:
        within = sum(count for at, count in taken if moment <= at < moment + timedelta(seconds=1))
        assert within <= 55


def test_a_claim_says_when_the_rate_allows_the_next(engine: Engine, ledger: SqlLedger, clock: FakeClock) -> None:
    begin(engine, clock, "slow", 10, rate="10/s burst 2")
    taken = ledger.claim(wish(clock.now()))
    assert len(taken.messages) == 2
    assert taken.again_in == timedelta(milliseconds=100)
    clock.advance(taken.again_in)
    assert len(ledger.claim(wish(clock.now())).messages) == 1


def test_a_rest_does_not_add_up_to_more_than_the_burst(engine: Engine, ledger: SqlLedger, clock: FakeClock) -> None:
    begin(engine, clock, "slow", 100, rate="10/s burst 3")
    ledger.claim(wish(clock.now()))
    clock.advance(timedelta(minutes=5))
    assert len(ledger.claim(wish(clock.now())).messages) == 3


def test_a_message_of_a_cancelled_campaign_is_not_replayed(
    engine: Engine, books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    campaign = begin(engine, clock, "spring", 1)
    message = ledger.claim(wish(clock.now())).messages[0]
    ledger.settle([settled(message, outcome(OutcomeKind.REJECTED, http_status=400), clock.now())])
    campaigns_on(engine, clock).cancel(campaign)
    with pytest.raises(TransitionRefused, match="none of a cancelled campaign"):
        books.replay(message.id, by(clock), budget=3, life=timedelta(hours=1))


def test_a_rate_of_one_campaign_does_not_slow_another(engine: Engine, ledger: SqlLedger, clock: FakeClock) -> None:
    slow = begin(engine, clock, "slow", 50, rate="1/s")
    fast = begin(engine, clock, "fast", 50, first=1000)
    found = Counter(str(m.campaign_id) for m in ledger.claim(wish(clock.now(), count=40)).messages)
    assert found == {slow: 1, fast: 39}


def test_a_budget_stops_the_campaign_with_the_reason_and_exactly_there(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaign = begin_gifts(engine, clock, 10, "45.00")
    claimed = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    assert len(claimed) == 4
    assert ledger.claim(wish(clock.now(), Channel.GIFT)).messages == []
    assert shelf.find(campaign).state is CampaignState.RUNNING, "what is under way may yet free some of it"
    ledger.settle([settled(each, outcome(OutcomeKind.ACCEPTED, http_status=200), clock.now()) for each in claimed])
    assert ledger.claim(wish(clock.now(), Channel.GIFT)).messages == []
    found = shelf.find(campaign)
    assert (found.state, found.spent, found.paused_by) == (CampaignState.PAUSED, 4000, "dispatcher")
    assert found.pause_reason == "the budget is used up (AUD 40.00 of 45.00): the next gift of 10.00 does not fit"


def test_a_gift_that_was_certainly_not_carried_out_gives_its_money_back(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaign = begin_gifts(engine, clock, 10, "20.00")
    dead, again = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    assert shelf.find(campaign).spent == 2000
    ledger.settle(
        [
            settled(dead, outcome(OutcomeKind.REJECTED, http_status=400), clock.now()),
            settled(again, outcome(OutcomeKind.NOT_SENT), clock.now()),
        ]
    )
    assert shelf.find(campaign).spent == 0
    assert len(ledger.claim(wish(clock.now(), Channel.GIFT)).messages) == 2


def test_a_gift_in_doubt_keeps_its_money_until_a_person_says_that_it_was_not_sent(
    engine: Engine, books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaign = begin_gifts(engine, clock, 10, "10.00")
    claimed = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    ledger.settle([settled(claimed[0], outcome(OutcomeKind.IN_DOUBT), clock.now())])
    assert shelf.find(campaign).spent == 1000
    ledger.claim(wish(clock.now(), Channel.GIFT))
    assert shelf.find(campaign).state is CampaignState.PAUSED
    books.resolve(claimed[0].id, Resolution.NOT_SENT, by(clock), budget=3, life=timedelta(hours=1))
    assert (shelf.find(campaign).spent, shelf.find(campaign).spent_that_day) == (0, 0)


def test_a_days_budget_lets_the_campaign_go_on_tomorrow(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    clock.set(datetime(2026, 11, 24, 23, 0, tzinfo=UTC))
    campaign = begin_gifts(engine, clock, 10, "25.00/day")
    claimed = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    ledger.settle([settled(each, outcome(OutcomeKind.ACCEPTED, http_status=200), clock.now()) for each in claimed])
    assert ledger.claim(wish(clock.now(), Channel.GIFT)).messages == []
    found = shelf.find(campaign)
    assert (found.state, found.paused_until) == (CampaignState.PAUSED, datetime(2026, 11, 25, tzinfo=UTC))
    clock.set(datetime(2026, 11, 25, 0, 0, 1, tzinfo=UTC))
    assert ledger.advance(now=clock.now()).resumed == ("winners",)
    assert len(ledger.claim(wish(clock.now(), Channel.GIFT)).messages) == 2
    assert (shelf.find(campaign).spent, shelf.find(campaign).spent_that_day) == (4000, 2000)


def test_money_given_back_after_midnight_is_not_taken_from_the_new_day(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    clock.set(datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC))
    campaign = begin_gifts(engine, clock, 10, "20.00/day")
    old = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    clock.set(datetime(2026, 11, 25, 0, 0, 1, tzinfo=UTC))
    ledger.claim(wish(clock.now(), Channel.GIFT))
    ledger.settle([settled(each, outcome(OutcomeKind.REJECTED, http_status=400), clock.now()) for each in old])
    assert (shelf.find(campaign).spent, shelf.find(campaign).spent_that_day) == (2000, 2000)


def test_many_workers_at_once_never_overdraw_a_budget(engine: Engine, shelf: CampaignBooks, clock: FakeClock) -> None:
    campaign = begin_gifts(engine, clock, 100, "333.00")
    claimed: list[object] = []

    def work() -> None:
        mine = SqlLedger.on(engine)
        for _ in range(20):
            for message in mine.claim(wish(clock.now(), Channel.GIFT, count=5)).messages:
                claimed.append(message.id)
                mine.settle([settled(message, outcome(OutcomeKind.ACCEPTED, http_status=200), clock.now())])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 33
    assert shelf.find(campaign).spent == 33000


def test_two_campaigns_of_unlike_size_share_evenly(engine: Engine, ledger: SqlLedger, clock: FakeClock) -> None:
    large = begin(engine, clock, "large", 500)
    small = begin(engine, clock, "small", 60, first=1000)
    found: Counter[str] = Counter()
    for _ in range(12):
        found.update(str(m.campaign_id) for m in ledger.claim(wish(clock.now(), count=10)).messages)
    assert found == {large: 60, small: 60}


def test_starts_come_pauses_end_and_the_last_message_finishes_a_campaign(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaigns = campaigns_on(engine, clock)
    starts_at = clock.now() + timedelta(minutes=10)
    made = campaigns.create(numbers(2), name="spring", template="Hello", starts_at=starts_at).campaign
    assert made.state is CampaignState.SCHEDULED
    assert ledger.advance(now=clock.now()).started == ()
    clock.set(starts_at)
    assert ledger.advance(now=clock.now()).started == ("spring",)
    campaigns.pause(made.id, reason="wait", until=clock.now() + timedelta(minutes=1))
    assert ledger.claim(wish(clock.now())).messages == []
    clock.advance(timedelta(minutes=1))
    assert ledger.advance(now=clock.now()).resumed == ("spring",)
    claimed = ledger.claim(wish(clock.now())).messages
    assert ledger.advance(now=clock.now()).finished == (), "two are under way"
    ledger.settle([settled(each, outcome(OutcomeKind.ACCEPTED, http_status=200), clock.now()) for each in claimed])
    assert ledger.advance(now=clock.now()).finished == ("spring",)
    assert shelf.find(made.id).finished_at == clock.now()
    assert ledger.advance(now=clock.now()).finished == (), "a second clock has nothing to do"


def test_cancelled_means_never_another_one(engine: Engine, books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    campaign = begin(engine, clock, "spring", 50)
    campaigns = campaigns_on(engine, clock)
    flying = ledger.claim(wish(clock.now(), count=5)).messages
    campaigns.cancel(campaign)
    assert ledger.claim(wish(clock.now())).messages == []
    assert ledger.advance(now=clock.now()).called_off == 45
    ledger.settle([settled(each, outcome(OutcomeKind.NOT_SENT), clock.now()) for each in flying])
    assert ledger.advance(now=clock.now()).called_off == 5, "what came back to the queue is called off as well"
    assert {tally.state: tally.count for tally in books.tallies()} == {State.CANCELLED: 50}
    assert ledger.advance(now=clock.now()).called_off == 0


def test_a_message_that_is_replayed_sets_its_finished_campaign_running_again(
    engine: Engine, books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaign = begin(engine, clock, "spring", 1)
    message = ledger.claim(wish(clock.now())).messages[0]
    ledger.settle([settled(message, outcome(OutcomeKind.REJECTED, http_status=400), clock.now())])
    ledger.advance(now=clock.now())
    assert shelf.find(campaign).state is CampaignState.FINISHED
    books.replay(message.id, by(clock), budget=3, life=timedelta(hours=1))
    assert shelf.find(campaign).state is CampaignState.RUNNING
    assert len(ledger.claim(wish(clock.now())).messages) == 1


def test_a_message_that_was_queued_while_its_campaign_finished_is_found(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaign = begin(engine, clock, "spring", 1)
    with transaction(engine) as connection:  # as if the clock had finished it in the very moment of a replay
        connection.execute(update(CAMPAIGNS).values(state="finished", finished_at=clock.now()))
    ledger.advance(now=clock.now())
    assert shelf.find(campaign).state is CampaignState.RUNNING


def test_a_late_answer_that_sends_a_gift_back_to_the_queue_wakes_its_campaign_however_long_it_was_over(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    """Else it would wait where nobody looks, until it expires."""
    campaign = begin_gifts(engine, clock, 1, "1000")
    late = ledger.claim(wish(clock.now(), Channel.GIFT)).messages[0]
    ledger.settle([settled(late, outcome(OutcomeKind.IN_DOUBT), clock.now())])
    ledger.advance(now=clock.now())
    assert shelf.find(campaign).state is CampaignState.FINISHED
    clock.advance(timedelta(hours=3))  # a host comes back, and settles what it has spooled
    slow = settled(late, outcome(OutcomeKind.THROTTLED, http_status=429), clock.now())
    assert ledger.settle([slow]) == {late.id}
    assert shelf.find(campaign).state is CampaignState.RUNNING
    clock.advance(timedelta(seconds=1))
    assert len(ledger.claim(wish(clock.now(), Channel.GIFT)).messages) == 1


@pytest.mark.parametrize("woken_by", ["a late answer", "a person"])
def test_what_is_queued_again_in_a_campaign_that_was_cancelled_long_ago_is_called_off(
    engine: Engine, books: Books, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock, woken_by: str
) -> None:
    campaign = begin_gifts(engine, clock, 1, "1000")
    late = ledger.claim(wish(clock.now(), Channel.GIFT)).messages[0]
    ledger.settle([settled(late, outcome(OutcomeKind.IN_DOUBT), clock.now())])
    shelf.cancel(campaign, by(clock))
    ledger.advance(now=clock.now())
    clock.advance(timedelta(hours=3))
    if woken_by == "a person":
        books.resolve(late.id, Resolution.NOT_SENT, by(clock), budget=3, life=timedelta(hours=1))
    else:
        ledger.settle([settled(late, outcome(OutcomeKind.THROTTLED, http_status=429), clock.now())])
    assert books.message(late.id).state is State.QUEUED
    ledger.advance(now=clock.now())
    assert books.message(late.id).state is State.CANCELLED


def test_retry_failed_queues_dead_and_expired_ones_once_and_never_one_in_doubt(
    engine: Engine, ledger: SqlLedger, shelf: CampaignBooks, clock: FakeClock
) -> None:
    campaign = begin_gifts(engine, clock, 4, "1000")
    dead, doubtful, given_up, fine = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    ledger.settle(
        [
            settled(dead, outcome(OutcomeKind.REJECTED, http_status=400), clock.now()),
            settled(doubtful, outcome(OutcomeKind.IN_DOUBT), clock.now()),
            settled(given_up, outcome(OutcomeKind.IN_DOUBT), clock.now()),
            settled(fine, outcome(OutcomeKind.ACCEPTED, http_status=200), clock.now()),
        ]
    )
    books = Books(engine=engine)
    books.resolve(given_up.id, Resolution.GIVE_UP, by(clock), budget=3, life=timedelta(hours=1))
    ledger.advance(now=clock.now())
    clock.advance(timedelta(seconds=1))
    campaigns = campaigns_on(engine, clock)
    assert campaigns.retry_failed(campaign)[1] == 1
    assert campaigns.retry_failed(campaign)[1] == 0
    assert shelf.find(campaign).state is CampaignState.RUNNING
    assert books.message(dead.id).state is State.QUEUED
    assert books.message(given_up.id).state is State.DEAD, "it may have been carried out"
    with transaction(engine) as connection:
        assert connection.execute(select(MESSAGES.c.state).where(MESSAGES.c.id == doubtful.id)).scalar() == "in_doubt"


def test_what_fails_again_during_a_retry_is_not_retried_by_it(
    engine: Engine, ledger: SqlLedger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = begin(engine, clock, "spring", 10)
    refused = outcome(OutcomeKind.REJECTED, http_status=400)

    def die() -> None:
        claimed = ledger.claim(wish(clock.now(), count=10)).messages
        ledger.settle([settled(each, refused, clock.now()) for each in claimed])

    die()
    clock.advance(timedelta(seconds=1))
    monkeypatch.setattr(after_campaigns, "_AT_ONCE", 4)
    real = audit_each

    def at_once(*args: Any, **details: Any) -> None:
        real(*args, **details)
        pages.append(len(args[3]))
        clock.advance(timedelta(seconds=1))

    pages: list[int] = []
    monkeypatch.setattr("dispatcher.ledger.after_campaigns.audit_each", at_once)
    hold = after_campaigns._hold

    def between(*args: Any) -> None:
        hold(*args)
        if pages:
            rows = args[0].execute(select(MESSAGES.c.id).where(MESSAGES.c.state == "queued")).scalars().all()
            changes = {"state": "dead", "updated_at": clock.now()}
            args[0].execute(update(MESSAGES).where(MESSAGES.c.id.in_(rows)).values(changes))

    monkeypatch.setattr(after_campaigns, "_hold", between)
    assert campaigns_on(engine, clock).retry_failed(campaign)[1] == 10
    assert pages == [4, 4, 2]
