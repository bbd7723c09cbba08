"""The suspect rule: one message can never stop a channel, and a real configuration fault still does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, insert, select

from dispatcher.domain.attempt import Claimed, Sent
from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import SMS_POLICY
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import State
from dispatcher.domain.suspicion import Suspicion
from dispatcher.engine.suspects import channel_report
from dispatcher.ledger import By
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import CAMPAIGNS, MESSAGES
from dispatcher.ports import ChannelReport, Permits
from dispatcher.testing import ACCEPTED, MINTED
from tests.engine.conftest import House
from tests.making import gift, new_id, outcome, row, sms, wish

FORBIDDEN = outcome(OutcomeKind.MISCONFIGURED, http_status=403, error="Forbidden")
UNKNOWN = outcome(OutcomeKind.MISCONFIGURED, http_status=404, error="not_found")
UNPAID = outcome(OutcomeKind.MISCONFIGURED, http_status=402, error="payment_required")
REFUSED = outcome(OutcomeKind.UNAUTHORIZED, http_status=401, error="invalid_token")
POISON = "Dear ${jndi:ldap}"


def by_text(answer: Outcome = FORBIDDEN, *, text: str = POISON) -> Callable[[Claimed], Outcome]:
    """Answer by what a message says, as a firewall does."""
    return lambda message: answer if message.body is not None and text in message.body else ACCEPTED


def paused(house: House) -> list[str]:
    return [pause.reason for pause in house.books.pauses(now=house.clock.now())]


def run_for(house: House, seconds: float) -> None:
    """Pump whenever something is due, as the clock's bell would have it."""
    ends = house.clock.now() + timedelta(seconds=seconds)
    while house.clock.now() < ends:
        house.pump()
        house.clock.advance(timedelta(milliseconds=500))


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)  # 11,000 commits: the rule is the same on both
def test_suspect_an_hour_of_one_time_codes_with_one_poisonous_text(house: House) -> None:
    """3,600 codes, one a second: none waits longer than 2 s, and the poisonous one is dead after three answers."""
    house.transport.answer = by_text()
    start = house.clock.now()
    due = [start + timedelta(seconds=n) for n in range(3600)]
    codes = [sms(start, f"Your code is {n}", due_at=moment) for n, moment in enumerate(due)]
    codes[1800] = poison = sms(start, POISON, due_at=due[1800])
    house.enqueue(*codes)
    _hurry(house)
    sent_at: dict[object, datetime] = {}
    house.transport.on_start = lambda taken: sent_at.update({each.id: house.clock.now() for each in taken})
    for moment in due:
        house.clock.set(max(moment, house.clock.now()))
        house.pump()
    waits = [sent_at[code.id] - code.due_at for code in codes if code is not poison]
    assert max(waits) <= timedelta(seconds=2)
    assert set(house.states(*(code for code in codes if code is not poison))) == {State.ACCEPTED}
    found, attempts, _ = house.books.story(poison.id)
    assert (found.state, found.last_error, len(attempts)) == (State.DEAD, "403 Forbidden", 3)
    assert "refused 3 times (403 Forbidden)" in (attempts[-1].why_next or "")
    assert (found.attempts_made, paused(house)) == (0, [])


@pytest.mark.one_database
@pytest.mark.parametrize("answer", [FORBIDDEN, UNKNOWN, UNPAID, REFUSED], ids=lambda each: str(each.http_status))
@pytest.mark.parametrize("make", [sms, gift], ids=["sms", "gift"])
def test_suspect_a_real_configuration_fault_pauses_within_four_calls(
    house: House, make: Callable[[datetime], NewMessage], answer: Outcome
) -> None:
    messages = [make(house.clock.now()) for _ in range(20)]
    house.enqueue(*messages)
    house.capacity = 1
    house.transport.otherwise = answer
    house.pump()
    assert len(house.transport.carried) <= 4
    assert len(paused(house)) == 1
    assert answer.in_words in paused(house)[0]
    assert set(house.states(*messages)) == {State.QUEUED}
    assert {house.books.message(each.id).attempts_made for each in messages} == {0}
    house.transport.otherwise = ACCEPTED
    house.clock.advance(timedelta(minutes=6))
    house.pump()
    house.pump()
    assert set(house.states(*messages)) == {State.ACCEPTED}


