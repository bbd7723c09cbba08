"""What one worker needs: time from enqueue to request when idle, memory with 256 calls in flight, CPU of each part.

    python benchmarks/footprint.py --json benchmarks/results/footprint.json

Starts PostgreSQL, Valkey and the stand-in API of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import redis as redis_py
from sqlalchemy import text

from benchmarks.measuring import TRICKLE, Bench, call, cpu, largest, running, servers, wait_carried
from benchmarks.ours import emptied, settings, trickle, wait_settled
from benchmarks.report import write
from dispatcher import Dispatcher, Sms

IN_FLIGHT = 256


def main() -> None:
    """Measure each transport and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with servers(messages=given.messages, in_flight=IN_FLIGHT) as bench:
        for transport in ("aiohttp", "requests"):
            found[transport] = one(bench, transport)
            print(transport, ", ".join(f"{name} {figure:g}" for name, figure in found[transport].items()), flush=True)
    if given.json is not None:
        write(given.json, json.dumps(found, indent=2) + "\n")


def one(bench: Bench, transport: str) -> dict[str, float]:
    """Return the figures of one transport."""
    asked = settings(bench, bench.ledger, transport, 1, IN_FLIGHT)
    environment = {f"DISPATCHER_{name.upper()}": value for name, value in asked.items()}
    valkey = redis_py.Redis.from_url(bench.redis)
    with emptied(bench.ledger) as engine, Dispatcher.from_env(**asked) as client:
        with engine.connect() as connection:
            folder = connection.execute(text("SHOW data_directory")).scalar_one()
        postgres = int(Path(folder, "postmaster.pid").read_text().split()[0])
        with running([sys.executable, "-m", "dispatcher", "worker"], environment) as process:
            for _ in range(4):
                client.send_sms("+61491570006", "warm")
            wait_settled(engine)
            at_rest = largest(process.pid)
            single = []
            for _ in range(300):
                began = time.monotonic()
                client.send_sms("+61491570006", "Your code is 123456")
                single.append((time.monotonic() - began) * 1000)
                time.sleep(0.005)
            wait_settled(engine)
            call(f"{bench.api}/journal/clear")
            waits = trickle(bench, client, engine)
            began = time.monotonic()
            client.send_many(
                Sms(recipient=f"+614{11_000_000 + n:08d}", body="Your code is 123456") for n in range(bench.messages)
            )
            many = bench.messages / (time.monotonic() - began)
            before = part_cpu(process.pid, postgres, valkey)
            began, left = time.monotonic(), waiting(engine)
            wait_carried(bench, bench.messages + TRICKLE)
            wait_settled(engine)
            took = time.monotonic() - began
            after = part_cpu(process.pid, postgres, valkey)
            used = {name: (after[name] - before[name]) / left for name in before}
            return {
                "enqueue one, ms": round(statistics.median(single), 2),
                "enqueue many, a second": round(many),
                "from call to request when idle, ms": round(statistics.median(waits), 1),
                "the same, p99": round(sorted(waits)[len(waits) * 99 // 100], 1),
                "resident at rest, MB": round(at_rest),
                f"resident with {IN_FLIGHT} in flight, MB": round(largest(process.pid)),
                "messages a second": round(left / took),
                "worker CPU a message, ms": round(used["worker"] * 1000, 3),
                "PostgreSQL CPU a message, ms": round(used["postgres"] * 1000, 3),
                "Redis CPU a message, ms": round(used["redis"] * 1000, 4),
                "Redis calls a message": round(used["redis calls"], 3),
            }


def part_cpu(worker: int, postgres: int, valkey: redis_py.Redis) -> dict[str, float]:
    """Return the seconds of CPU that each part has used so far."""
    info: Any = valkey.info()
    return {
        "worker": cpu(worker),
        "postgres": cpu(postgres),
        "redis": info["used_cpu_user"] + info["used_cpu_sys"],
        "redis calls": info["total_commands_processed"],
    }


def waiting(engine: Any) -> int:
    """Return how many messages are still queued."""
    with engine.connect() as connection:
        queued = text("SELECT count(*) FROM dispatcher_messages WHERE state = 'queued'")
        return int(connection.execute(queued).scalar_one())


if __name__ == "__main__":
    main()
