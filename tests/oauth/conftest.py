"""Real servers for the token's tests: Valkey from its wheel, Redis where Debian has it, and a token endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispatcher.oauth import Credentials, Mint, SharedTokenSource, TokenStore
from tests.servers import port_of, running_redis

from .endpoint import TokenEndpoint
from .timing import SharedTime, SteppedClock

SECRET = "s3cr3t-NEVER-IN-CLEAR"
CLIENT_ID = "client-id-NEVER-IN-REDIS"


def connected(port: int) -> Redis:
    """A client as wiring builds it: short timeouts, nothing sent twice."""
    return Redis(
        port=port, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0), decode_responses=False
    )


@pytest.fixture(scope="session", params=["valkey", "redis"])
def server_port(request: pytest.FixtureRequest) -> Iterator[int]:
    if request.param == "valkey":
        yield request.getfixturevalue("valkey_port")
    else:
        with running_redis(request.getfixturevalue("redis_server")) as url:
            yield port_of(url)


@pytest.fixture(scope="session")
def valkey_port(valkey: str) -> int:
    """For what does not depend on the server's make and is slow."""
    return port_of(valkey)


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
