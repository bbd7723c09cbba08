"""A worker stands still past its lease and then goes on, as a virtual machine does: it may not act on what it held."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.gateway import requests_transport
from dispatcher.gateway.classify import outcome_of
from dispatcher.wiring import Services
from tests.faults.crash.house import MARK, House, SettleIn

pytestmark = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)


def stands_still(house: House, arrange: Callable[[Services], None]) -> int:
    """Fork a worker that stops itself somewhere, wait until its lease is over and was taken back; return its pid."""
    child = os.fork()
    if child == 0:
        try:
            services = Services(house.settings)
            arrange(services)
            services.pump().run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "it never stood still"
    message, _ = house.the_message()
    assert message.lease_expires_at is not None
    while house.later(timedelta(0)).clock.now() <= message.lease_expires_at:
        time.sleep(0.1)
    replace(house.later(timedelta(0)).tick, grace=timedelta(0)).run()
    return child


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def go_on(child: int) -> None:
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.fixture
def hasty(settle_in: SettleIn) -> House:
    """Return a house whose leases are as short as they may be."""
    return settle_in(connect_timeout=0.3, read_timeout=0.4, lease_seconds=6)


def test_stopped_before_its_request_it_does_not_send_any_more(hasty: House) -> None:
    """Even if a person has said by then that the gift was not sent, and another worker has sent it."""
    hasty.send()

    def before_start(services: Services) -> None:
        start = services.transport.start

        def stopping(*args: Any) -> None:
            stop_me()
            start(*args)

        vars(services.transport)["start"] = stopping

    child = stands_still(hasty, before_start)
    if hasty.channel is Channel.GIFT:
        assert hasty.the_message()[0].state is State.IN_DOUBT
        hasty.resolve()
    hasty.goes_on()
    assert (hasty.the_message()[0].state, hasty.carried_out()) == (State.ACCEPTED, 1)
    go_on(child)
    message, attempts = hasty.the_message()
    assert (message.state, hasty.carried_out()) == (State.ACCEPTED, 1), "it sent what was no longer its own"
    assert [attempt.error for attempt in attempts] == ["lease_lost", None, "lease_over"], "its word is kept"


def test_stopped_with_the_answer_its_late_word_resolves_the_doubt(hasty: House) -> None:
    hasty.send()

    def before_outcome(_: Services) -> None:
        def stopping(*args: Any, **kwargs: Any) -> Any:
            stop_me()
            return outcome_of(*args, **kwargs)

        vars(requests_transport)["outcome_of"] = stopping

    child = stands_still(hasty, before_outcome)
    message, attempts = hasty.the_message()
    assert message.state is (State.IN_DOUBT if hasty.channel is Channel.GIFT else State.QUEUED)
    go_on(child)
    # It was stopped for longer than a call of the ledger may hang, so it may have put the answer into the spool.
    services = Services(hasty.settings)
    services.pump().settling.catch_up(until=0)
    services.close()
    message, attempts = hasty.the_message()
    assert hasty.carried_out() == 1
    assert len(attempts) == 2, "the late answer is kept as evidence"
    if hasty.channel is Channel.GIFT:
        assert message.state is State.ACCEPTED, "the answer that came late is proof"
        return
    assert message.state is State.QUEUED, "an SMS was queued again meanwhile: that is no longer this worker's business"
    hasty.goes_on()
    message, attempts = hasty.the_message()
    assert message.state is State.ACCEPTED
    assert MARK in (attempts[0].why_next or "")