@pytest.mark.one_database
@pytest.mark.parametrize("answer", [FORBIDDEN, UNKNOWN, UNPAID], ids=lambda each: str(each.http_status))
def test_suspect_neighbours_pause_the_channel_even_if_the_test_call_works(house: House, answer: Outcome) -> None:
    messages = [sms(house.clock.now(), f"text {n}") for n in range(20)]
    house.enqueue(*messages)
    house.capacity = 1
    house.transport.answer = lambda _: answer  # the test call is not a send, so it is accepted
    house.pump()
    assert house.transport.probes[0] == ACCEPTED
    assert len(house.transport.carried) <= 4
    assert "2 others, one after the other" in paused(house)[0]


@pytest.mark.one_database
def test_suspect_a_lasting_fault_kills_nothing_however_often_the_channel_reopens(house: House) -> None:
    messages = [sms(house.clock.now(), f"text {n}") for n in range(6)]
    house.enqueue(*messages)
    house.transport.answer = lambda _: UNKNOWN
    for _ in range(40):
        house.pump()
        house.clock.advance(timedelta(minutes=6))
    assert set(house.states(*messages)) == {State.QUEUED}
    assert len(house.transport.carried) <= 6 + 3 + 40 * 1, "one message each time the channel opens"


@pytest.mark.one_database
def test_suspect_a_batch_in_flight_that_draws_one_answer_goes_back_without_spending_attempts(house: House) -> None:
    house.capacity = 256
    messages = [sms(house.clock.now(), f"text {n}") for n in range(200)]
    house.enqueue(*messages)
    house.transport.answer = lambda _: FORBIDDEN
    house.pump()
    assert len(house.transport.carried) <= 256 + 4
    assert len(paused(house)) == 1
    found = [house.books.message(each.id) for each in messages]
    assert {(each.state, each.attempts_made) for each in found} == {(State.QUEUED, 0)}


@pytest.mark.one_database
def test_suspect_a_batch_in_flight_on_a_dead_token_that_is_answered_403_is_sent_with_the_next(house: House) -> None:
    house.capacity = 256
    messages = [sms(house.clock.now(), f"text {n}") for n in range(200)]
    house.enqueue(*messages)
    refused: list[int] = []
    start = house.transport.start

    def with_token(taken, token):  # type: ignore[no-untyped-def]
        house.transport.answer = lambda _: FORBIDDEN if token.generation == MINTED else ACCEPTED
        refused.append(token.generation)
        start(taken, token)

    house.transport.start = with_token  # type: ignore[method-assign]
    house.pump()
    assert set(house.states(*messages)) == {State.ACCEPTED}
    assert set(refused) == {MINTED, MINTED + 1}, "renewed once"
    assert paused(house) == []


@pytest.mark.one_database
def test_suspect_a_late_403_of_the_old_token_is_not_the_messages_fault(house: House) -> None:
    """It lands in one batch with a message that was accepted with the new token."""
    late, fine = (replace(claimed(house), refused_generation=None) for _ in range(2))
    calls = [sent(late, FORBIDDEN, generation=MINTED), sent(fine, ACCEPTED, generation=MINTED + 1)]
    report = channel_report(calls, SMS_POLICY)
    assert [(each.message, each.generation) for each in report.witnesses] == [(late.id, MINTED)]
    same = [sent(late, FORBIDDEN, generation=MINTED), sent(fine, ACCEPTED, generation=MINTED)]
    assert channel_report(same, SMS_POLICY).witnesses == (), "the token works for others"


def claimed(house: House) -> Claimed:
    house.enqueue(sms(house.clock.now()))
    return house.ledger.claim(wish(house.clock.now(), count=1)).messages[0]


