"""kombu's Redis transport on our connections.

kombu reads a Redis URL in its own way, accepts any certificate, and takes some answers of a server for the end of a
worker: READONLY after a failover, MISCONF when its disk is full. Here each of them is a lost connection.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import kombu.connection
import redis
from celery.app.amqp import AMQP
from kombu.exceptions import OperationalError
from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

from dispatcher.broker.connecting import RedisServer, make_pool


class Channel(kombu_redis.Channel):
    """A channel whose pools are ours, and which is only made on a server that can be written to."""

    server: RedisServer
    connect_timeout = timedelta(seconds=3)
    reply_timeout = timedelta(seconds=10)
    from_transport_options = (  # type: ignore[assignment]  # mypy counts the parent's
        *kombu_redis.Channel.from_transport_options,
        "server",
        "connect_timeout",
        "reply_timeout",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            # A replica and a server whose disk is full answer PING. To wait for them is to try again later.
            self.client.set("writable", 1, px=1000)
        except Exception:
            self.connection.cycle.discard(self)
            self._disconnect_pools()
            raise

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=self.server.address.db)
        channel = self

        def adapt(kind: type[Any]) -> type[Any]:
            def disconnect(connection: Any, *args: Any, **kwargs: Any) -> None:
                kind.disconnect(connection, *args, **kwargs)
                if channel._registered:
                    channel._on_connection_disconnect(connection)

            return type("Connection", (kind,), {"disconnect": disconnect}) if asynchronous else kind

        return make_pool(
            self.server,
            connect_timeout=self.connect_timeout,
            reply_timeout=self.reply_timeout,
            adapt=adapt,
            max_connections=self.max_connections,
            health_check_interval=self.health_check_interval,
        )


class Transport(kombu_redis.Transport):
    """A transport on which every error of Redis is a lost connection."""

    Channel = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, RedisError, OperationalError)


class Connection(kombu.connection.Connection):
    """A connection that looks for a lost server every five seconds at the latest, and shows no password."""

    def as_uri(self, *_: Any, **__: Any) -> str:
        return str((self.transport_options or {})["server"].address)

    def _ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        intervals = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 5.0}
        return super()._ensure_connection(*args, **{**intervals, **kwargs})


class Amqp(AMQP):
    """Celery's way to its connections."""

    Connection = Connection
