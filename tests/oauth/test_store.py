"""The shared record: fenced, sealed, compared by generation, on Redis' clock."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as ReplyLost

from dispatcher.oauth.seal import Seal
from dispatcher.oauth.store import TokenStore
from dispatcher.oauth.token import FailureKind, Minted, Trouble

from .conftest import CLIENT_ID, SECRET, Bench, credentials_for
from .endpoint import TokenEndpoint

TRUSTED = timedelta(seconds=100)
TROUBLE = Trouble(kind=FailureKind.TRANSIENT, reason="answered 503 – später", count=2, cooling=timedelta(seconds=30))


def minted(value: str = "tok-NEVER-IN-CLEAR") -> Minted:
    return Minted(value=value, lifetime=timedelta(seconds=160), scopes=frozenset({"write"}), taken=timedelta(0))


def kept(store: TokenStore, value: str = "tok-NEVER-IN-CLEAR") -> int:
    owner = store.lock.acquire()
    assert owner is not None
    generation = store.keep(owner, minted(value), trusted=TRUSTED)
    assert generation is not None
    return generation


def test_what_is_kept_is_read_by_another(bench: Bench) -> None:
    generation = kept(bench.store())
    record = bench.store().read().record
    assert record is not None
    assert (record.token.value, record.token.generation) == ("tok-NEVER-IN-CLEAR", generation)
    assert record.token.scopes == {"write"}
    assert record.life == TRUSTED
    assert TRUSTED - timedelta(seconds=1) < record.left <= TRUSTED
    assert not record.retired


def test_a_client_that_decodes_replies_reads_the_same(bench: Bench) -> None:
    kept(bench.store())
    port = bench.redis.connection_pool.connection_kwargs["port"]
    decoding = TokenStore(redis=Redis(port=port, decode_responses=True), credentials=credentials_for(bench.endpoint))
    ours, theirs = bench.store().read().record, decoding.read().record
    assert ours is not None
    assert theirs is not None
    assert ours.token == theirs.token
    owner = decoding.lock.acquire()
    assert owner is not None
    assert decoding.fail(owner, TROUBLE)
    assert decoding.read().trouble is not None
    bench.redis.hset(bench.key("record"), "sealed", b"\xff\xfe")
    assert decoding.read().record is None


def test_generations_only_grow_and_tell_redis_time(bench: Bench) -> None:
    seconds, _ = bench.redis.time()
    generations = [kept(bench.store()) for _ in range(50)]
    assert generations == sorted(set(generations))
    assert 0 <= generations[0] - seconds * 1000 < 5000
    bench.redis.hset(bench.key("record"), "generation", 4_000_000_000_000)
    assert kept(bench.store()) == 4_000_000_000_001


def test_the_end_of_a_token_is_its_keys_end(bench: Bench) -> None:
    kept(bench.store())
    assert 99_000 < bench.redis.pttl(bench.key("record")) <= 100_000


def test_a_late_leader_cannot_store_over_a_newer_token(bench: Bench) -> None:
    late = bench.store()
    owner = late.lock.acquire()
    assert owner is not None
    bench.redis.delete(bench.key("lock"))  # its end, while the leader stood still
    newer = kept(bench.store(), "newer")
    assert late.keep(owner, minted("late"), trusted=TRUSTED) is None
    next_owner = bench.store().lock.acquire()
    assert next_owner is not None
    assert late.keep(owner, minted("late"), trusted=TRUSTED) is None
    assert not late.fail(owner, TROUBLE)
    late.lock.release(owner)
    reading = late.read()
    assert reading.record is not None
    assert (reading.record.token.value, reading.record.token.generation) == ("newer", newer)
    assert reading.trouble is None
    assert bench.redis.get(bench.key("lock")) == next_owner.encode()


def test_keeping_and_failing_free_the_lock(bench: Bench) -> None:
    store = bench.store()
    kept(store)
    owner = store.lock.acquire()
    assert owner is not None
    assert store.fail(owner, TROUBLE)
    assert store.lock.acquire() is not None


def test_a_failure_is_read_by_all_and_remembered_past_its_cool_down(bench: Bench) -> None:
    store = bench.store()
    owner = store.lock.acquire()
    assert owner is not None
    store.fail(owner, TROUBLE)
    trouble = bench.store().read().trouble
    assert trouble is not None
    assert (trouble.kind, trouble.reason, trouble.count) == (TROUBLE.kind, TROUBLE.reason, TROUBLE.count)
    assert timedelta(seconds=29) < trouble.cooling <= timedelta(seconds=30)
    bench.clock.step(31)
    over = bench.store().read().trouble
    assert over is not None
    assert (over.count, over.cooling) == (2, timedelta(0))
    kept(store)
    assert store.read().trouble is None


def test_a_failure_leaves_the_record_alone(bench: Bench) -> None:
    store = bench.store()
    generation = kept(store)
    owner = store.lock.acquire()
    assert owner is not None
    store.fail(owner, TROUBLE)
    record = store.read().record
    assert record is not None
    assert record.token.generation == generation


def test_retiring_marks_the_present_generation_only(bench: Bench) -> None:
    store = bench.store()
    assert not store.retire(1)
    assert bench.redis.dbsize() == 0  # a missing record stays missing
    old = kept(store)
    newer = kept(store)
    assert not store.retire(old)
    record = store.read().record
    assert record is not None
    assert not record.retired
    assert store.retire(newer)
    assert not store.retire(newer)
    record = store.read().record
    assert record is not None
    assert record.retired
    kept(store)
    record = store.read().record
    assert record is not None
    assert not record.retired


def test_a_restarted_server_has_forgotten_the_scripts_and_is_told_again(bench: Bench) -> None:
    store = bench.store()
    kept(store)
    bench.redis.script_flush()
    assert store.read().record is not None
    assert kept(store)


def test_nothing_in_redis_is_in_clear(bench: Bench) -> None:
    store = bench.store()
    kept(store)
    owner = store.lock.acquire()
    assert owner is not None
    store.fail(owner, TROUBLE)
    assert store.lock.acquire() is not None
    dump = _everything(bench.redis)
    assert b"TRANSIENT".lower() in dump  # so the dump does show what is there
    for private in ("NEVER-IN-CLEAR", SECRET, CLIENT_ID, "write", bench.endpoint.url):
        assert private.encode() not in dump


def _everything(redis: Redis) -> bytes:
    parts = []
    for key in redis.scan_iter():
        parts += [key, redis.dump(key) or b""]
        parts += [part for pair in redis.hgetall(key).items() for part in pair] if redis.type(key) == b"hash" else []
    return b"\n".join(parts)


@pytest.mark.parametrize(
    "changed",
    [{"client_secret": "other"}, {"client_id": "other"}, {"scopes": frozenset({"write"})}, {"token_url": "http://b/"}],
)
def test_a_seal_opens_for_its_own_credentials_only(endpoint: TokenEndpoint, changed: dict[str, object]) -> None:
    ours, other = Seal(credentials_for(endpoint)), Seal(credentials_for(endpoint, **changed))
    sealed = ours.close("abc", frozenset({"write"}))
    opened = ours.open(sealed)
    assert opened is not None
    assert (opened.value, opened.scopes) == ("abc", frozenset({"write"}))
    assert other.open(sealed) is None
    assert ours.credentials != other.credentials


@pytest.mark.parametrize("sealed", ["", "x", "gAAAAA", "ü" * 50, "\x00"])
def test_what_was_never_sealed_does_not_open(endpoint: TokenEndpoint, sealed: str) -> None:
    assert Seal(credentials_for(endpoint)).open(sealed) is None


def test_a_seal_that_was_tampered_with_does_not_open(endpoint: TokenEndpoint) -> None:
    seal = Seal(credentials_for(endpoint))
    sealed = seal.close("abc", frozenset())
    assert all(
        seal.open(sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]) is None
        for at in range(0, len(sealed) - 4, 7)
    )


def test_the_lock_has_one_holder_and_an_end(bench: Bench) -> None:
    store = TokenStore(
        redis=bench.redis, credentials=credentials_for(bench.endpoint), lock_life=timedelta(milliseconds=80)
    )
    first = store.lock.acquire()
    assert first is not None
    assert store.lock.acquire() is None
    time.sleep(0.1)
    second = store.lock.acquire()
    assert second is not None
    store.lock.release(first)  # late: not its lock any more
    assert store.lock.acquire() is None
    store.lock.release(second)
    assert store.lock.acquire() is not None


class Lossy(Redis):
    """A client that loses the reply of every SET after the server has done it; ``again`` re-sends, as by default."""

    again = False

    def set(self, *args: object, **kwargs: object) -> None:
        assert super().set(*args, **kwargs)  # type: ignore[arg-type]
        if self.again:
            return super().set(*args, **kwargs)  # type: ignore[arg-type, return-value]
        raise ReplyLost("lost")


@pytest.mark.parametrize("again", [False, True])
def test_a_lost_reply_does_not_lose_the_lock(bench: Bench, again: bool) -> None:
    lossy = Lossy(port=bench.redis.connection_pool.connection_kwargs["port"])
    lossy.again = again
    store = TokenStore(redis=lossy, credentials=credentials_for(bench.endpoint))
    owner = store.lock.acquire()
    assert owner is not None
    assert bench.redis.get(bench.key("lock")) == owner.encode()
    assert store.keep(owner, minted(), trusted=TRUSTED) is not None
