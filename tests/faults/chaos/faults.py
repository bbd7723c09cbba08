"""What can go wrong, by name: each fault begins, lasts, and ends as it would if people and supervisors did their part.

A fault is a generator: what stands before its `yield` makes the trouble, what stands after it ends it.
"""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from kombu.exceptions import KombuError
from redis import RedisError

from dispatcher.broker import make_ringing_app
from dispatcher.broker.app import CLOCK, DISPATCH
from tests.faults.chaos import people
from tests.faults.chaos.servers import go_on_group, stop_group
from tests.faults.chaos.wires import ApiMode
from tests.faults.chaos.world import Part, Stack, World

_PREFIX = "dispatcher:celery:"
"""Of Celery's own keys in Redis."""
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


# Processes


def _revive(world: World, part: Part) -> None:
    """Start whoever is down."""
    if part.down:
        world.start(part)


def _kill(world: World, dice: random.Random, *, kind: str) -> Iterator[None]:
    part = dice.choice(world.of_kind(kind))
    if kind == "intake" and part.process is not None and part.process.poll() == 0:
        yield  # it is done already
        return
    world.kill(part)
    yield
    _revive(world, part)


def _kill_all(world: World, _: random.Random) -> Iterator[None]:
    fleet = [part for part in world.parts if part.kind in ("worker", "clock")]
    for part in fleet:
        world.kill(part)
    yield
    for part in fleet:
        _revive(world, part)


def _stop_past_lease(world: World, dice: random.Random) -> Iterator[None]:
    part = dice.choice(world.of_kind("worker"))
    process = part.process
    if process is None or process.poll() is not None:
        yield
        return
    stop_group(process)
    yield
    go_on_group(process)


def _deploy(world: World, dice: random.Random) -> Iterator[None]:
    part = dice.choice([*world.of_kind("worker"), *world.of_kind("clock")])
    process, part.down = part.process, True
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGTERM)
    yield
    if process is not None and process.poll() is None:
        world.kill(part)  # as an orchestrator does when its patience ends
    _revive(world, part)


# Redis


def _on_redis(world: World, _: random.Random, *, commands: tuple[tuple[str, ...], ...]) -> Iterator[None]:
    with suppress(RedisError):  # it may be away just now, which is the greater trouble
        for command in commands:
            world.broker.client.execute_command(*command)  # type: ignore[no-untyped-call]
    yield


def _redis_away(world: World, _: random.Random) -> Iterator[None]:
    world.broker.kill()
    yield
    world.broker.start()


def _bells_doubled(world: World, _: random.Random) -> Iterator[None]:
    with suppress(RedisError, KombuError, OSError):  # as above
        app = make_ringing_app(world.broker.url)
        for _again in range(30):
            app.send_task(DISPATCH, queue=DISPATCH, retry=False, ignore_result=True)
    yield


# The ledger


def _postgres_crash(world: World, _: random.Random) -> Iterator[None]:
    assert world.postgres is not None
    world.postgres.crash()
    yield
    world.postgres.start()


def _cut_commits(world: World, dice: random.Random) -> Iterator[None]:
    assert world.ledger is not None
    world.ledger.commits_to_cut = dice.randint(3, 12)
    yield
    world.ledger.commits_to_cut = 0


def _cut_ledger_connections(world: World, _: random.Random) -> Iterator[None]:
    assert world.ledger is not None
    world.ledger.cut()
    yield


def _lock_sqlite(world: World, _: random.Random) -> Iterator[None]:
    with closing(sqlite3.connect(world.sqlite_file, isolation_level=None, timeout=10)) as other:
        try:
            other.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:  # our own writers were faster, again and again
            yield
            return
        yield
        other.execute("ROLLBACK")


# The API


def _rule(world: World, dice: random.Random, *, rule: dict[str, Any], shares: tuple[float, float]) -> Iterator[None]:
    path = dice.choice(["/sendSMS", "/gifting/send", "*"])  # the last one: the token's call too
    world.rules.append({"path": path, **rule, "probability": round(dice.uniform(*shares), 2)})
    ours = world.rules[-1]
    world.apply_rules()
    yield
    world.rules.remove(ours)
    world.apply_rules()


def _api(name: str, *, shares: tuple[float, float] = (0.1, 0.6), most: float = 4.0, **rule: Any) -> Fault:
    return Fault(name=f"API: {name}", begin=partial(_rule, rule=rule, shares=shares), least=1.5, most=most)


def _storm(status: int, *, shares: tuple[float, float] = (0.5, 1.0), **rule: Any) -> Fault:
    return _api(f"{status} storm", shares=shares, action="status", status=status, **rule)


