"""What can go wrong, by name: each fault begins, lasts, and ends as it would if people and supervisors did their part.

A fault is a generator: what stands before its `yield` makes the trouble, what stands after it ends it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from dispatcher.broker.queues import DISPATCH
from tests.faults.chaos import people, troubles
from tests.faults.chaos.wires import ApiMode
from tests.faults.chaos.world import Stack, World

Trouble = Callable[[World, random.Random], Iterator[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that can go wrong."""

    name: str
    begin: Trouble
    least: float = 1.0
    most: float = 4.0
    """How long it lasts, in seconds."""
    area: str = ""
    """Of the faults of one area only one is on at a time."""
    only: Stack | None = None


def catalogue(stack: Stack) -> list[Fault]:
    """Return every fault that a stack can have."""
    return [fault for fault in _ALL if fault.only in (None, stack)]


def _api(name: str, *, shares: tuple[float, float] = (0.1, 0.6), most: float = 4.0, **rule: Any) -> Fault:
    return Fault(name=f"API: {name}", begin=partial(troubles.rule, rule=rule, shares=shares), least=1.5, most=most)


def _storm(status: int, *, shares: tuple[float, float] = (0.5, 1.0), **rule: Any) -> Fault:
    return _api(f"{status} storm", shares=shares, action="status", status=status, **rule)


def _about_the_token(name: str, **settings: Any) -> Fault:
    return Fault(name=f"token: {name}", begin=partial(troubles.token, settings=settings), least=2, most=5, area="token")


def _person(name: str, act: Callable[[World, random.Random], None]) -> Fault:
    def begin(world: World, dice: random.Random) -> Iterator[None]:
        act(world, dice)
        yield

    return Fault(name=f"person: {name}", begin=begin, least=0, most=0)


_PG, _LITE = Stack.POSTGRESQL, Stack.SQLITE
_ALL = [
    Fault(name="worker: kill -9", begin=partial(troubles.kill, kind="worker"), least=0.2, most=2),
    Fault(name="worker: kill -9, the next one", begin=partial(troubles.kill, kind="worker"), least=0.2, most=2),
    Fault(name="worker: stopped past its lease, then goes on", begin=troubles.stop_past_lease, least=9, most=12),
    Fault(name="clock: kill -9", begin=partial(troubles.kill, kind="clock"), least=0.2, most=4),
    Fault(name="producer: kill -9", begin=partial(troubles.kill, kind="producer"), least=0.1, most=1),
    Fault(name="intake: kill -9", begin=partial(troubles.kill, kind="intake"), least=0.1, most=1),
    Fault(name="all workers and clocks: kill -9", begin=troubles.kill_all, least=0.5, most=3),
    Fault(name="deploy: warm stop, new start", begin=troubles.deploy, least=4, most=7),
    Fault(
        name="redis: CLIENT KILL", begin=partial(troubles.on_redis, commands=(("CLIENT", "KILL", "TYPE", "normal"),))
    ),
    Fault(name="redis: FLUSHALL", begin=partial(troubles.on_redis, commands=(("FLUSHALL",),))),
    Fault(
        name="redis: bells lost",
        begin=partial(
            troubles.on_redis,
            commands=(("DEL", *(f"{troubles.PREFIX}{key}" for key in (DISPATCH, "unacked", "unacked_index"))),),
        ),
    ),
    Fault(name="redis: bells doubled thirty times", begin=troubles.bells_doubled),
    Fault(name="redis: killed, back empty at once", begin=troubles.redis_away, least=0, most=0.3, area="redis"),
    Fault(name="redis: away for 20 s, back empty", begin=troubles.redis_away, least=20, most=20, area="redis"),
    Fault(
        name="postgresql: crash and restart", begin=troubles.postgres_crash, least=0.5, most=4, area="ledger", only=_PG
    ),
    Fault(
        name="postgresql: cut in the middle of commits",
        begin=troubles.cut_commits,
        least=2,
        most=5,
        area="ledger",
        only=_PG,
    ),
    Fault(name="postgresql: read-only", begin=troubles.read_only_postgres, least=3, most=15, area="ledger", only=_PG),
    Fault(
        name="postgresql: connections stand still",
        begin=troubles.freeze_ledger_connections,
        least=3,
        most=20,
        area="ledger",
        only=_PG,
    ),
    Fault(name="postgresql: table locked", begin=troubles.lock_messages, least=5, most=20, area="ledger", only=_PG),
    Fault(name="ledger away and spool's disk full", begin=troubles.full_disk, least=4, most=14, area="ledger"),
    Fault(name="a worker of another ledger in the same home", begin=troubles.worker_of_another_ledger, least=4, most=8),
    Fault(name="leases that ended a month ago", begin=troubles.age_leases, least=0, most=0, area="ledger"),
    Fault(name="hosts: wall clock set", begin=troubles.set_wall_clock, least=3, most=12, area="time", only=_PG),
    Fault(name="redis: read-only", begin=troubles.read_only_redis, least=2, most=10, area="redis"),
    Fault(name="redis: slow", begin=troubles.slow_redis, least=4, most=12, area="redis"),
    Fault(name="postgresql: connections cut", begin=troubles.cut_ledger_connections, area="ledger", only=_PG),
    Fault(
        name="sqlite: locked by another writer", begin=troubles.lock_sqlite, least=2, most=13, area="ledger", only=_LITE
    ),
    Fault(name="sqlite: locked for a moment", begin=troubles.lock_sqlite, least=0.2, most=1, area="ledger", only=_LITE),
    _api("hangs before accepting", action="hang", hang_s=5, shares=(0.05, 0.3)),
    _api("hangs after accepting", action="hang_after_accepting", hang_s=5, shares=(0.05, 0.3)),
    _api("reset before accepting", action="cut"),
    _api("reset after accepting", action="cut_after_accepting"),
    _api("answer cut short", action="cut_body"),
    _api("slow body", action="slow_body", drip_s=5, shares=(0.05, 0.3)),
    _api("endless body", action="huge_body", shares=(0.05, 0.2)),
    _api("garbage before accepting", action="garbage"),
    _api("garbage after accepting", action="garbage_after_accepting"),
    _api("redirect", action="redirect", most=2.5),
    _storm(500),
    _storm(502),
    _storm(503, retry_after=1),
    _storm(504, path="/gifting/send", carried_out=True),
    _storm(408),
    _storm(409, shares=(0.02, 0.2)),
    _storm(429, retry_after=1),
    _storm(400, shares=(0.02, 0.2)),
    _storm(404, shares=(0.2, 1.0)),
    *(
        Fault(
            name=f"connections: {mode.name.lower().replace('_', ' ')}",
            begin=partial(troubles.connections, mode=mode),
            area="connections",
        )
        for mode in ApiMode
        if mode is not ApiMode.GOOD
    ),
    Fault(name="connections: DNS is gone", begin=troubles.dns_gone, area="connections"),
    _about_the_token("endpoint down", token_fault="down"),
    _about_the_token("endpoint hangs", token_fault="hang"),
    _about_the_token("slow", token_latency_ms=1500.0),
    _about_the_token("lies about its life", token_real_expires_in=1),
    _about_the_token("credentials refused", token_fault="refuse_credentials"),
    _about_the_token("fewer scopes granted", granted_scopes=["write"]),
    Fault(name="token: revoked", begin=troubles.revoke),
    _person("replays all dead letters", people.replay_all),
    _person("resolves gifts in doubt by the provider's books", people.resolve_in_doubt),
    _person("pauses a channel for two seconds", people.pause_a_channel),
    _person("calls messages off", people.cancel_some),
]
