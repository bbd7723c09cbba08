"""One process' view, on a stepped time: what a caller gets, and what it costs Redis and the API."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from dispatcher.domain.errors import CredentialsRefused, ScopeMissing, TokenUnavailable
from dispatcher.oauth import Mint, SharedTokenSource, TokenStore
from dispatcher.oauth.token import Minted
from dispatcher.ports import TokenSource

from .conftest import Bench, credentials_for
from .endpoint import Call, Reply, always, granting, refusing


def commands(bench: Bench) -> int:
    return int(bench.redis.info("stats")["total_commands_processed"])


def test_it_is_a_token_source(bench: Bench) -> None:
    source: TokenSource = bench.source()
    token = source.token("write")
    assert token.value == "tok-NEVER-IN-CLEAR-1"
    assert token.scopes == {"write", "gifting:send"}


def test_a_fresh_token_costs_neither_redis_nor_the_api_anything(bench: Bench) -> None:
    source = bench.source()
    first = source.token("write")
    before = commands(bench)
    assert all(source.token("gifting:send") is first for _ in range(1000))
    assert commands(bench) == before + 1  # the counting itself
    assert len(bench.endpoint.calls) == 1


def test_another_process_takes_the_token_over(bench: Bench) -> None:
    first, second = bench.source().token("write"), bench.source().token("write")
    assert first == second
    assert len(bench.endpoint.calls) == 1


@pytest.mark.timed
def test_one_process_refreshes_ahead_while_the_others_keep_the_old_token(bench: Bench) -> None:
    leader, other = bench.source(), bench.source()
    old = leader.token("write")
    other.token("write")
    bench.clock.step(3540 * 0.86)
    assert leader.token("write") == old
    bench.clock.step(3540 * 0.02)
    bench.endpoint.answer = granting(delay=0.6)
    with ThreadPoolExecutor() as pool:
        refreshed = pool.submit(leader.token, "write")
        while len(bench.endpoint.calls) < 2:
            pass
        bench.clock.step_here(2.1)  # so that a look at Redis is due again
        started = time.monotonic()
        assert leader.token("write") == old  # another thread of the same process
        assert time.monotonic() - started < 0.2
        assert other.token("write") == old  # another process, which looks, and finds the lock taken
        assert refreshed.result().generation > old.generation
    assert len(bench.endpoint.calls) == 2
    bench.clock.step(2.1)
    assert other.token("write") == refreshed.result()
    assert len(bench.endpoint.calls) == 2


def test_a_process_in_the_refresh_window_looks_at_redis_every_two_seconds_at_the_most(bench: Bench) -> None:
    source = bench.source()
    old = source.token("write")
    assert bench.store().lock.acquire() is not None
    bench.clock.step_here(3540 * 0.9)
    source.token("write")
    before = commands(bench)
    assert source.token("write") == source.token("write") == old
    assert commands(bench) == before + 1
    bench.clock.step_here(2)
    assert source.token("write") == old
    assert commands(bench) > before + 2


def test_a_token_is_not_used_past_its_end_less_the_leeway(bench: Bench) -> None:
    source = bench.source()
    old = source.token("write")
    bench.endpoint.answer = refusing(503)
    bench.clock.step(3539)
    assert source.token("write") == old
    bench.clock.step(1.5)
    with pytest.raises(TokenUnavailable):
        source.token("write")


def test_life_counts_from_the_start_of_the_token_call(bench: Bench) -> None:
    def slow(number: int, call: Call) -> Reply:
        bench.clock.step_here(5)  # as the process sees it, the call takes five seconds
        return granting()(number, call)

    bench.endpoint.answer = slow
    source = bench.source()
    source.token("write")
    state = source.state()
    assert state.expires_in == timedelta(seconds=3535)
    assert 3533_000 < bench.redis.pttl(bench.key("record")) <= 3535_000


def test_a_five_second_token_works_for_half_of_its_life(bench: Bench) -> None:
    bench.endpoint.answer = granting(expires_in=5)
    source, other = bench.source(), bench.source()
    old = source.token("write")
    bench.clock.step(1.9)
    assert source.token("write") == other.token("write") == old
    bench.clock.step(0.3)
    newer = source.token("write")
    assert newer.generation > old.generation
    bench.clock.step(0.3)
    assert other.token("write") == newer
    assert len(bench.endpoint.calls) == 2


@pytest.mark.parametrize("expires_in", [None, "soon", -1, 0, True, [3600], "nan", 1e400])
def test_a_senseless_lifetime_counts_as_five_minutes(bench: Bench, expires_in: object) -> None:
    bench.endpoint.answer = granting(expires_in=expires_in)
    source = bench.source()
    source.token("write")
    assert source.state().expires_in == timedelta(minutes=4)


def test_a_lifetime_that_lies_is_corrected_by_the_refusal(bench: Bench) -> None:
    bench.endpoint.answer = granting(expires_in=10**12)
    source = bench.source()
    old = source.token("write")
    expires_in = source.state().expires_in
    assert expires_in is not None
    assert expires_in < timedelta(hours=24)
    source.retire(old.generation)
    assert source.token("write").generation > old.generation


def test_a_refused_token_is_replaced_once_whoever_complains(bench: Bench) -> None:
    one, two = bench.source(), bench.source()
    old = one.token("write")
    two.token("write")

    def complain(source: SharedTokenSource) -> int:
        source.retire(old.generation)
        return source.token("write").generation

    with ThreadPoolExecutor(100) as pool:
        generations = set(pool.map(complain, [one, two] * 50))
    assert len(generations) == 1
    assert generations.pop() > old.generation
    assert len(bench.endpoint.calls) == 2


def test_a_late_complaint_never_retires_a_newer_token(bench: Bench) -> None:
    source, other = bench.source(), bench.source()
    old = source.token("write")
    source.retire(old.generation)
    newer = source.token("write")
    source.retire(old.generation)
    other.retire(old.generation)
    assert source.token("write") is newer
    assert other.token("write") == newer
    assert not bench.redis.hexists(bench.key("record"), "retired")
    assert len(bench.endpoint.calls) == 2


def test_a_refusal_elsewhere_is_learnt_at_the_next_look(bench: Bench) -> None:
    one, two = bench.source(), bench.source()
    old = one.token("write")
    two.token("write")
    one.retire(old.generation)
    bench.endpoint.answer = refusing(503)
    bench.clock.step(3540 * 0.9)
    with pytest.raises(TokenUnavailable):
        two.token("write")


def test_passing_trouble_gets_three_quick_tries_and_then_a_shared_cool_down(bench: Bench) -> None:
    bench.endpoint.answer = refusing(503)
    source, other = bench.source(), bench.source()
    with pytest.raises(TokenUnavailable, match="503 Service Unavailable") as caught:
        source.token("write")
    assert timedelta(seconds=29) < caught.value.retry_after <= timedelta(seconds=30)
    assert len(bench.endpoint.calls) == 3
    for each in (source, other, bench.source()):
        with pytest.raises(TokenUnavailable):
            each.token("write")
    assert len(bench.endpoint.calls) == 3


def test_each_further_failure_doubles_the_cool_down_up_to_a_quarter_of_an_hour(bench: Bench) -> None:
    bench.endpoint.answer = refusing(500)
    seen = []
    for _ in range(8):
        with pytest.raises(TokenUnavailable) as caught:
            bench.source().token("write")
        seen.append(round(caught.value.retry_after.total_seconds()))
        bench.clock.step(caught.value.retry_after.total_seconds() + 0.1)
    assert seen == [30, 60, 120, 240, 480, 900, 900, 900]
    assert len(bench.endpoint.calls) == 3 + 7


def test_the_first_success_ends_the_trouble_for_all(bench: Bench) -> None:
    bench.endpoint.answer = lambda number, call: (refusing(503) if number < 3 else granting())(number, call)
    source = bench.source()
    assert source.token("write").value.endswith("-3")
    state = bench.source().state()
    assert state.problem is None
    assert state.cooling_for == timedelta(0)


def test_trouble_during_a_refresh_leaves_the_old_token_in_use(bench: Bench) -> None:
    source = bench.source()
    old = source.token("write")
    bench.endpoint.answer = refusing(401, "invalid_client")
    bench.clock.step(3540 * 0.9)
    for _ in range(20):
        assert source.token("write") == old
        bench.clock.step(2.5)
    assert len(bench.endpoint.calls) == 2
    state = source.state()
    assert state.generation == old.generation
    assert state.problem is not None
    assert state.cooling_for > timedelta(minutes=4)


def test_quick_tries_during_a_refresh_are_three_as_well(bench: Bench) -> None:
    source = bench.source()
    old = source.token("write")
    bench.endpoint.answer = refusing(503)
    bench.clock.step(3540 * 0.9)
    for _ in range(10):
        assert source.token("write") == old
        bench.clock.step(2.5)
    assert len(bench.endpoint.calls) == 1 + 3


def test_refused_credentials_are_not_tried_again_for_five_minutes(bench: Bench) -> None:
    bench.endpoint.answer = refusing(401, "invalid_client", "no such client")
    with pytest.raises(CredentialsRefused, match="DISPATCHER_CLIENT_SECRET") as caught:
        bench.source().token("write")
    assert timedelta(seconds=299) < caught.value.retry_after <= timedelta(minutes=5)
    with pytest.raises(CredentialsRefused):
        bench.source().token("write")
    assert len(bench.endpoint.calls) == 1
    bench.clock.step(301)
    with pytest.raises(CredentialsRefused) as again:
        bench.source().token("write")
    assert again.value.retry_after > timedelta(minutes=9)
    assert len(bench.endpoint.calls) == 2


def test_an_operator_may_end_the_cool_down(bench: Bench) -> None:
    bench.endpoint.answer = refusing(401, "invalid_client")
    waiting = bench.source()
    with pytest.raises(CredentialsRefused):
        waiting.token("write")
    bench.endpoint.answer = granting()
    bench.source().try_again()
    bench.clock.step(2.1)
    assert waiting.token("write").value.endswith("-2")


def test_new_credentials_are_tried_at_once(bench: Bench) -> None:
    bench.endpoint.answer = refusing(401, "invalid_client")
    with pytest.raises(CredentialsRefused):
        bench.source().token("write")
    bench.endpoint.answer = granting()
    assert bench.source(client_secret="corrected").token("write").value.endswith("-2")
    with pytest.raises(CredentialsRefused):
        bench.source().token("write")


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_wrong_address_waits_for_a_person(bench: Bench, status: int) -> None:
    bench.endpoint.answer = refusing(status, Location="/elsewhere")
    with pytest.raises(TokenUnavailable, match="DISPATCHER_API_BASE_URL") as caught:
        bench.source().token("write")
    assert caught.value.retry_after > timedelta(minutes=4)
    assert len(bench.endpoint.calls) == 1


def test_an_invalid_scope_waits_for_a_person(bench: Bench) -> None:
    bench.endpoint.answer = refusing(400, "invalid_scope", "gifting:send is not yours")
    with pytest.raises(TokenUnavailable, match="DISPATCHER_SCOPES") as caught:
        bench.source().token("write")
    assert caught.value.retry_after > timedelta(minutes=4)
    assert len(bench.endpoint.calls) == 1


def test_a_retry_after_lengthens_the_wait(bench: Bench) -> None:
    bench.endpoint.answer = refusing(429, Retry_After="47")
    with pytest.raises(TokenUnavailable) as caught:
        bench.source().token("write")
    assert timedelta(seconds=46) < caught.value.retry_after <= timedelta(seconds=47)
    assert len(bench.endpoint.calls) == 1


def test_a_scope_that_was_not_granted_stops_its_channel_only(bench: Bench) -> None:
    bench.endpoint.answer = granting(scope="write")
    source = bench.source()
    with pytest.raises(ScopeMissing) as caught:
        source.token("gifting:send")
    assert caught.value.retry_after == timedelta(seconds=60)
    assert caught.value.granted == {"write"}
    assert source.token("write").value.endswith("-1")
    with pytest.raises(ScopeMissing):
        bench.source().token("gifting:send")
    assert len(bench.endpoint.calls) == 1


def test_a_missing_scope_in_the_answer_means_as_asked(bench: Bench) -> None:
    bench.endpoint.answer = granting(scope=None)
    assert bench.source().token("gifting:send").scopes == {"write", "gifting:send"}


@pytest.mark.parametrize("changed", [{"client_id": "other"}, {"scopes": frozenset({"write"})}, {"client_secret": "x"}])
def test_other_clients_scopes_and_secrets_have_tokens_of_their_own(bench: Bench, changed: dict[str, Any]) -> None:
    first = bench.source().token("write")
    assert bench.source(**changed).token("write") != first
    assert bench.source().token("write") == first
    assert len(bench.endpoint.calls) == 2


def test_a_caller_that_waits_in_vain_learns_so_after_ten_seconds(bench: Bench) -> None:
    assert bench.store().lock.acquire() is not None
    started = bench.clock.monotonic()
    with pytest.raises(TokenUnavailable, match="another caller") as caught:
        bench.source().token("write")
    assert 9 < bench.clock.monotonic() - started <= 10
    assert caught.value.retry_after == timedelta(seconds=1)
    assert bench.endpoint.calls == []


def test_a_foreign_record_is_a_miss(bench: Bench) -> None:
    bench.source().token("write")
    record = bench.key("record")
    bench.redis.hset(record, "sealed", b"\xff\xfe not ours")
    assert bench.source().token("write").value.endswith("-2")
    assert bench.source().token("write").value.endswith("-2")


@pytest.mark.parametrize("name", ["record", "failure"])
@pytest.mark.parametrize("corrupt", ["text", "list", "numbers"])
def test_a_corrupted_record_is_a_miss(bench: Bench, name: str, corrupt: str) -> None:
    bench.source().token("write")
    key = bench.key("record").decode().replace(":record", f":{name}")
    if corrupt == "text":
        bench.redis.set(key, "what is this")
    elif corrupt == "list":
        bench.redis.delete(key)
        bench.redis.rpush(key, "what", "is", "this")
    else:
        fields = ("generation", "life_ms", "count", "until_ms", "kind")
        bench.redis.hset(key, mapping=dict.fromkeys(fields, b"9e999\xff"))
    token = bench.source().token("write")
    assert bench.source().token("write") == token


def test_a_record_without_an_end_is_a_miss(bench: Bench) -> None:
    bench.source().token("write")
    bench.redis.persist(bench.key("record"))
    assert bench.source().token("write").value.endswith("-2")


def test_an_emptied_redis_changes_nothing_until_a_refresh_is_due(bench: Bench) -> None:
    one, two = bench.source(), bench.source()
    old = one.token("write")
    two.token("write")
    bench.redis.flushall()
    assert one.token("write") is old
    bench.clock.step(3540 * 0.9)
    newer = one.token("write")
    assert newer.generation > old.generation
    assert two.token("write") == newer
    assert len(bench.endpoint.calls) == 2


def test_the_state_tells_an_operator_everything_but_the_token(bench: Bench) -> None:
    source = bench.source()
    token = source.token("write")
    bench.clock.step(100)
    for state in (source.state(), bench.source().state()):
        assert state.generation == token.generation
        assert state.scopes == {"write", "gifting:send"}
        assert state.age is not None
        assert abs(state.age - timedelta(seconds=100)) < timedelta(seconds=1)
        assert state.expires_in is not None
        assert abs(state.expires_in - timedelta(seconds=3440)) < timedelta(seconds=1)
        assert state.refresh_in is not None
        assert abs(state.refresh_in - timedelta(seconds=3440 - 3540 * 0.125)) < timedelta(seconds=1)
        assert state.problem is None
        assert "NEVER" not in repr(state)
    source.retire(token.generation)
    for state in (source.state(), bench.source().state()):
        assert state.generation is None
        assert state.expires_in is None


def test_a_leader_whose_lock_passed_on_uses_the_newer_token(bench: Bench) -> None:
    def overtaken(number: int, call: Call) -> Reply:
        bench.redis.flushall()
        store = bench.store()
        newer = Minted(value="newer", lifetime=timedelta(1), scopes=frozenset({"write"}), taken=timedelta(0))
        store.keep(store.lock.acquire() or "", newer, trusted=timedelta(minutes=1))
        return granting()(number, call)

    bench.endpoint.answer = overtaken
    source = bench.source()
    assert source.token("write").value == "newer"
    assert source.state().generation == source.token("write").generation


def test_a_redis_emptied_during_the_token_call_does_not_lose_the_token(bench: Bench) -> None:
    def emptied(number: int, call: Call) -> Reply:
        bench.redis.flushall()
        return granting()(number, call)

    bench.endpoint.answer = emptied
    source = bench.source()
    assert source.token("write").value.endswith("-1")
    assert source.token("write").value.endswith("-1")
    assert len(bench.endpoint.calls) == 1


def test_the_lock_must_outlive_a_mint(bench: Bench) -> None:
    credentials = credentials_for(bench.endpoint)
    store = TokenStore(redis=bench.redis, credentials=credentials, lock_life=timedelta(seconds=10))
    with pytest.raises(ValueError, match="lock must live longer"):
        SharedTokenSource(store=store, mint=Mint(credentials=credentials), clock=bench.clock)


def test_threads_without_a_token_wait_for_the_one_that_mints(bench: Bench) -> None:
    bench.endpoint.answer = granting(delay=0.3)
    source = bench.source()
    gate = threading.Barrier(30)

    def ask(_: int) -> int:
        gate.wait()
        return source.token("write").generation

    with ThreadPoolExecutor(30) as pool:
        assert len(set(pool.map(ask, range(30)))) == 1
    assert len(bench.endpoint.calls) == 1


def test_threads_share_the_bad_news_too(bench: Bench) -> None:
    bench.endpoint.answer = always(Reply(status=401, delay=0.2))
    source = bench.source()

    def ask(_: int) -> bool:
        try:
            source.token("write")
        except CredentialsRefused:
            return True
        return False

    with ThreadPoolExecutor(30) as pool:
        assert all(pool.map(ask, range(30)))
    assert len(bench.endpoint.calls) == 1
