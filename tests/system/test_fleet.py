"""What must hold for many processes together: one token request, one rate."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from itertools import pairwise
from multiprocessing.queues import SimpleQueue

import pytest

from dispatcher import Sms
from dispatcher.domain.errors import TokenUnavailable
from dispatcher.settings import load_settings
from dispatcher.wiring import Services
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def _ask(environment: dict[str, str], answers: SimpleQueue[int], start: float) -> None:
    names = {name.removeprefix("DISPATCHER_").lower(): value for name, value in environment.items()}
    services = Services(load_settings(**names))
    time.sleep(max(0.0, start - time.monotonic()))
    while True:
        try:
            answers.put(services.tokens.token("write").generation)
            return
        except TokenUnavailable as trouble:  # as a pump would: others go on meanwhile
            time.sleep(trouble.retry_after.total_seconds())


@pytest.mark.exhaustive  # tests/oauth/test_fleet.py asks the same of the token alone
def test_fifty_processes_with_an_expired_token_make_one_token_request(system: System) -> None:
    system.sandbox.settings(token_latency_ms=1000, token_expires_in=8)
    context = multiprocessing.get_context("fork")
    for expected in (1, 2):  # from nothing, and once more when the token has expired
        answers: SimpleQueue[int] = context.SimpleQueue()
        start = time.monotonic() + 1
        fleet = [context.Process(target=_ask, args=(system.environment, answers, start)) for _ in range(50)]
        for process in fleet:
            process.start()
        generations = {answers.get() for _ in fleet}
        for process in fleet:
            process.join()
        assert len(generations) == 1
        assert system.sandbox.summary()["token_requests"] == expected
        time.sleep(8)


@pytest.mark.alone
def test_invariant_8_the_rate_holds_across_the_fleet_and_is_used(system: System) -> None:
    rate, burst, messages = 50, 5, 400
    workers = [system.worker(SMS_RATE=f"{rate}/s burst {burst}", PROCESSES="1") for _ in range(4)]
    system.clock()
    system.wait_ready(workers=len(workers))
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}") for n in range(messages))
    system.wait_settled(seconds=60)
    arrivals = sorted(entry.at for entry in system.sandbox.journal(kind="sms"))
    assert len(arrivals) == messages
    in_second = Counter(int(at - arrivals[0]) for at in arrivals)
    assert max(in_second.values()) <= rate + burst
    sliding = max(sum(at <= other < at + 1 for other in arrivals[n : n + 100]) for n, at in enumerate(arrivals))
    assert sliding <= rate + burst
    assert messages / (arrivals[-1] - arrivals[0]) >= 0.95 * rate
    assert max(later - earlier for earlier, later in pairwise(arrivals)) < 1
