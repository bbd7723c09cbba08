"""The whole table of what follows what, row by row, as the documentation gives it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import GIFT_POLICY, SMS_POLICY, Effect, Policy, decide
from dispatcher.domain.state import State
from dispatcher.domain.suspicion import Blame, Suspicion, blame
from tests.making import POLICIES

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
K, S, E = OutcomeKind, State, Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    attempts_made: int = 0
    max_attempts: int = 5
    calls_made: int = 0
    doubtful_sends: int = 0
    configuration_answers: int = 0


TABLE = [
    # outcome, state of an SMS, state of a gift, spends an attempt, what it says about the channel
    (K.ACCEPTED, S.ACCEPTED, S.ACCEPTED, True, E.HEALTHY),
    (K.NOT_SENT, S.QUEUED, S.QUEUED, False, E.SICK),
    (K.IN_DOUBT, S.QUEUED, S.IN_DOUBT, True, E.SICK),
    (K.FAILED, S.QUEUED, S.IN_DOUBT, True, E.SICK),
    (K.THROTTLED, S.QUEUED, S.QUEUED, False, E.THROTTLE),
    (K.UNAUTHORIZED, S.QUEUED, S.QUEUED, False, E.RENEW_TOKEN),
    (K.MISCONFIGURED, S.QUEUED, S.QUEUED, False, E.SUSPECT),
    (K.REJECTED, S.DEAD, S.DEAD, True, E.HEALTHY),
    (K.CONFLICT, S.DEAD, S.IN_DOUBT, True, E.HEALTHY),
]


@pytest.mark.parametrize(("kind", "sms", "gift", "spends", "effect"), TABLE)
def test_the_table(kind: OutcomeKind, sms: State, gift: State, spends: bool, effect: Effect) -> None:
    for channel, state in ((Channel.SMS, sms), (Channel.GIFT, gift)):
        decision = decide(POLICIES[channel], Facts(), Outcome(kind=kind), now=NOW, roll=0.5)
        assert (decision.state, decision.spends, decision.effect) == (state, spends, effect)
        assert (decision.due_at is not None) == (state is S.QUEUED)


BLAMED = [
    # answer, attributed to, answers before, state, counts against the message, the least wait in seconds
    (K.MISCONFIGURED, Blame.TOKEN, 0, S.QUEUED, True, 0),
    (K.MISCONFIGURED, Blame.TOKEN, 2, S.QUEUED, True, 0),
    (K.MISCONFIGURED, Blame.OLD_TOKEN, 2, S.QUEUED, False, 0),
    (K.MISCONFIGURED, Blame.UNCLEAR, 2, S.QUEUED, False, 0),
    (K.MISCONFIGURED, Blame.CAMPAIGN, 2, S.QUEUED, False, 0),
    (K.MISCONFIGURED, Blame.CHANNEL, 0, S.QUEUED, False, 0),
    (K.MISCONFIGURED, Blame.CHANNEL, 2, S.QUEUED, False, 0),
    (K.MISCONFIGURED, Blame.MESSAGE, 0, S.QUEUED, True, 30),
    (K.MISCONFIGURED, Blame.MESSAGE, 1, S.QUEUED, True, 30),
    (K.MISCONFIGURED, Blame.MESSAGE, 2, S.DEAD, True, None),
    (K.UNAUTHORIZED, Blame.CHANNEL, 2, S.QUEUED, False, 0),
    (K.UNAUTHORIZED, Blame.MESSAGE, 1, S.QUEUED, True, 30),
    (K.UNAUTHORIZED, Blame.MESSAGE, 2, S.DEAD, True, None),
]


@pytest.mark.parametrize("policy", [SMS_POLICY, GIFT_POLICY], ids=["sms", "gift"])
@pytest.mark.parametrize(("kind", "to", "before", "state", "counts", "wait"), BLAMED)
def test_suspect_what_follows_a_configuration_answer_depends_on_what_it_is_attributed_to(
    kind: OutcomeKind, to: Blame, before: int, state: State, counts: bool, wait: int | None, policy: Policy
) -> None:
    facts, answer = Facts(configuration_answers=before), Outcome(kind=kind, http_status=403, error="forbidden")
    for roll in (0.0, 0.99):
        decision = decide(policy, facts, answer, now=NOW, roll=roll, blame=to)
        assert (decision.state, decision.spends, decision.counts_against_it) == (state, False, counts)
        if wait is None:
            assert decision.due_at is None
        else:
            assert decision.due_at is not None
            assert timedelta(seconds=wait) <= decision.due_at - NOW <= timedelta(seconds=2 * wait)
    if state is S.DEAD:
        assert "403 forbidden" in decision.why


CAMPAIGN = UUID(int=7)
ATTRIBUTED = [
    # first guess, different messages, test call failed alike, all of one campaign, attributed to
    (Blame.TOKEN, 3, True, False, Blame.TOKEN),
    (Blame.OLD_TOKEN, 3, False, False, Blame.OLD_TOKEN),
    (Blame.MESSAGE, 1, False, False, Blame.MESSAGE),
    (Blame.MESSAGE, 2, False, True, Blame.MESSAGE),
    (Blame.UNCLEAR, 2, False, False, Blame.UNCLEAR),
    (Blame.MESSAGE, 3, False, False, Blame.CHANNEL),
    (Blame.UNCLEAR, 3, False, False, Blame.CHANNEL),
    (Blame.MESSAGE, 1, True, False, Blame.CHANNEL),
    (Blame.MESSAGE, 3, False, True, Blame.CAMPAIGN),
    (Blame.MESSAGE, 3, True, True, Blame.CHANNEL),
]


@pytest.mark.parametrize(("guess", "witnesses", "canary_failed", "of_one", "expected"), ATTRIBUTED)
def test_suspect_neighbours_decide(
    guess: Blame, witnesses: int, canary_failed: bool, of_one: bool, expected: Blame
) -> None:
    campaign = CAMPAIGN if of_one else None
    suspicion = Suspicion(witnesses=witnesses, canary_failed=canary_failed, campaign=campaign)
    assert blame(guess, suspicion) is expected


def test_the_table_is_whole() -> None:
    assert {row[0] for row in TABLE} == set(OutcomeKind) == set(SMS_POLICY.rules) == set(GIFT_POLICY.rules)


def test_every_decision_is_a_move_that_the_machine_has() -> None:
    for policy in POLICIES.values():
        for kind in OutcomeKind:
            for facts in (Facts(), Facts(attempts_made=4, doubtful_sends=2), Facts(attempts_made=99)):
                decision = decide(policy, facts, Outcome(kind=kind), now=NOW, roll=0.0)
                assert State.SENDING.may_become(decision.state)


def test_a_gift_failure_that_the_provider_says_was_not_carried_out_is_tried_again() -> None:
    policy = replace(GIFT_POLICY, not_carried_out=frozenset({"503", "QUOTA"}))
    for failure, state in (
        (Outcome(kind=K.FAILED, http_status=503), S.QUEUED),
        (Outcome(kind=K.FAILED, http_status=500, error="QUOTA"), S.QUEUED),
        (Outcome(kind=K.FAILED, http_status=502), S.IN_DOUBT),
    ):
        assert decide(policy, Facts(), failure, now=NOW, roll=0.5).state is state


def test_a_retry_after_only_lengthens_the_wait() -> None:
    for asked, roll in ((timedelta(seconds=30), 0.0), (timedelta(seconds=30), 0.99), (timedelta(0), 0.5)):
        failure = Outcome(kind=K.FAILED, http_status=503, retry_after=asked)
        decision = decide(SMS_POLICY, Facts(), failure, now=NOW, roll=roll)
        assert decision.due_at is not None
        assert decision.due_at - NOW >= asked


def test_the_last_attempt_kills_and_says_so() -> None:
    decision = decide(SMS_POLICY, Facts(attempts_made=4), Outcome(kind=K.FAILED, http_status=500), now=NOW, roll=0.5)
    assert (decision.state, decision.why) == (S.DEAD, "attempts spent (5 of 5), last: 500")


def test_an_sms_is_doubled_at_most_twice() -> None:
    doubt = Outcome(kind=K.IN_DOUBT, error="read_timeout")
    states = [
        decide(SMS_POLICY, Facts(attempts_made=n, doubtful_sends=n), doubt, now=NOW, roll=0.5).state for n in range(3)
    ]
    assert states == [S.QUEUED, S.QUEUED, S.IN_DOUBT]
