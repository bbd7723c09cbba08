"""Connections to Redis: the same address, credentials and certificates for Celery's and for our own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from dispatcher.domain.errors import SettingsError
from dispatcher.domain.redis_address import RedisAddress, parse_redis_url

_UNNAMED: dict[str, None] = (
    {"driver_info": None}
    if "driver_info" in signature(AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)
"""What keeps redis-py, in its versions, from telling the server its name by CLIENT SETINFO."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """A server and what proves that it is the right one. With TLS its certificate is always verified."""

    address: RedisAddress
    ca_bundle: str = ""
    """File of CA certificates; empty: those of the system."""
    client_cert: str = ""
    client_key: str = ""
    """Files of this client's certificate and key, if the server asks for one."""

    @classmethod
    def at(cls, url: str) -> RedisServer:
        """Return the server at a URL, verified with the system's CA certificates.

        :raises SettingsError: the URL cannot be read.
        """
        try:
            return cls(address=parse_redis_url(url))
        except ValueError as wrong:
            raise SettingsError(f"DISPATCHER_REDIS_URL: {wrong}") from None

    def check_files(self) -> None:
        """Look whether the files of certificates can be used.

        :raises SettingsError: which one cannot, and why.
        """
        if not self.address.tls:
            return
        context = ssl.create_default_context()
        if self.ca_bundle:
            with _readable("DISPATCHER_REDIS_CA_BUNDLE", self.ca_bundle):
                context.load_verify_locations(self.ca_bundle)
        if self.client_cert:
            name = "DISPATCHER_REDIS_CLIENT_KEY" if self.client_key else "DISPATCHER_REDIS_CLIENT_CERT"
            with _readable("DISPATCHER_REDIS_CLIENT_CERT", self.client_cert), open(self.client_cert, "rb"):
                pass
            with _readable(name, self.client_key or self.client_cert):
                context.load_cert_chain(self.client_cert, self.client_key or None, password="")


@contextmanager
def _readable(name: str, path: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        reason = error.reason or "no certificate in PEM form"
        raise SettingsError(f"{name}: {path} cannot be used: {reason.lower().replace('_', ' ')}") from None
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {path}: {error.strerror}") from None


def connect(server: RedisServer, *, connect_timeout: timedelta, reply_timeout: timedelta) -> redis.Redis:
    """Make a client that connects at its first command and never repeats one: a lost reply must not act twice."""
    return redis.Redis(connection_pool=make_pool(server, connect_timeout=connect_timeout, reply_timeout=reply_timeout))


def make_pool(
    server: RedisServer,
    *,
    connect_timeout: timedelta,
    reply_timeout: timedelta,
    adapt: Callable[[type[Any]], type[Any]] = lambda kind: kind,
    **options: Any,
) -> redis.ConnectionPool:
    """Make a pool of connections to a server.

    A connection asks for nothing but what an ACL user with `~dispatcher:*` may: no CLIENT, no HELLO, no INFO.

    :param adapt: makes the class of connections to use out of the class for this kind of address.
    :param options: more arguments of redis-py's connections.
    """
    address = server.address
    arguments: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "socket_timeout": reply_timeout.total_seconds(),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **_UNNAMED,
        **options,
    }
    if address.path:
        return redis.ConnectionPool(
            connection_class=adapt(redis.UnixDomainSocketConnection), path=address.path, **arguments
        )
    arguments |= {"socket_connect_timeout": connect_timeout.total_seconds(), "socket_keepalive": True}
    if address.tls:
        arguments |= _tls(server)
    if not address.master:
        ((host, port),) = address.hosts
        kind = redis.SSLConnection if address.tls else redis.Connection
        return redis.ConnectionPool(connection_class=adapt(kind), host=host, port=port, **arguments)
    sentinels = Sentinel(
        address.hosts,
        sentinel_kwargs={
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "socket_timeout": reply_timeout.total_seconds(),
            "socket_connect_timeout": connect_timeout.total_seconds(),
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            **_UNNAMED,
            **({"ssl": True, **_tls(server)} if address.tls else {}),
        },
    )
    managed = SentinelManagedSSLConnection if address.tls else SentinelManagedConnection
    return SentinelConnectionPool(address.master, sentinels, connection_class=adapt(managed), **arguments)


def _tls(server: RedisServer) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": server.ca_bundle or None,
        "ssl_certfile": server.client_cert or None,
        "ssl_keyfile": server.client_key or None,
    }
