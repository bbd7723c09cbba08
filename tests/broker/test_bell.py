"""The bell: one ring stands for all until it is heard; lost or doubled, it changes nothing but a delay."""

from __future__ import annotations

import time
from typing import Any

import pytest
from celery.exceptions import QueueNotFound
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispatcher.broker import CeleryBell, make_app, make_ringing_app
from dispatcher.broker.bell import LIFE_MS

QUEUE = "dispatcher:celery:dispatcher.dispatch"


@pytest.fixture
def bell(redis: Redis, valkey: str) -> CeleryBell:
    return CeleryBell(redis, make_ringing_app(valkey))


def rung(redis: Redis) -> Any:
    return redis.llen(QUEUE)


def test_it_rings_once_until_it_is_heard(redis: Redis, bell: CeleryBell) -> None:
    assert bell.ring()
    assert bell.ring()
    assert rung(redis) == 1
    bell.heard()
    bell.ring()
    assert rung(redis) == 2


def test_a_ring_that_was_lost_is_missed_for_two_seconds_at_the_most(redis: Redis, bell: CeleryBell) -> None:
    bell.ring()
    redis.delete(QUEUE)  # Celery took it and died
    assert 0 < redis.pttl("dispatcher:bell") <= LIFE_MS
    redis.pexpire("dispatcher:bell", 1)
    time.sleep(0.02)
    bell.ring()
    assert rung(redis) == 1


def test_a_flushed_redis_is_rung_in_anew(redis: Redis, bell: CeleryBell) -> None:
    bell.ring()
    redis.flushall()
    bell.ring()
    assert rung(redis) == 1


def test_a_dead_redis_is_told_by_no_exception(valkey: str) -> None:
    away = Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    bell = CeleryBell(away, make_ringing_app("redis://127.0.0.1:1/0"))
    started = time.monotonic()
    assert not bell.ring()
    bell.heard()
    assert time.monotonic() - started < 1


def test_a_broker_that_dies_between_the_mark_and_the_task_is_no_exception_either(redis: Redis) -> None:
    bell = CeleryBell(redis, make_ringing_app("redis://127.0.0.1:1/0"))
    started = time.monotonic()
    assert not bell.ring()
    assert time.monotonic() - started < 1


def test_nothing_can_be_published_where_nobody_reads(valkey: str) -> None:
    app = make_ringing_app(valkey)
    with pytest.raises(QueueNotFound):
        app.send_task("dispatcher.dispatch", queue="typo", retry=False)


def test_no_time_is_left_to_celery(valkey: str) -> None:
    """Due times live in the ledger: past the visibility timeout an ETA task would run again and again."""
    conf = make_app(valkey, time_limit=120).conf
    assert (conf.result_backend, conf.task_publish_retry, conf.task_soft_time_limit) == (None, False, None)
    assert conf.broker_transport_options["visibility_timeout"] > 10 * conf.task_time_limit
