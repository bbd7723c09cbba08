"""The bell: one ring stands for all until it is heard; lost or doubled, it changes nothing but a delay."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from celery.exceptions import QueueNotFound
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispatcher.broker import CeleryBell, Work, make_app, make_ringing_app, register
from dispatcher.broker.bell import LIFE_MS

QUEUE = "dispatcher:celery:dispatcher.dispatch"


@pytest.fixture
def bell(redis: Redis) -> CeleryBell:
    return CeleryBell(redis)


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


@pytest.mark.timed
def test_a_dead_redis_is_told_by_no_exception() -> None:
    away = Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    bell = CeleryBell(away)
    started = time.monotonic()
    assert not bell.ring()
    bell.heard()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("host", [f"{'x' * 64}.example", "\0", "\ud800"])
def test_whatever_is_wrong_with_its_client_is_told_by_no_exception(host: str) -> None:
    """The message has committed by then: its caller would take an error for "not enqueued" and send it again."""
    bell = CeleryBell(Redis(host=host, retry=Retry(NoBackoff(), 0)))
    assert not bell.ring()
    bell.heard()


@pytest.mark.timed
def test_a_broker_that_dies_between_the_mark_and_the_task_is_no_exception_either(redis: Redis) -> None:
    redis.set(QUEUE, "a text is no list")  # so that the mark can be set and the task cannot be pushed
    started = time.monotonic()
    assert not CeleryBell(redis).ring()
    assert time.monotonic() - started < 1


def test_its_message_is_what_celery_itself_publishes(redis: Redis, bell: CeleryBell, valkey: str) -> None:
    producer = make_ringing_app(valkey)
    producer.send_task("dispatcher.dispatch", queue="dispatcher.dispatch", retry=False, ignore_result=True)
    bell.ring()
    ours, theirs = (json.loads(text) for text in redis.lrange(QUEUE, 0, -1))
    assert ours != theirs, "each has ids of its own"
    identities = [_without_identity(each) for each in (ours, theirs)]
    assert ours == theirs
    assert [len(set(each)) for each in identities] == [2, 2], "the task's id, three times, and the delivery's"


def _without_identity(message: dict[str, Any]) -> list[str]:
    """Take out what differs from message to message, and return the ids: the task's three times, the delivery's."""
    headers, properties = message["headers"], message["properties"]
    pid, _, host = headers.pop("origin").removeprefix("gen").partition("@")
    assert (int(pid), host) == (os.getpid(), socket.gethostname())
    properties.pop("reply_to")  # where a result would be sent: there are none
    return [headers.pop("id"), headers.pop("root_id"), properties.pop("correlation_id"), properties.pop("delivery_tag")]


def test_a_celery_worker_runs_it(redis: Redis, bell: CeleryBell, valkey: str) -> None:
    done: list[str] = []
    app = make_app(valkey, time_limit=60)
    register(app, Work(dispatch=lambda: done.append("dispatched"), enqueue=done.append))
    bell.ring()
    bell.heard()
    bell.ring()
    with start_worker(app, pool="solo", queues=["dispatcher.dispatch"], perform_ping_check=False, shutdown_timeout=20):
        until = time.monotonic() + 20
        while len(done) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert done == ["dispatched", "dispatched"]
    assert redis.llen(QUEUE) == 0


def test_nothing_can_be_published_where_nobody_reads(valkey: str) -> None:
    app = make_ringing_app(valkey)
    with pytest.raises(QueueNotFound):
        app.send_task("dispatcher.dispatch", queue="typo", retry=False)


def test_no_time_is_left_to_celery(valkey: str) -> None:
    """Due times live in the ledger: past the visibility timeout an ETA task would run again and again."""
    conf = make_app(valkey, time_limit=120).conf
    assert (conf.result_backend, conf.task_publish_retry, conf.task_soft_time_limit) == (None, False, None)
    assert conf.broker_transport_options["visibility_timeout"] > 10 * conf.task_time_limit
