"""The loop: permits, token, claim, send, decide, settle, on a real ledger."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import pytest
from sqlalchemy import select

from dispatcher.domain.attempt import Sent
from dispatcher.domain.errors import CredentialsRefused, TokenUnavailable
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.ledger.tables import GIFT_GUARDS, MESSAGES
from dispatcher.ports import ChannelReport, Permits
from dispatcher.testing import ACCEPTED, MINTED, ScriptedTransport
from tests.engine.conftest import House
from tests.making import gift, outcome, sms


def test_everything_due_is_sent_once_and_settled(house: House) -> None:
    messages = [sms(house.clock.now(), f"text {n}") for n in range(120)] + [gift(house.clock.now()) for _ in range(10)]
    house.enqueue(*messages)
    assert house.pump() == 130
    assert set(house.states(*messages)) == {State.ACCEPTED}
    assert {house.transport.sends_of(message.id) for message in messages} == {1}


def test_with_no_room_for_more_it_waits_for_what_is_under_way(house: House) -> None:
    class Watched(ScriptedTransport):
        def finished(self, *, wait: timedelta) -> list[Sent]:
            waits[self.in_flight].append(wait)
            return super().finished(wait=wait)

    waits: dict[int, list[timedelta]] = defaultdict(list)
    house.capacity, house.transport = 2, Watched(house.clock)
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(6)])
    assert house.pump() == 6
    assert len(waits[2]) == 3, "a turn for each two"
    assert min(waits[2]) > timedelta(0), "else it would turn round and round until one is over"


def test_invariant_5_the_claim_has_committed_before_the_request_leaves(house: House) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    seen: list[object] = []

    def look(_messages: object) -> None:
        with house.books.engine.connect() as connection:  # another connection sees only what has committed
            seen.append(connection.execute(select(MESSAGES.c.state)).scalar_one())
            seen.append(connection.execute(select(GIFT_GUARDS.c.message_id)).scalar_one())

    house.transport.on_start = look
    house.pump()
    assert seen == ["sending", message.id]


def test_without_permits_nothing_is_claimed(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    house.limiter.held[Channel.SMS] = Permits(count=0, wait=timedelta(seconds=30), reason="throttled")
    house.pump()
    assert house.states(message) == [State.QUEUED]
    assert house.transport.carried == []


def test_permits_that_were_not_used_go_back(house: House) -> None:
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(3)])
    house.pump()
    assert house.limiter.granted[Channel.SMS] - house.limiter.returned[Channel.SMS] == 3
    assert house.limiter.granted[Channel.GIFT] == house.limiter.returned[Channel.GIFT]


def test_without_a_token_nothing_is_claimed_and_no_attempt_spent(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    house.token.trouble = TokenUnavailable("the token endpoint is down", retry_after=timedelta(seconds=30))
    house.pump()
    found = house.books.message(message.id)
    assert (found.state, found.attempts_made) == (State.QUEUED, 0)
    assert house.limiter.granted == house.limiter.returned


def test_a_scope_that_was_not_granted_pauses_only_its_channel_with_the_reason(house: House) -> None:
    text, card = sms(house.clock.now()), gift(house.clock.now())
    house.enqueue(text, card)
    house.token.scopes = frozenset({"write"})
    house.pump()
    assert house.states(text, card) == [State.ACCEPTED, State.QUEUED]
    (pause,) = house.books.pauses(now=house.clock.now())
    assert pause.channel is Channel.GIFT
    assert "gifting:send" in pause.reason


def test_invariant_7_a_configuration_fault_stops_the_line_not_the_message(house: House) -> None:
    messages = [gift(house.clock.now()) for _ in range(3)]
    house.enqueue(*messages)
    house.transport.otherwise = outcome(
        OutcomeKind.MISCONFIGURED, http_status=403, error="insufficient_scope", error_description="needs gifting:send"
    )
    house.pump()
    assert set(house.states(*messages)) == {State.QUEUED}
    assert {house.books.message(message.id).attempts_made for message in messages} == {0}
    (pause,) = house.books.pauses(now=house.clock.now())
    assert (pause.channel, "403 insufficient_scope" in pause.reason) == (Channel.GIFT, True)
    house.transport.otherwise = ACCEPTED
    house.clock.advance(timedelta(minutes=6))
    house.pump()
    assert set(house.states(*messages)) == {State.ACCEPTED}


def test_a_refused_token_is_retired_and_the_message_goes_out_with_the_next(house: House) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    house.transport.script.append(outcome(OutcomeKind.UNAUTHORIZED, http_status=401, error="invalid_token"))
    house.pump()
    found, attempts, _ = house.books.story(message.id)
    assert (found.state, found.attempts_made) == (State.ACCEPTED, 1)
    assert [(a.outcome, a.token_generation) for a in attempts] == [
        (OutcomeKind.UNAUTHORIZED, MINTED),
        (OutcomeKind.ACCEPTED, MINTED + 1),
    ]
    assert house.books.pauses(now=house.clock.now()) == []


def test_a_second_refusal_with_a_fresh_token_pauses_the_channel(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    house.transport.otherwise = outcome(OutcomeKind.UNAUTHORIZED, http_status=401, error="invalid_token")
    house.pump()
    (pause,) = house.books.pauses(now=house.clock.now())
    assert "401 invalid_token" in pause.reason
    assert house.states(message) == [State.QUEUED]
    assert house.token.generation > MINTED + 1, "both tokens are retired"


def test_a_second_token_that_merely_expired_pauses_nothing(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    refusal = outcome(OutcomeKind.UNAUTHORIZED, http_status=401, error="invalid_token")
    house.transport.script += [refusal, refusal]
    house.clock.advance(timedelta(minutes=5))  # both tokens are old by now
    house.pump()
    assert house.books.pauses(now=house.clock.now()) == []
    assert house.states(message) == [State.ACCEPTED]


def test_a_message_that_goes_in_circles_pauses_the_channel_whatever_the_clocks_say(house: House) -> None:
    house.enqueue(sms(house.clock.now()))
    house.transport.otherwise = outcome(OutcomeKind.UNAUTHORIZED, http_status=401, error="invalid_token")
    house.clock.advance(timedelta(hours=1))
    house.pump()
    assert len(house.books.pauses(now=house.clock.now())) == 1
    assert len(house.transport.carried) <= 7


def test_answers_tell_the_channel_how_the_api_is(house: House) -> None:
    house.enqueue(*[sms(house.clock.now(), f"text {n}") for n in range(4)])
    house.transport.script += [
        ACCEPTED,
        outcome(OutcomeKind.FAILED, http_status=503),
        outcome(OutcomeKind.THROTTLED, http_status=429, retry_after=timedelta(seconds=7)),
        outcome(OutcomeKind.REJECTED, http_status=400),
    ]
    house.pump()
    expected = ChannelReport(healthy=2, sick=1, throttled=timedelta(seconds=7), accepted=1)
    assert house.limiter.reports[0] == (Channel.SMS, expected)


def test_an_sms_probes_a_half_open_breaker_and_a_gift_never_does(house: House) -> None:
    text, card = sms(house.clock.now()), gift(house.clock.now())
    house.enqueue(text, card)
    for channel in Channel:
        house.limiter.held[channel] = Permits(count=1, probe=True)
    house.transport.otherwise = outcome(OutcomeKind.FAILED, http_status=503)
    house.pump()
    assert house.transport.sends_of(card.id) == 0
    assert house.transport.sends_of(text.id) >= 1
    assert (Channel.GIFT, ChannelReport(sick=1)) in house.limiter.reports
    assert house.states(card) == [State.QUEUED]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (OutcomeKind.REJECTED, 400),
        (OutcomeKind.UNAUTHORIZED, 401),
        (OutcomeKind.MISCONFIGURED, 403),
        (OutcomeKind.MISCONFIGURED, 404),
        (OutcomeKind.CONFLICT, 409),
        (OutcomeKind.THROTTLED, 429),
    ],
)
def test_an_api_that_refuses_the_probe_of_gifts_answers_so_the_breaker_closes(
    house: House, kind: OutcomeKind, status: int
) -> None:
    card = gift(house.clock.now())
    house.enqueue(card)
    house.limiter.held[Channel.GIFT] = Permits(count=1, probe=True)
    house.transport.otherwise = outcome(kind, http_status=status)
    house.pump()
    assert house.limiter.reports[0] == (Channel.GIFT, ChannelReport(healthy=1))
    assert house.transport.sends_of(card.id) == 0
    assert house.states(card) == [State.QUEUED]


def test_bulk_leaves_room_for_what_is_urgent(house: House) -> None:
    house.capacity = 20
    house.enqueue(*[sms(house.clock.now(), f"bulk {n}", bulk=True) for n in range(100)])
    most: list[int] = []
    house.transport.on_start = lambda _m: most.append(house.transport.in_flight + len(_m))
    house.pump()
    assert max(most) == 18


def test_transactional_overtakes_a_burst_and_bulk_is_not_starved(house: House) -> None:
    house.capacity = 10
    bulk = [sms(house.clock.now(), f"bulk {n}", bulk=True) for n in range(60)]
    urgent = [sms(house.clock.now(), f"code {n}") for n in range(60)]
    house.enqueue(*bulk, *urgent)
    house.pump()
    first = house.transport.carried[:40]
    shares = {priority: sum(m.priority is priority for m in first) for priority in Priority}
    assert shares[Priority.TRANSACTIONAL] >= 34
    assert shares[Priority.BULK] >= 3
    assert set(house.states(*bulk, *urgent)) == {State.ACCEPTED}


def test_a_stop_claims_nothing_more_and_leaves_nothing_in_flight(house: House) -> None:
    house.capacity = 10
    messages = [sms(house.clock.now(), f"text {n}") for n in range(100)]
    house.enqueue(*messages)
    house.pump(stopping=lambda: len(house.transport.carried) >= 30)
    states = house.states(*messages)
    assert (states.count(State.ACCEPTED), states.count(State.SENDING)) == (30, 0)
    assert house.bell.rings > 0, "somebody else goes on"


def test_a_message_that_always_fails_dies_with_every_attempt_recorded(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    house.transport.otherwise = outcome(OutcomeKind.FAILED, http_status=500, error="server_error")
    for _ in range(8):
        house.pump()
        house.clock.advance(timedelta(minutes=6))
    found, attempts, _ = house.books.story(message.id)
    assert (found.state, found.attempts_made, len(attempts)) == (State.DEAD, 5, 5)
    assert "attempts spent (5 of 5)" in (attempts[-1].why_next or "")


def test_an_sms_in_doubt_is_tried_again_twice_and_said_so(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    house.transport.otherwise = outcome(OutcomeKind.IN_DOUBT, error="read_timeout")
    for _ in range(5):
        house.pump()
        house.clock.advance(timedelta(minutes=6))
    found, attempts, _ = house.books.story(message.id)
    assert (found.state, len(attempts)) == (State.IN_DOUBT, 3)
    assert ["may be a duplicate" in (a.why_next or "") for a in attempts] == [True, True, False]


@pytest.mark.parametrize("what", [OutcomeKind.IN_DOUBT, OutcomeKind.FAILED, OutcomeKind.CONFLICT])
def test_invariant_2_no_double_gift_whatever_is_ambiguous_waits_for_a_person(house: House, what: OutcomeKind) -> None:
    message = gift(house.clock.now())
    house.enqueue(message)
    house.transport.otherwise = outcome(what, http_status=503)
    tick = house.tick()
    for _ in range(5):
        house.pump()
        tick.run()
        house.clock.advance(timedelta(hours=1))
    assert house.transport.sends_of(message.id) == 1
    assert house.states(message) == [State.IN_DOUBT]


def test_a_line_that_breaks_does_not_take_the_others_down(house: House) -> None:
    text, card = sms(house.clock.now()), gift(house.clock.now())
    house.enqueue(text, card)
    reserve = house.limiter.reserve

    def broken(channel: Channel, want: int) -> Permits:
        if channel is Channel.GIFT:
            raise RuntimeError("a bug in one line")
        return reserve(channel, want)

    house.limiter.reserve = broken  # type: ignore[method-assign]
    house.pump()
    assert house.states(text, card) == [State.ACCEPTED, State.QUEUED]


def test_wrong_credentials_pause_the_channel_with_the_reason(house: House) -> None:
    message = sms(house.clock.now())
    house.enqueue(message)
    house.token.trouble = CredentialsRefused("the API refused client id or secret", retry_after=timedelta(minutes=5))
    house.pump()
    pauses = house.books.pauses(now=house.clock.now())
    assert {pause.reason for pause in pauses} == {"the API refused client id or secret"}
    assert house.states(message) == [State.QUEUED]
