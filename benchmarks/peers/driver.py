"""Runs a peer: its worker as its documentation starts it, a producer here."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import redis

from benchmarks import measuring
from benchmarks.measuring import TRICKLE, Bench, Figure, running

BIN = Path(sys.executable).parent
COMMANDS = {
    "celery": f"{BIN}/celery -A benchmarks.peers.celery_peer worker -l warning --without-gossip --without-mingle",
    "dramatiq": f"{BIN}/dramatiq benchmarks.peers.dramatiq_peer",
    "taskiq": f"{BIN}/taskiq worker benchmarks.peers.taskiq_peer:broker",
    "arq": f"{BIN}/arq benchmarks.peers.arq_peer.WorkerSettings",
}
SLOWER = 4
"""Peers get so many times fewer messages, so that a round of theirs does not take minutes."""


def peer(name: str, options: str, *, in_flight: int, sql: str = "psycopg") -> Callable[[Bench], Figure]:
    """Return a row of the table.

    :param in_flight: calls of one process at once.
    :param sql: by what tasks in threads talk to the database.
    """

    def run(whole: Bench) -> Figure:
        bench = replace(whole, messages=whole.messages // SLOWER)
        ledger = bench.ledger.replace("postgresql+psycopg://", "postgresql://")
        environment = {
            "PEER_API": bench.api,
            "PEER_LEDGER": ledger,
            "PEER_REDIS": bench.redis,
            "PEER_IN_FLIGHT": str(in_flight),
            "PEER_SQL": sql,
        }
        os.environ.update(environment)
        redis.Redis.from_url(bench.redis).flushall()
        job = importlib.import_module("benchmarks.peers.job")
        enqueue = importlib.import_module(f"benchmarks.peers.{name}_peer").enqueue
        redis.Redis.from_url(bench.redis).set(job.TOKEN, "t" * 40)
        with psycopg.connect(ledger, autocommit=True) as connection:
            connection.execute(job.TABLES)
            with running([*shlex.split(COMMANDS[name]), *shlex.split(options)], environment) as process:
                for n in range(4):
                    insert(connection, [-n])
                    enqueue([-n])
                settled(connection)

                def send() -> None:
                    many = list(range(1, bench.messages + 1))
                    insert(connection, many)
                    enqueue(many)
                    measuring.wait_carried(bench, bench.messages)
                    settled(connection)

                return measuring.burst(bench, process.pid, send, lambda: trickle(bench, connection, enqueue))

    return run


def trickle(
    bench: Bench, connection: psycopg.Connection[tuple[object, ...]], enqueue: Callable[..., None]
) -> list[float]:
    """Send messages one at a time and return how long each took to the API, in milliseconds."""
    called: dict[str, float] = {}

    def one(message: int) -> None:
        time.sleep(0.1)
        called[str(message)] = time.monotonic()
        insert(connection, [message])

    enqueue(list(range(bench.messages + 1, bench.messages + 1 + TRICKLE)), one_by_one=one)
    settled(connection)
    return measuring.waits(bench, called)


def insert(connection: psycopg.Connection[tuple[object, ...]], messages: list[int]) -> None:
    """Write the rows, by COPY."""
    with connection.cursor().copy("COPY peer_messages (id, recipient, body, state) FROM STDIN") as copy:
        for n in messages:
            copy.write_row((n, f"+614{11_000_000 + n:08d}", "Your code is 123456", "queued"))


def settled(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Wait until no row is queued."""
    ends = time.monotonic() + 300
    while True:
        row = connection.execute("SELECT EXISTS (SELECT 1 FROM peer_messages WHERE state = 'queued')").fetchone()
        if row is not None and not row[0]:
            return
        if time.monotonic() > ends:
            raise TimeoutError("nothing moves")
        time.sleep(0.02)
