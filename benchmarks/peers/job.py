"""What every peer does for a message, in its two kinds: with threads, and on an event loop.

A task gets the message's id. It reads the row, takes the shared token out of Redis (kept here for a second), calls the
API, and writes the attempt and the message's state in one transaction. Threads have it in two ways: with SQLAlchemy, as
those who use Celery mostly write it and as the dispatcher itself does, and with psycopg alone, the fastest there is.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

OneByOne = Callable[[int], None]
"""What is done before each message that is enqueued on its own."""

API, LEDGER, REDIS = (os.environ.get(f"PEER_{name}", "") for name in ("API", "LEDGER", "REDIS"))
IN_FLIGHT = int(os.environ.get("PEER_IN_FLIGHT", "64"))
"""Of one process."""
TABLES = """
CREATE TABLE IF NOT EXISTS peer_messages (
    id bigint PRIMARY KEY, recipient text NOT NULL, body text NOT NULL, state text NOT NULL, provider_id text
);
CREATE TABLE IF NOT EXISTS peer_attempts (
    id bigserial PRIMARY KEY, message_id bigint NOT NULL, status int NOT NULL, latency_ms int NOT NULL
);
TRUNCATE peer_messages, peer_attempts
"""
READ = "SELECT recipient, body FROM peer_messages WHERE id = %s AND state = 'queued'"
ATTEMPT = "INSERT INTO peer_attempts (message_id, status, latency_ms) VALUES (%s, %s, %s)"
SETTLE = "UPDATE peer_messages SET state = 'accepted', provider_id = %s WHERE id = %s"
TOKEN = "peer:token"


_producer = asyncio.Runner()


def produce(work: Coroutine[Any, Any, None]) -> None:
    """Run a producer's work on the one loop that all of it shares: clients keep connections that belong to theirs."""
    _producer.run(work)


def threaded() -> Threaded:
    """Return the job for threads, in the way that was asked for."""
    return WithSqlAlchemy() if os.environ.get("PEER_SQL") == "sqlalchemy" else WithPsycopg()


class Threaded:
    """For tasks in threads: a requests session for each."""

    def __init__(self) -> None:
        import redis

        self._redis = redis.Redis.from_url(REDIS)
        self._local = threading.local()
        self._token = ("", 0.0)

    def read(self, message: int) -> Any:
        """Return recipient and text, or None."""
        raise NotImplementedError

    def settle(self, message: int, status: int, took_ms: int, provider_id: str) -> None:
        """Write the attempt and the state."""
        raise NotImplementedError

    def send(self, message: int) -> None:
        """Do the job."""
        row = self.read(message)
        if row is None:
            return
        began = time.monotonic()
        answer = self._session().post(
            f"{API}/sendSMS",
            json={"recipient": row[0], "message": row[1]},
            headers={"Authorization": f"Bearer {self._shared()}", "Idempotency-Key": str(message)},
            timeout=(3, 15),
        )
        took = round((time.monotonic() - began) * 1000)
        self.settle(message, answer.status_code, took, answer.json()["id"])

    def _session(self) -> Any:
        import requests

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        return self._local.session

    def _shared(self) -> str:
        token, until = self._token
        if time.monotonic() > until:
            found = self._redis.get(TOKEN)
            token = found.decode() if isinstance(found, bytes) else ""
            self._token = (token, time.monotonic() + 1)
        return token


class WithPsycopg(Threaded):
    """With psycopg and its pool."""

    def __init__(self) -> None:
        from psycopg_pool import ConnectionPool

        super().__init__()
        self._pool = ConnectionPool(LEDGER, min_size=1, max_size=IN_FLIGHT, open=True)

    def read(self, message: int) -> Any:
        """Return recipient and text, or None."""
        with self._pool.connection() as connection:
            return connection.execute(READ, (message,)).fetchone()

    def settle(self, message: int, status: int, took_ms: int, provider_id: str) -> None:
        """Write the attempt and the state."""
        with self._pool.connection() as connection:
            connection.execute(ATTEMPT, (message, status, took_ms))
            connection.execute(SETTLE, (provider_id, message))


class WithSqlAlchemy(Threaded):
    """With SQLAlchemy's tables and its pool, statements built once."""

    def __init__(self) -> None:
        import sqlalchemy as sa

        super().__init__()
        url = LEDGER.replace("postgresql://", "postgresql+psycopg://")
        self._engine = sa.create_engine(url, pool_size=IN_FLIGHT, max_overflow=0)
        metadata = sa.MetaData()
        messages = sa.Table("peer_messages", metadata, autoload_with=self._engine)
        attempts = sa.Table("peer_attempts", metadata, autoload_with=self._engine)
        wanted = messages.c.id == sa.bindparam("message")
        self._read = sa.select(messages.c.recipient, messages.c.body).where(wanted, messages.c.state == "queued")
        self._attempt = sa.insert(attempts)
        self._settle = sa.update(messages).where(wanted).values(state="accepted", provider_id=sa.bindparam("provider"))

    def read(self, message: int) -> Any:
        """Return recipient and text, or None."""
        with self._engine.connect() as connection:
            return connection.execute(self._read, {"message": message}).one_or_none()

    def settle(self, message: int, status: int, took_ms: int, provider_id: str) -> None:
        """Write the attempt and the state."""
        with self._engine.begin() as connection:
            connection.execute(self._attempt, {"message_id": message, "status": status, "latency_ms": took_ms})
            connection.execute(self._settle, {"message": message, "provider": provider_id})


class Looped:
    """For tasks on an event loop: psycopg's asynchronous pool, one aiohttp session."""

    async def open(self) -> None:
        """Connect; within the loop."""
        import aiohttp
        import redis.asyncio
        from psycopg_pool import AsyncConnectionPool

        self._pool = AsyncConnectionPool(LEDGER, min_size=1, max_size=32, open=False)
        await self._pool.open()
        self._redis = redis.asyncio.Redis.from_url(REDIS)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT))
        self._token = ("", 0.0)

    async def send(self, message: int) -> None:
        """Do the job."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(READ, (message,))).fetchone()
        if row is None:
            return
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {await self._shared()}", "Idempotency-Key": str(message)}
        body = {"recipient": row[0], "message": row[1]}
        async with self._session.post(f"{API}/sendSMS", json=body, headers=headers) as answer:
            status, content = answer.status, await answer.json()
        took = round((time.monotonic() - began) * 1000)
        async with self._pool.connection() as connection:
            await connection.execute(ATTEMPT, (message, status, took))
            await connection.execute(SETTLE, (content["id"], message))

    async def _shared(self) -> str:
        token, until = self._token
        if time.monotonic() > until:
            found = await self._redis.get(TOKEN)
            token = found.decode() if isinstance(found, bytes) else ""
            self._token = (token, time.monotonic() + 1)
        return token

    async def close(self) -> None:
        """Give everything back."""
        await self._session.close()
        await self._pool.close()
