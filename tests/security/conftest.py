"""A whole system with secrets that can be recognised: a Redis with a password, a client secret of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from redis import Redis

from dispatcher.ledger import Books, make_engine
from dispatcher.sandbox import SandboxSettings, running_sandbox
from tests.servers import running_redis, running_valkey
from tests.system.conftest import System

CLIENT_SECRET = "s3cr3t-of-the-client-7Qz"
REDIS_PASSWORD = "the-queues-pass-word-8842"
WEB_SECRET = "signs-the-pages-sessions-3071"
ENQUEUE_KEY = Fernet.generate_key().decode()

Start = Callable[..., System]
"""``start(ledger_url, **settings)`` makes a system on a ledger; no worker runs yet."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Make systems; all of their processes and servers end with the test."""
    with ExitStack() as stack:

        def make(ledger_url: str, **settings: str) -> System:
            redis_server = shutil.which("redis-server") if ledger_url.startswith("postgresql") else None
            url = stack.enter_context(running_redis(redis_server) if redis_server else running_valkey())
            guarded = url.replace("redis://", f"redis://:{REDIS_PASSWORD}@")
            client = Redis.from_url(url)
            client.config_set("requirepass", REDIS_PASSWORD)
            client.close()
            redis = Redis.from_url(guarded)
            stack.callback(_open_again, redis)
            sandbox = stack.enter_context(running_sandbox(SandboxSettings(client_secret=CLIENT_SECRET, latency_ms=20)))
            environment = {
                "LEDGER_URL": ledger_url,
                "REDIS_URL": guarded,
                "API_BASE_URL": sandbox.url,
                "CLIENT_ID": "sandbox-client",
                "CLIENT_SECRET": CLIENT_SECRET,
                "ENQUEUE_KEY": ENQUEUE_KEY,
                "WEB_SECRET": WEB_SECRET,
                "HOME": str(tmp_path / "home"),
                "SMS_RATE": "10000/s",
                "GIFT_RATE": "10000/s",
                "READ_TIMEOUT": "1",
                "CONNECT_TIMEOUT": "1",
                "LEASE_SECONDS": "8",
                "SLICE_SECONDS": "2",
                **settings,
            }
            engine = make_engine(ledger_url)
            stack.callback(engine.dispose)
            system = System(
                environment={f"DISPATCHER_{name}": value for name, value in environment.items()},
                sandbox=sandbox,
                redis=redis,
                folder=tmp_path,
                books=Books(engine=engine),
            )
            stack.callback(system.close)
            return system

        yield make


def _open_again(redis: Redis) -> None:
    """Take the password away, since whoever started the server also stops it."""
    redis.config_set("requirepass", "")
    redis.close()
