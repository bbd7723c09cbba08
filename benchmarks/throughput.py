"""Messages a second from the first that is enqueued to the last that is settled, for each transport, beside bare loops.

    python benchmarks/throughput.py --messages 20000 --rounds 3

Starts PostgreSQL, Valkey and a stand-in API of its own. Rows alternate, so that what else the machine does meets all of
them. A row counts only if the stand-in's journal has every message exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import text

from benchmarks.measuring import Bench, Figure, call, cpu, here, memory, running, servers
from benchmarks.peers.driver import peer
from dispatcher import Dispatcher, Sms
from dispatcher.ledger import make_engine

IN_FLIGHT = int(__import__("os").environ.get("IF", "512"))


def ours(transport: str, processes: int) -> Callable[[Bench], Figure]:
    """Run the dispatcher itself: a producer here, a worker as an operator starts it."""

    def run(bench: Bench) -> Figure:
        environment = {
            "DISPATCHER_LEDGER_URL": bench.ledger,
            "DISPATCHER_REDIS_URL": bench.redis,
            "DISPATCHER_API_BASE_URL": bench.api,
            "DISPATCHER_CLIENT_ID": "c",
            "DISPATCHER_CLIENT_SECRET": "s",
            "DISPATCHER_HOME": str(bench.home),
            "DISPATCHER_SMS_RATE": "1000000/s",
            "DISPATCHER_CONCURRENCY": str(IN_FLIGHT),
            "DISPATCHER_PROCESSES": str(processes),
            "DISPATCHER_TRANSPORT": transport,
            "DISPATCHER_LOG_LEVEL": "WARNING",
        }
        engine = make_engine(bench.ledger)
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE dispatcher_messages CASCADE"))
        with running([sys.executable, "-m", "dispatcher", "worker"], environment) as process:
            names = {name.removeprefix("DISPATCHER_").lower(): value for name, value in environment.items()}
            with Dispatcher.from_env(**names) as client:
                client.send_sms("+61491570006", "warm")  # connections, token, plans: as a worker that runs has them
                wait_settled(engine)
                call(f"{bench.api}/journal/clear")
                before = cpu(process.pid)
                began = time.monotonic()
                client.send_many(
                    Sms(recipient=f"+614{11_000_000 + n:08d}", body="Your code is 123456")
                    for n in range(bench.messages)
                )
                wait_settled(engine)
                took = time.monotonic() - began
            figure = Figure(took, cpu(process.pid) - before, memory(process.pid))
        engine.dispose()
        return figure

    return run


def bare_aiohttp(bench: Bench) -> Figure:
    """Call as fast as aiohttp can: no queue, no ledger."""
    import aiohttp

    async def run() -> None:
        left = iter(range(bench.messages))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

            async def go() -> None:
                for n in left:
                    body = json.dumps({"recipient": f"+614{n:08d}", "message": "Your code is 123456"})
                    headers = {"Authorization": "Bearer t", "Idempotency-Key": str(n)}
                    async with session.post(f"{bench.api}/sendSMS", data=body, headers=headers) as answer:
                        await answer.json()

            await asyncio.gather(*(go() for _ in range(IN_FLIGHT)))

    return here(lambda: asyncio.run(run()))


def bare_requests(bench: Bench) -> Figure:
    """Call as fast as threads with requests can: no queue, no ledger."""
    import requests

    def run() -> None:
        left: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for n in range(bench.messages):
            left.put(n)

        def go() -> None:
            with requests.Session() as session:
                while True:
                    try:
                        n = left.get_nowait()
                    except queue.Empty:
                        return
                    headers = {"Authorization": "Bearer t", "Idempotency-Key": str(n)}
                    body = {"recipient": f"+614{n:08d}", "message": "Your code is 123456"}
                    session.post(f"{bench.api}/sendSMS", json=body, headers=headers).json()

        threads = [threading.Thread(target=go) for _ in range(IN_FLIGHT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return here(run)


ROWS: dict[str, Callable[[Bench], Figure]] = {
    "bare aiohttp": bare_aiohttp,
    "dispatcher, aiohttp": ours("aiohttp", 1),
    "dispatcher, aiohttp, 2 processes": ours("aiohttp", 2),
    "bare requests": bare_requests,
    "dispatcher, requests": ours("requests", 1),
    "dispatcher, requests, 2 processes": ours("requests", 2),
    "celery, threads": peer("celery", "-P threads -c 128", in_flight=128),
    "celery, prefork": peer("celery", "-P prefork -c 32", in_flight=1),
    "dramatiq": peer("dramatiq", "--processes 2 --threads 64", in_flight=64),
    "taskiq": peer("taskiq", "--workers 2 --max-async-tasks 256", in_flight=256),
    "arq": peer("arq", "", in_flight=256),
}


def main() -> None:
    """Run every row so many times, in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="Rows whose name has this in it.")
    given = parser.parse_args()
    rows = {name: run for name, run in ROWS.items() if given.only in name}
    figures: dict[str, list[Figure]] = {name: [] for name in rows}
    with servers(given.messages) as bench:
        for round_ in range(given.rounds):
            for name, run in rows.items():
                call(f"{bench.api}/journal/clear")
                figure = run(bench)
                counts = call(f"{bench.api}/journal")
                if counts != {"calls": bench.messages, "messages": bench.messages}:
                    print(f"{name}: void, the journal has {counts}")
                    continue
                figures[name].append(figure)
                print(f"round {round_ + 1}  {line(name, [figure], bench.messages)}", flush=True)
    print()
    for name, found in figures.items():
        if found:
            print(line(name, found, given.messages))


def line(name: str, figures: list[Figure], messages: int) -> str:
    rates = [messages / each.seconds for each in figures]
    spread = f"±{(max(rates) - min(rates)) / 2:,.0f}" if len(rates) > 1 else ""
    cpu_ms = statistics.median(each.cpu_s for each in figures) / messages * 1000
    memory_mb = max(each.memory_mb for each in figures)
    return (
        f"{name:36} {statistics.median(rates):7,.0f}/s {spread:8} {cpu_ms:6.3f} ms CPU a message, {memory_mb:4.0f} MB"
    )


def wait_settled(engine: object) -> None:
    """Wait until nothing is queued or under way."""
    from sqlalchemy import Engine

    assert isinstance(engine, Engine)
    left = text("SELECT EXISTS (SELECT 1 FROM dispatcher_messages WHERE state IN ('queued', 'sending'))")
    ends = time.monotonic() + 300
    while True:
        with engine.connect() as connection:
            if not connection.execute(left).scalar():
                return
        if time.monotonic() > ends:
            raise TimeoutError("nothing moves")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
