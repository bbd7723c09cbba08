"""Many processes, one token: what must hold whatever the fleet's size, and whoever dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from dispatcher.oauth import TokenStore
from dispatcher.oauth.token import Minted

from .conftest import connected, credentials_for
from .endpoint import Call, Reply, TokenEndpoint, granting, refusing
from .fleet import Fleet, Site, ask_on_and_on, ask_once, complain


@pytest.fixture
def site(valkey_port: int, endpoint: TokenEndpoint) -> Site:
    connected(valkey_port).flushall()
    return Site(redis_port=valkey_port, credentials=credentials_for(endpoint))


def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def store_of(site: Site) -> TokenStore:
    return TokenStore(redis=connected(site.redis_port), credentials=site.credentials)


def test_fifty_processes_with_an_expired_token_make_one_token_call(site: Site, endpoint: TokenEndpoint) -> None:
    store = store_of(site)
    owner = store.lock.acquire()
    assert owner is not None
    old = Minted(value="old", lifetime=timedelta(1), scopes=frozenset({"write"}), taken=timedelta(0))
    expired = store.keep(owner, old, trusted=timedelta(milliseconds=50))
    assert expired is not None
    time.sleep(0.06)
    endpoint.answer = granting(delay=1.5)
    results = Fleet(site, 50, ask_once).results()
    assert len(results) == 50
    assert [got.refusals for got in results] == [[]] * 50
    assert len({got.generations[0] for got in results}) == 1
    assert results[0].generations[0] > expired
    assert len(endpoint.calls) == 1


def test_a_storm_of_refusals_makes_one_token_call(site: Site, endpoint: TokenEndpoint) -> None:
    refused = site.source().token("write").generation
    endpoint.answer = granting(delay=0.3)
    results = Fleet(site, 6, complain, refused, 100).results()
    generations = {generation for got in results for generation in got.generations}
    assert len(generations) == 1
    assert generations.pop() > refused
    assert len(endpoint.calls) == 2


def test_a_fleet_shares_its_cool_down(site: Site, endpoint: TokenEndpoint) -> None:
    endpoint.answer = refusing(503)
    results = Fleet(site, 12, ask_once).results()
    refusals = {refusal for got in results for refusal in got.refusals}
    assert refusals <= {"TokenUnavailable 30", "TokenUnavailable 29"}
    assert len(results) == 12
    assert len(endpoint.calls) == 3
    assert endpoint.calls[1].at - endpoint.calls[0].at >= 0.5
    assert endpoint.calls[2].at - endpoint.calls[1].at >= 1
    assert [got.refusals for got in Fleet(site, 3, ask_once).results()] != [[]] * 3
    assert len(endpoint.calls) == 3


def test_a_fleet_lives_on_short_tokens_without_a_gap(site: Site, endpoint: TokenEndpoint) -> None:
    endpoint.answer = granting(expires_in=5, delay=0.1)
    results = Fleet(site, 8, ask_on_and_on, 8.0).results()
    assert [got.refusals for got in results] == [[]] * 8
    assert all(got.generations == sorted(got.generations) for got in results)
    assert 3 <= len(endpoint.calls) <= 5
    assert len({generation for got in results for generation in got.generations}) == len(endpoint.calls)
    between = [later.at - earlier.at for earlier, later in zip(endpoint.calls, endpoint.calls[1:], strict=False)]
    assert min(between) > 2.5 * 0.6, "a busy machine delays when a call arrives"


def stalling_first(stall: float) -> Callable[[int, Call], Reply]:
    return lambda number, call: granting(delay=stall if number == 1 else 0)(number, call)


def test_a_leader_that_is_killed_stops_the_others_only_until_its_lock_ends(site: Site, endpoint: TokenEndpoint) -> None:
    site = Site(
        redis_port=site.redis_port,
        credentials=site.credentials,
        lock_life=timedelta(seconds=1.5),
        deadline=timedelta(seconds=1.4),
    )
    endpoint.answer = stalling_first(20)
    leader = Fleet(site, 1, ask_once)
    until(lambda: len(endpoint.calls) == 1)
    os.kill(leader.processes[0].pid or 0, signal.SIGKILL)
    started = time.monotonic()
    results = Fleet(site, 5, ask_once).results()
    assert len({got.generations[0] for got in results}) == 1
    assert time.monotonic() - started < 5
    assert len(endpoint.calls) == 2


def test_a_leader_that_stood_still_cannot_store_over_a_newer_token(site: Site, endpoint: TokenEndpoint) -> None:
    site = Site(
        redis_port=site.redis_port,
        credentials=site.credentials,
        lock_life=timedelta(seconds=1),
        deadline=timedelta(seconds=0.9),
    )
    endpoint.answer = stalling_first(0.3)
    late = Fleet(site, 1, ask_once)
    until(lambda: len(endpoint.calls) == 1)
    leader = late.processes[0].pid or 0
    os.kill(leader, signal.SIGSTOP)
    try:
        newer = site.source().token("write")
    finally:
        os.kill(leader, signal.SIGCONT)
    (got,) = late.results()
    assert got.generations == [newer.generation]
    record = store_of(site).read().record
    assert record is not None
    assert record.token == newer
    assert len(endpoint.calls) == 2
