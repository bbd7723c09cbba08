"""The dispatcher itself: a producer here, a worker as an operator starts it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from benchmarks import measuring
from benchmarks.measuring import TRICKLE, Bench, Figure, running
from dispatcher import Dispatcher, Sms
from dispatcher.ledger import make_engine, migrate


def ours(transport: str, *, processes: int, in_flight: int | None = None) -> Callable[[Bench], Figure]:
    """Return a row of the table; ``in_flight`` of each process, if not the bench's."""

    def run(bench: Bench) -> Figure:
        return burst(bench, bench.ledger, transport, processes, in_flight or bench.in_flight)

    return run


def ours_on_sqlite(transport: str) -> Callable[[Bench], Figure]:
    """Return a row whose ledger is a SQLite file."""

    def run(bench: Bench) -> Figure:
        with tempfile.TemporaryDirectory() as folder:
            ledger = f"sqlite:///{folder}/ledger.db"
            engine = make_engine(ledger)
            migrate(engine)
            engine.dispose()
            return burst(bench, ledger, transport, 1, bench.in_flight)

    return run


def settings(bench: Bench, ledger: str, transport: str, processes: int, in_flight: int) -> dict[str, str]:
    """Return what the producer and the worker are told, by the settings' names."""
    return {
        "ledger_url": ledger,
        "redis_url": bench.redis,
        "api_base_url": bench.api,
        "client_id": "c",
        "client_secret": "s",
        "home": str(bench.home),
        "sms_rate": "1000000/s",
        "concurrency": str(in_flight),
        "processes": str(processes),
        "transport": transport,
        "log_level": "WARNING",
    }


def burst(bench: Bench, ledger: str, transport: str, processes: int, in_flight: int) -> Figure:
    """Send all messages at once, then a few one at a time."""
    given = settings(bench, ledger, transport, processes, in_flight)
    with emptied(ledger) as engine, Dispatcher.from_env(**given) as client:
        environment = {f"DISPATCHER_{name.upper()}": value for name, value in given.items()}
        with running([sys.executable, "-m", "dispatcher", "worker"], environment) as process:
            for _ in range(4):  # connections, token, plans: as a worker that has run for a while has them
                client.send_sms("+61491570006", "warm")
            wait_settled(engine)
            return measuring.burst(
                bench, process.pid, lambda: send(bench, client, engine), lambda: trickle(bench, client, engine)
            )


def send(bench: Bench, client: Dispatcher, engine: Engine) -> None:
    """Enqueue all messages as one stream and wait until they are settled."""
    client.send_many(
        Sms(recipient=f"+614{11_000_000 + n:08d}", body="Your code is 123456") for n in range(bench.messages)
    )
    measuring.wait_carried(bench, bench.messages)
    wait_settled(engine)


def trickle(bench: Bench, client: Dispatcher, engine: Engine) -> list[float]:
    """Send messages one at a time and return how long each took to the API, in milliseconds."""
    called: dict[str, float] = {}
    for _ in range(TRICKLE):
        time.sleep(0.1)
        moment = time.monotonic()
        called[str(client.send_sms("+61491570006", "Your code is 123456").id)] = moment
    wait_settled(engine)
    return measuring.waits(bench, called)


@contextmanager
def emptied(ledger: str) -> Iterator[Engine]:
    """Empty a ledger."""
    engine = make_engine(ledger)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("TRUNCATE dispatcher_messages CASCADE"))
    try:
        yield engine
    finally:
        engine.dispose()


def wait_settled(engine: Engine) -> None:
    """Wait until nothing is queued or under way."""
    left = text("SELECT EXISTS (SELECT 1 FROM dispatcher_messages WHERE state IN ('queued', 'sending'))")
    ends = time.monotonic() + 300
    while True:
        with engine.connect() as connection:
            if not connection.execute(left).scalar():
                return
        if time.monotonic() > ends:
            raise TimeoutError("nothing moves")
        time.sleep(0.02)
