"""Messages a second from the first that is enqueued to the last that is settled: ours, its peers, bare loops.

    python benchmarks/throughput.py                       (what `make bench` runs)
    python benchmarks/throughput.py --quick
    python benchmarks/throughput.py --only aiohttp --rounds 1

Starts PostgreSQL, Valkey and a stand-in API (50 ms latency) of its own. Rows alternate, so that whatever else the
machine does meets all of them. A round counts only if the stand-in's journal has each of its messages exactly once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import report
from benchmarks.bare import bare_aiohttp, bare_requests
from benchmarks.measuring import Bench, Figure, call, servers
from benchmarks.ours import ours, ours_on_sqlite
from benchmarks.peers.driver import peer

ROWS: dict[str, Callable[[Bench], Figure]] = {
    "bare aiohttp": bare_aiohttp,
    "dispatcher, aiohttp": ours("aiohttp", processes=2),
    "dispatcher, aiohttp, 1 process": ours("aiohttp", processes=1),
    "dispatcher, aiohttp, SQLite": ours_on_sqlite("aiohttp"),
    "bare requests": bare_requests,
    "dispatcher, requests": ours("requests", processes=2, in_flight=256),
    "celery, threads": peer("celery", "-P threads -c 128", in_flight=128, sql="sqlalchemy"),
    "celery, threads, bare psycopg": peer("celery", "-P threads -c 128", in_flight=128),
    "celery, prefork": peer("celery", "-P prefork -c 32", in_flight=1, sql="sqlalchemy"),
    "dramatiq": peer("dramatiq", "--processes 2 --threads 64", in_flight=64),
    "taskiq": peer("taskiq", "--workers 2 --max-async-tasks 256", in_flight=256),
    "arq": peer("arq", "", in_flight=256),
}
QUICK = ("bare aiohttp", "dispatcher, aiohttp", "dispatcher, requests", "celery, threads", "taskiq")
WANTED = (
    ("dispatcher, aiohttp", "taskiq", "rate", 4.5),
    ("dispatcher, aiohttp", "celery, threads", "rate", 25),
    ("dispatcher, aiohttp", "celery, threads, bare psycopg", "rate", 25),
    ("dispatcher, aiohttp", "bare aiohttp", "rate", 0.65),
    ("dispatcher, aiohttp", "bare aiohttp", "cpu_ms", 2),
    ("dispatcher, requests", "taskiq", "rate", 1.4),
    ("dispatcher, requests", "celery, threads", "rate", 8),
    ("dispatcher, requests", "celery, threads, bare psycopg", "rate", 8),
    ("dispatcher, requests", "bare requests", "rate", 0.85),
    ("dispatcher, aiohttp, SQLite", "dispatcher, aiohttp, 1 process", "rate", 0.5),
)


def main() -> None:
    """Run every row so many times, in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=24_000)
    parser.add_argument("--in-flight", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="Rows whose name has this in it.")
    parser.add_argument("--quick", action="store_true", help="One round of few rows, in under two minutes.")
    parser.add_argument("--json", type=Path, help="Write the figures to this file.")
    parser.add_argument("--picture", type=Path, help="Write bars to this file, as SVG.")
    given = parser.parse_args()
    rows = {name: run for name, run in ROWS.items() if given.only in name and (not given.quick or name in QUICK)}
    rounds = 1 if given.quick else given.rounds
    found: dict[str, list[Figure]] = {name: [] for name in rows}
    with servers(messages=given.messages, in_flight=given.in_flight) as bench:
        for number in range(rounds):
            for name, run in rows.items():
                call(f"{bench.api}/journal/clear")
                try:
                    figure = run(bench)
                except ValueError as void:
                    print(f"round {number + 1}  {name}: {void}", flush=True)
                    continue
                found[name].append(figure)
                print(f"round {number + 1}  {name:34} {figure.rate:9,.0f} a second", flush=True)
    summaries = [report.Summary.of(name, figures) for name, figures in found.items() if figures]
    print(f"\n{report.table(summaries)}\n\n{report.ratios(summaries, WANTED)}")
    about = {"messages": given.messages, "in_flight": given.in_flight, "latency_ms": 50, "rounds": rounds}
    if given.json is not None:
        report.write(given.json, report.as_json(summaries, about))
    if given.picture is not None:
        report.write(given.picture, report.picture(summaries, title="Messages a second, end to end, on two cores"))


if __name__ == "__main__":
    main()
