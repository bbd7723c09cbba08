"""What fault tests stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from dispatcher.domain.message import Channel
from dispatcher.ledger import Books
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from dispatcher.settings import load_settings
from tests.faults.crash.house import SETTINGS, House, SettleIn


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
def settle_in(
    api: SandboxControl, redis: Redis, valkey: str, ledger_url: str, engine: Engine, tmp_path: Path, channel: Channel
) -> SettleIn:
    """Return what makes a house, with settings of its own beside the usual ones."""
    api.reset()
    api.clear_faults()

    def make(**settings: Any) -> House:
        usual = {"ledger_url": ledger_url, "redis_url": valkey, "api_base_url": api.url, "home": tmp_path / "home"}
        return House(
            settings=load_settings(**SETTINGS | usual | settings),
            sandbox=api,
            redis=redis,
            books=Books(engine=engine),
            channel=channel,
        )

    return make


@pytest.fixture
def house(settle_in: SettleIn) -> House:
    return settle_in()