def sent(message: Claimed, what: Outcome, *, generation: int) -> Sent:
    at = message.lease_expires_at - timedelta(seconds=60)
    return Sent(
        message=message, outcome=what, started_at=at, latency=timedelta(milliseconds=40), token_generation=generation
    )


@pytest.mark.one_database
def test_suspect_poison_goes_behind_the_others_and_is_tried_in_no_tight_loop(house: House) -> None:
    house.capacity = 4
    poison = sms(house.clock.now(), POISON)
    others = [sms(house.clock.now(), f"text {n}") for n in range(100)]
    house.enqueue(poison, *others)
    house.transport.answer = by_text()
    moments: list[datetime] = []
    house.transport.on_start = lambda taken: moments.extend(house.clock.now() for each in taken if each.id == poison.id)
    run_for(house, 20)
    assert set(house.states(*others)) == {State.ACCEPTED}
    assert len(moments) == 1, "others were accepted with the same token, so it is not renewed"
    run_for(house, 150)
    assert len(moments) == 3
    assert moments[1] - moments[0] >= timedelta(seconds=30)
    assert moments[2] - moments[1] < timedelta(seconds=1), "the first that was refused alone is sent with a new token"
    assert house.states(poison) == [State.DEAD]


def _hurry(house: House) -> None:
    """Look at SMS alone, and let SQLite not wait for the disk: thousands of pumps commit here."""
    house.limiter.held[Channel.GIFT] = Permits(count=0, wait=timedelta(days=1), reason="rate")
    if house.ledger.engine.dialect.name == "sqlite":
        event.listen(house.ledger.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA synchronous = OFF"))


def begin_campaign(house: House, *texts: str) -> tuple[UUID, list[NewMessage]]:
    """Make a running campaign."""
    id_, now = new_id(house.clock.now()), house.clock.now()
    values = {"id": id_, "name": "spring", "channel": "sms", "state": "running", "created_at": now, "started_at": now}
    messages = [
        replace(sms(now, text, bulk=True), recipient=Recipient(f"+6149157{n:04}")) for n, text in enumerate(texts)
    ]
    with transaction(house.ledger.engine) as connection:
        connection.execute(insert(CAMPAIGNS).values(values))
        connection.execute(insert(MESSAGES), [row(each, campaign_id=id_) for each in messages])
    return id_, messages


@pytest.mark.one_database
def test_suspect_a_campaign_full_of_poison_is_paused_and_one_time_codes_go_on(house: House) -> None:
    house.capacity = 8
    campaign, _ = begin_campaign(house, *(f"{POISON} {n}" for n in range(200)))
    house.transport.answer = by_text()
    _hurry(house)
    tick = house.tick()
    codes, due = list[NewMessage](), house.clock.now()
    sent_at: dict[object, datetime] = {}
    house.transport.on_start = lambda taken: sent_at.update({each.id: house.clock.now() for each in taken})
    for n in range(200):
        due += timedelta(seconds=2)
        house.clock.set(max(due, house.clock.now()))
        codes.append(sms(house.clock.now(), f"Your code is {n}"))
        house.enqueue(codes[-1])
        house.pump()
        tick.run()
    assert set(house.states(*codes)) == {State.ACCEPTED}
    assert max(sent_at[code.id] - code.due_at for code in codes) <= timedelta(seconds=2)
    assert paused(house) == []
    with reading(house.ledger.engine) as connection:
        state, why = connection.execute(
            select(CAMPAIGNS.c.state, CAMPAIGNS.c.pause_reason).where(CAMPAIGNS.c.id == campaign)
        ).one()
    assert (state, "403 Forbidden" in (why or "")) == ("paused", True)
    assert len(house.transport.carried) - len(codes) < 40, "it is asked in vain only a few times an hour"


@pytest.mark.one_database
def test_suspect_a_fault_that_a_campaign_met_pauses_the_channel_once_others_meet_it(house: House) -> None:
    begin_campaign(house, *(f"text {n}" for n in range(50)))
    house.transport.answer = lambda _: UNKNOWN
    house.pump()
    assert paused(house) == [], "its campaign is"
    assert len(house.transport.carried) <= 45 + 4, "the batch in flight, then one after the other"
    house.enqueue(sms(house.clock.now(), "Your code is 1"))
    house.pump()
    assert len(paused(house)) == 1


@pytest.mark.one_database
def test_suspect_an_unknown_sku_dies_alone_and_its_guard_goes_with_it(house: House) -> None:
    cards = [gift(house.clock.now()) for _ in range(10)]
    house.enqueue(*cards)
    wrong = cards[3].id
    house.transport.answer = lambda message: UNKNOWN if message.id == wrong else ACCEPTED
    run_for(house, 150)
    states = dict(zip([card.id for card in cards], house.states(*cards), strict=True))
    assert states.pop(wrong) is State.DEAD
    assert set(states.values()) == {State.ACCEPTED}
    assert house.transport.sends_of(wrong) == 3
    assert paused(house) == []
    by = By(actor="olga", reason="the sku exists by now", now=house.clock.now())
    house.transport.answer = None
    house.books.replay(wrong, by, budget=2, life=timedelta(hours=1))
    house.pump()
    assert house.books.message(wrong).state is State.ACCEPTED


@pytest.mark.one_database
def test_suspect_what_is_sent_again_by_a_person_begins_anew(house: House) -> None:
    poison, fine = sms(house.clock.now(), POISON), sms(house.clock.now(), "fine")
    house.enqueue(poison, fine)
    house.transport.answer = by_text()
    run_for(house, 150)
    assert house.states(poison) == [State.DEAD]
    by = By(actor="olga", reason="once more", now=house.clock.now())
    house.books.replay(poison.id, by, budget=2, life=timedelta(hours=1))
    before = house.transport.sends_of(poison.id)
    run_for(house, 150)
    assert house.transport.sends_of(poison.id) - before == 3


@pytest.mark.one_database
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))])
def test_suspect_spurious_401s_on_good_tokens_pause_nothing(house: House, seed: int) -> None:
    """5 % of answers: one message in four hundred draws two in a row."""
    dice = random.Random(seed)
    house.capacity = 8
    house.transport.answer = lambda _: REFUSED if dice.random() < 0.05 else ACCEPTED
    messages = [sms(house.clock.now(), f"text {n}") for n in range(1500)]
    house.enqueue(*messages)
    run_for(house, 100)
    assert paused(house) == []
    assert set(house.states(*messages)) == {State.ACCEPTED}


