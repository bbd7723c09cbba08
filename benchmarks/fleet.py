"""How a fleet of workers would do on one PostgreSQL and one Redis: a simulation, from what one worker was measured at.

    python benchmarks/fleet.py --footprint benchmarks/results/footprint.json

Each process claims, sends and settles in turn as the pump does. PostgreSQL serves work on so many cores, first come,
first served; Redis on one. The API takes any number at once and answers after its latency. What the model leaves out
is said in docs/scaling.md; the measured point that it must meet is printed beside it.
"""

from __future__ import annotations

import argparse
import heapq
import json
from dataclasses import dataclass, field
from pathlib import Path

SETTLING = 0.6
"""The part of PostgreSQL's work that settlements are; the rest is claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds that a message, or a turn of the pump, takes of each part."""

    worker: float
    """Of the worker's own core, a message."""
    postgres: float
    """Of a core of PostgreSQL, a message, claim and settlement together."""
    redis: float
    """Of Redis, a call."""
    redis_calls: int = 3
    """A turn of the pump: permits for both channels and a report."""
    turn: float = 0.002
    """A turn's own time: journeys to PostgreSQL and Redis and back, whatever the batch."""
    latency: float = 0.05


@dataclass(slots=True)
class Served:
    """A part that serves so many at once, in the order in which they come."""

    free_at: list[float]
    busy: float = 0.0

    def serve(self, now: float, takes: float) -> float:
        """Return when it is done."""
        begins = max(now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, begins + takes)
        self.busy += takes
        return begins + takes


@dataclass(slots=True)
class Process:
    """A worker process: how many of its calls are over by when."""

    in_flight: int = 0
    landed: int = 0
    landing: list[tuple[float, int]] = field(default_factory=list)

    def land(self, now: float) -> None:
        """Take what is over out of what is under way."""
        self.landed = sum(count for at, count in self.landing if at <= now)
        self.landing = [(at, count) for at, count in self.landing if at > now]

    def leave(self, now: float, room: int, costs: Costs) -> None:
        """Let calls go, one after the other on the process's own core, in eighths."""
        self.in_flight += room
        spread = max(1, room // 8)
        for first in range(0, room, spread):
            count = min(spread, room - first)
            self.landing.append((now + (first + count) * costs.worker + costs.latency, count))


def simulate(costs: Costs, *, processes: int, in_flight: int, cores: int, seconds: float) -> tuple[float, float, float]:
    """Return messages a second, and the shares of PostgreSQL and of Redis that are busy.

    Every step of a turn is an event of its own, so that whoever comes first is served first.
    """
    postgres, redis = Served([0.0] * cores), Served([0.0])
    fleet = [Process() for _ in range(processes)]
    events = [(place * 0.001, place, "limits") for place in range(processes)]
    settled = 0
    while events[0][0] < seconds:
        now, place, step = heapq.heappop(events)
        process = fleet[place]
        match step:
            case "limits":
                process.land(now)
                done = max(redis.serve(now, costs.redis) for _ in range(costs.redis_calls))
                heapq.heappush(events, (done + costs.turn, place, "settle"))
            case "settle":
                done = postgres.serve(now, process.landed * costs.postgres * SETTLING) if process.landed else now
                process.in_flight -= process.landed
                settled += process.landed
                heapq.heappush(events, (done, place, "claim"))
            case _:
                room = in_flight - process.in_flight
                done = postgres.serve(now, room * costs.postgres * (1 - SETTLING)) if room else now
                process.leave(done, room, costs)
                heapq.heappush(events, (max(done, min(at for at, _ in process.landing)), place, "limits"))
    return settled / seconds, min(1.0, postgres.busy / seconds / cores), min(1.0, redis.busy / seconds)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--footprint", type=Path, required=True)
    parser.add_argument("--transport", default="aiohttp")
    parser.add_argument("--in-flight", type=int, default=256)
    given = parser.parse_args()
    one = json.loads(given.footprint.read_text())[given.transport]
    costs = Costs(
        worker=one["worker CPU a message, ms"] / 1000,
        postgres=one["PostgreSQL CPU a message, ms"] / 1000,
        redis=one["Redis CPU a message, ms"] / 1000 / one["Redis calls a message"],
    )
    print(f"measured: one process {one['messages a second']:,} a second, on a machine that it shares with all others\n")
    print(f"{'PostgreSQL cores':>17} {'processes':>10} {'a second':>10} {'PostgreSQL busy':>16} {'Redis busy':>11}")
    for cores in (1, 2, 4, 8, 16):
        for processes in (1, 2, 4, 8, 16, 32, 64):
            rate, ledger, redis = simulate(
                costs, processes=processes, in_flight=given.in_flight, cores=cores, seconds=5
            )
            print(f"{cores:17} {processes:10} {rate:10,.0f} {ledger:16.0%} {redis:11.1%}")
        print()


if __name__ == "__main__":
    main()