def _connections(world: World, _: random.Random, *, mode: ApiMode) -> Iterator[None]:
    world.api.change(mode)
    yield
    world.api.change(ApiMode.GOOD)


def _dns_gone(world: World, _: random.Random) -> Iterator[None]:
    world.dns_gone.touch()
    world.api.change(ApiMode.GOOD)  # cuts what is open, so that names have to be looked up
    yield
    world.dns_gone.unlink()


# The token


def _token(world: World, _: random.Random, *, settings: dict[str, Any]) -> Iterator[None]:
    before = world.sandbox.settings()
    world.sandbox.settings(**settings)
    world.sandbox.revoke()
    yield
    world.sandbox.settings(**{name: before[name] for name in settings})
    world.sandbox.revoke()
    people.open_channels(world)


def _revoke(world: World, _: random.Random) -> Iterator[None]:
    world.sandbox.revoke()
    yield


def _about_the_token(name: str, **settings: Any) -> Fault:
    return Fault(name=f"token: {name}", begin=partial(_token, settings=settings), least=2, most=5, area="token")


def _person(name: str, act: Callable[[World, random.Random], None]) -> Fault:
    def begin(world: World, dice: random.Random) -> Iterator[None]:
        act(world, dice)
        yield

    return Fault(name=f"person: {name}", begin=begin, least=0, most=0)


_PG, _LITE = Stack.POSTGRESQL, Stack.SQLITE
_ALL = [
    Fault(name="worker: kill -9", begin=partial(_kill, kind="worker"), least=0.2, most=2),
    Fault(name="worker: kill -9, the next one", begin=partial(_kill, kind="worker"), least=0.2, most=2),
    Fault(name="worker: stopped past its lease, then goes on", begin=_stop_past_lease, least=9, most=12),
    Fault(name="clock: kill -9", begin=partial(_kill, kind="clock"), least=0.2, most=4),
    Fault(name="producer: kill -9", begin=partial(_kill, kind="producer"), least=0.1, most=1),
    Fault(name="intake: kill -9", begin=partial(_kill, kind="intake"), least=0.1, most=1),
    Fault(name="all workers and clocks: kill -9", begin=_kill_all, least=0.5, most=3),
    Fault(name="deploy: warm stop, new start", begin=_deploy, least=4, most=7),
    Fault(name="redis: CLIENT KILL", begin=partial(_on_redis, commands=(("CLIENT", "KILL", "TYPE", "normal"),))),
    Fault(name="redis: FLUSHALL", begin=partial(_on_redis, commands=(("FLUSHALL",),))),
    Fault(
        name="redis: bells lost",
        begin=partial(
            _on_redis,
            commands=(("DEL", *(f"{_PREFIX}{key}" for key in (DISPATCH, CLOCK, "unacked", "unacked_index"))),),
        ),
    ),
    Fault(name="redis: bells doubled thirty times", begin=_bells_doubled),
    Fault(name="redis: killed, back empty at once", begin=_redis_away, least=0, most=0.3, area="redis"),
    Fault(name="redis: away for 20 s, back empty", begin=_redis_away, least=20, most=20, area="redis"),
    Fault(name="postgresql: crash and restart", begin=_postgres_crash, least=0.5, most=4, area="ledger", only=_PG),
    Fault(
        name="postgresql: cut in the middle of commits", begin=_cut_commits, least=2, most=5, area="ledger", only=_PG
    ),
    Fault(name="postgresql: connections cut", begin=_cut_ledger_connections, area="ledger", only=_PG),
    Fault(name="sqlite: locked by another writer", begin=_lock_sqlite, least=2, most=13, area="ledger", only=_LITE),
    Fault(name="sqlite: locked for a moment", begin=_lock_sqlite, least=0.2, most=1, area="ledger", only=_LITE),
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
            begin=partial(_connections, mode=mode),
            area="connections",
        )
        for mode in ApiMode
        if mode is not ApiMode.GOOD
    ),
    Fault(name="connections: DNS is gone", begin=_dns_gone, area="connections"),
    _about_the_token("endpoint down", token_fault="down"),
    _about_the_token("endpoint hangs", token_fault="hang"),
    _about_the_token("slow", token_latency_ms=1500.0),
    _about_the_token("lies about its life", token_real_expires_in=1),
    _about_the_token("credentials refused", token_fault="refuse_credentials"),
    _about_the_token("fewer scopes granted", granted_scopes=["write"]),
    Fault(name="token: revoked", begin=_revoke),
    _person("replays all dead letters", people.replay_all),
    _person("resolves gifts in doubt by the provider's books", people.resolve_in_doubt),
    _person("pauses a channel for two seconds", people.pause_a_channel),
    _person("calls messages off", people.cancel_some),
]
