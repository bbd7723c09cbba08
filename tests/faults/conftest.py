"""What fault tests stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from dispatcher.domain.message import Channel
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from tests.faults.crash.house import House, make_house


@pytest.fixture(scope="module")
def api() -> Iterator[SandboxControl]:
    with running_sandbox(SandboxSettings()) as sandbox:
        yield sandbox


@pytest.fixture(params=list(Channel), ids=lambda channel: str(channel.value))
def channel(request: pytest.FixtureRequest) -> Channel:
    return Channel(request.param)


@pytest.fixture(params=["requests", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def house(
    api: SandboxControl, redis: Redis, valkey: str, ledger_url: str, engine: Engine, tmp_path: Path, channel: Channel
) -> House:
    return make_house(api, redis, valkey, ledger_url, engine, tmp_path, channel)
