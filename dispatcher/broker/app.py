"""The Celery application and why each of its settings is what it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from dispatcher.broker.connecting import RedisServer
from dispatcher.broker.queues import DISPATCH, ENQUEUE, KEY_PREFIX

_EXCHANGE = Exchange("dispatcher")
INTAKE_TIME_LIMIT_S = 20
"""Seconds that taking one message through the broker may last: a lock's timeout, a connection's and some more."""


def make_app(redis: RedisServer | str, *, time_limit: float) -> Celery:
    """Build the application of a worker; it waits for a broker that is away for as long as that takes.

    :param redis: the server, or its URL.
    :param time_limit: seconds after which a stuck task's process is killed; longer than any pump can take.
    """
    app = _make(redis)
    app.conf.update(
        # A task says only that something is due. One that is lost with its process is replaced by the clock's next, and
        # one that is not acknowledged cannot trouble a connection that was lost in the meantime.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_time_limit=time_limit,
        # Raising inside a pump at any bytecode would abandon what is in flight; pumps end by themselves.
        task_soft_time_limit=None,
        # One bell at a time: a bell that waits behind a running pump could wake another process instead.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # Limits hold at the moment of sending and for the whole fleet; Celery's are for one worker and one task.
        worker_disable_rate_limits=True,
        # Nothing here uses an ETA; this only bounds the harm if somebody does.
        worker_eta_task_limit=100,
        worker_send_task_events=False,
        # Whoever can write to Redis could end the fleet with one broadcast; nothing here uses it.
        worker_enable_remote_control=False,
        # Fresh processes once in a while bound what any leak can cost.
        worker_max_tasks_per_child=2000,
        worker_max_memory_per_child=400_000,
        # Warm shutdown only: pumps see it coming and end within their HTTP deadline.
        worker_soft_shutdown_timeout=0,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport(
            redis,
            reply_timeout=timedelta(seconds=10),  # longer than BRPOP's second
            connect_timeout=timedelta(seconds=3),
            health_check_interval=25,
        ),
    )
    return app


def make_intake_app(redis: RedisServer | str) -> Celery:
    """Build the application of the process that takes messages which come through the broker.

    It keeps what it has not acknowledged under keys of its own, and gives it back within a minute after it was killed.
    Whatever is delivered twice is one message, by its id.
    """
    app = make_app(redis, time_limit=INTAKE_TIME_LIMIT_S)
    app.conf.broker_transport_options = app.conf.broker_transport_options | {
        "visibility_timeout": 2 * INTAKE_TIME_LIMIT_S,
        "unacked_key": "intake.unacked",
        "unacked_index_key": "intake.unacked_index",
        "unacked_mutex_key": "intake.unacked_mutex",
        "unacked_mutex_expire": 30,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    }
    return app


def make_ringing_app(redis: RedisServer | str) -> Celery:
    """Build the application of a producer that only publishes: it fails within a second when Redis is away."""
    app = _make(redis)
    app.conf.update(
        broker_connection_retry=False,
        broker_connection_max_retries=0,
        broker_transport_options=_transport(
            redis,
            reply_timeout=timedelta(seconds=0.4),
            connect_timeout=timedelta(seconds=0.4),
            max_retries=0,
            interval_start=0,
            interval_step=0,
        ),
    )
    return app


def _make(redis: RedisServer | str) -> Celery:
    app = Celery("dispatcher", set_as_current=False, amqp="dispatcher.broker.transport:Amqp")
    app.conf.update(
        broker_url="redis://",  # the transport goes by its option "server"
        broker_transport="dispatcher.broker.transport:Transport",
        # Nobody reads results: the ledger has the outcomes.
        result_backend=None,
        task_ignore_result=True,
        # A publish that fails must fail at once: the tick rings again.
        task_publish_retry=False,
        # An unknown queue is a mistake, not a new queue that nobody reads.
        task_create_missing_queues=False,
        task_queues=[Queue(name, _EXCHANGE, routing_key=name) for name in (ENQUEUE, DISPATCH)],
        task_default_queue=DISPATCH,
        task_default_exchange=_EXCHANGE.name,
        task_default_routing_key=DISPATCH,
        task_serializer="json",
        accept_content=["json"],
        enable_utc=True,
        timezone="UTC",
        broker_pool_limit=4,
    )
    return app


def _transport(redis: RedisServer | str, **options: Any) -> dict[str, Any]:
    return {
        "server": redis if isinstance(redis, RedisServer) else RedisServer.at(redis),
        # Longer than any task runs, or Redis hands it out again; the same for every process on this broker.
        "visibility_timeout": 1800,
        "global_keyprefix": KEY_PREFIX,
        "max_connections": 64,  # kombu's default of 10 raises when exceeded
        "queue_order_strategy": "priority",  # the order of the queues is their priority
        "priority_steps": [0],  # one list for each queue, so that BRPOP names three keys and not twelve
        **options,
    }
