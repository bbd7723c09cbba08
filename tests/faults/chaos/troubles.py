"""How trouble is made and ended again: each a generator, whose `yield` is the time that it lasts."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from kombu.exceptions import KombuError
from redis import RedisError

from dispatcher.broker import make_ringing_app
from dispatcher.broker.queues import DISPATCH
from tests.faults.chaos import people
from tests.faults.chaos.servers import go_on_group, stop_group
from tests.faults.chaos.wires import ApiMode
from tests.faults.chaos.world import Part, World

PREFIX = "dispatcher:celery:"
"""Of Celery's own keys in Redis."""


def revive(world: World, part: Part) -> None:
    """Start whoever is down."""
    if part.down:
        world.start(part)


def kill(world: World, dice: random.Random, *, kind: str) -> Iterator[None]:
    part = dice.choice(world.of_kind(kind))
    if kind == "intake" and part.process is not None and part.process.poll() == 0:
        yield  # it is done already
        return
    world.kill(part)
    yield
    revive(world, part)


def kill_all(world: World, _: random.Random) -> Iterator[None]:
    fleet = [part for part in world.parts if part.kind in ("worker", "clock")]
    for part in fleet:
        world.kill(part)
    yield
    for part in fleet:
        revive(world, part)


def stop_past_lease(world: World, dice: random.Random) -> Iterator[None]:
    part = dice.choice(world.of_kind("worker"))
    process = part.process
    if process is None or process.poll() is not None:
        yield
        return
    stop_group(process)
    yield
    go_on_group(process)


def deploy(world: World, dice: random.Random) -> Iterator[None]:
    part = dice.choice([*world.of_kind("worker"), *world.of_kind("clock")])
    process, part.down = part.process, True
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGTERM)
    yield
    if process is not None and process.poll() is None:
        world.kill(part)  # as an orchestrator does when its patience ends
    revive(world, part)


def on_redis(world: World, _: random.Random, *, commands: tuple[tuple[str, ...], ...]) -> Iterator[None]:
    with suppress(RedisError):  # it may be away just now, which is the greater trouble
        for command in commands:
            world.broker.client.execute_command(*command)  # type: ignore[no-untyped-call]
    yield


def redis_away(world: World, _: random.Random) -> Iterator[None]:
    world.broker.kill()
    yield
    world.broker.start()


def bells_doubled(world: World, _: random.Random) -> Iterator[None]:
    with suppress(RedisError, KombuError, OSError):  # as above
        app = make_ringing_app(world.broker.url)
        for _again in range(30):
            app.send_task(DISPATCH, queue=DISPATCH, retry=False, ignore_result=True)
    yield


def postgres_crash(world: World, _: random.Random) -> Iterator[None]:
    assert world.postgres is not None
    world.postgres.crash()
    yield
    world.postgres.start()


def cut_commits(world: World, dice: random.Random) -> Iterator[None]:
    assert world.ledger is not None
    world.ledger.commits_to_cut = dice.randint(3, 12)
    yield
    world.ledger.commits_to_cut = 0


def cut_ledger_connections(world: World, _: random.Random) -> Iterator[None]:
    assert world.ledger is not None
    world.ledger.cut()
    yield


def lock_sqlite(world: World, _: random.Random) -> Iterator[None]:
    with closing(sqlite3.connect(world.sqlite_file, isolation_level=None, timeout=10)) as other:
        try:
            other.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:  # our own writers were faster, again and again
            yield
            return
        yield
        other.execute("ROLLBACK")


def rule(world: World, dice: random.Random, *, rule: dict[str, Any], shares: tuple[float, float]) -> Iterator[None]:
    path = dice.choice(["/sendSMS", "/gifting/send", "*"])  # the last one: the token's call too
    world.rules.append({"path": path, **rule, "probability": round(dice.uniform(*shares), 2)})
    ours = world.rules[-1]
    world.apply_rules()
    yield
    world.rules.remove(ours)
    world.apply_rules()


def connections(world: World, _: random.Random, *, mode: ApiMode) -> Iterator[None]:
    world.api.change(mode)
    yield
    world.api.change(ApiMode.GOOD)


def dns_gone(world: World, _: random.Random) -> Iterator[None]:
    world.dns_gone.touch()
    world.api.change(ApiMode.GOOD)  # cuts what is open, so that names have to be looked up
    yield
    world.dns_gone.unlink()


def token(world: World, _: random.Random, *, settings: dict[str, Any]) -> Iterator[None]:
    before = world.sandbox.settings()
    world.sandbox.settings(**settings)
    world.sandbox.revoke()
    yield
    world.sandbox.settings(**{name: before[name] for name in settings})
    world.sandbox.revoke()
    people.open_channels(world)


def revoke(world: World, _: random.Random) -> Iterator[None]:
    world.sandbox.revoke()
    yield