@pytest.mark.one_database
def test_suspect_one_message_at_a_time_until_one_is_accepted(house: House) -> None:
    house.capacity = 10
    poison = sms(house.clock.now(), POISON)
    house.enqueue(poison)
    house.transport.answer = by_text()
    house.pump()
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(30)])
    sizes: list[int] = []
    house.transport.on_start = lambda taken: sizes.append(len(taken))
    house.pump()
    assert sizes[:2] == [1, 10]


@pytest.mark.one_database
def test_suspect_the_test_call_that_fails_otherwise_proves_nothing(house: House) -> None:
    poison, fine = sms(house.clock.now(), POISON), sms(house.clock.now(), "fine")
    house.enqueue(poison)
    house.transport.answer = by_text()
    house.transport.otherwise = outcome(OutcomeKind.MISCONFIGURED, http_status=403, error="Missing path")
    house.pump()
    assert house.transport.probes, "it was made"
    house.enqueue(fine)
    house.pump()
    assert (house.states(fine), paused(house)) == ([State.ACCEPTED], [])


@pytest.mark.one_database
def test_suspect_an_acceptance_meanwhile_outweighs_the_test_call(house: House) -> None:
    """Nothing of a suspicion that is over is left for a test call that ends late."""
    house.enqueue(sms(house.clock.now(), POISON))
    house.transport.answer = by_text()
    house.pump()
    house.enqueue(sms(house.clock.now(), "fine"))
    house.pump()
    standing = house.limiter.report(Channel.SMS, ChannelReport(canary="403 Forbidden"))
    assert standing.suspicion == Suspicion()
    assert paused(house) == []
