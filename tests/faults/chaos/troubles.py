"""How trouble is made and ended again: each a generator, whose `yield` is the time that it lasts."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
from kombu.exceptions import KombuError
from redis import RedisError
from sqlalchemy import select, update

from dispatcher.broker import make_ringing_app
from dispatcher.broker.queues import DISPATCH
from dispatcher.domain.state import State
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import MESSAGES
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


def freeze_ledger_connections(world: World, _: random.Random) -> Iterator[None]:
    assert world.ledger is not None
    world.ledger.freeze()
    yield
    world.ledger.thaw()


def read_only_postgres(world: World, _: random.Random) -> Iterator[None]:
    """Have it refuse every write, as after a failover whose old primary lives on, or with a full disk."""
    _on_postgres(world, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    yield
    _on_postgres(world, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def lock_messages(world: World, _: random.Random) -> Iterator[None]:
    """Hold the table of messages as somebody's migration does."""
    with _connected(world) as other, other.transaction():
        other.execute("SET LOCAL lock_timeout = '5s'")
        try:
            other.execute("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE")
        except psycopg.errors.LockNotAvailable:  # the others were faster, again and again
            yield
            return
        yield


def full_disk(world: World, dice: random.Random) -> Iterator[None]:
    """Take the ledger and the disk with the spool away at once: a file stands where the spool's folder was."""
    no_ledger = (read_only_postgres if world.postgres is not None else lock_sqlite)(world, dice)
    spool, aside = world.home / "spool", world.home / "spool-aside"
    next(no_ledger)
    with suppress(FileNotFoundError):
        spool.rename(aside)
    with suppress(IsADirectoryError):  # a worker was faster
        spool.write_text("")
    yield
    if spool.is_file():
        spool.unlink()
    for file in aside.rglob("*.*"):
        target = spool / file.relative_to(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target.with_name(f"aside-{dice.randrange(1 << 30)}-{file.name}"))
    shutil.rmtree(aside, ignore_errors=True)
    next(no_ledger, None)


def worker_of_another_ledger(world: World, _: random.Random) -> Iterator[None]:
    """Run a worker of another ledger, on another database of Redis, in the same home."""
    url = world.another_ledger()
    broker = world.broker.url.replace("/0", "/1")
    stranger = Part(kind="stranger", place=0, command=["worker"], settings={"LEDGER_URL": url, "REDIS_URL": broker})
    world.start(stranger)
    assert stranger.process is not None
    world.commands.append(stranger.process)  # killed at the end of the world, however that comes
    yield
    world.kill(stranger)


def set_wall_clock(world: World, dice: random.Random) -> Iterator[None]:
    """Set the wall clock of one worker and one clock, by a minute and a half up to a day, either way."""
    by = dice.choice((90, 3600, 86_400)) * dice.choice((-1, 1))
    world.ahead.write_text(str(by))
    yield
    world.ahead.write_text("0")


def age_leases(world: World, dice: random.Random) -> Iterator[None]:
    """Have some leases be over for a month, as in a copy that is restored late."""
    ended = people.by("").now - timedelta(days=dice.randint(25, 400))
    leased = select(MESSAGES.c.id).where(MESSAGES.c.state == State.SENDING.value).limit(3)
    with transaction(world.engine) as connection:
        chosen = connection.execute(leased).scalars().all()
        still = MESSAGES.c.state == State.SENDING.value
        connection.execute(update(MESSAGES).where(MESSAGES.c.id.in_(chosen), still).values(lease_expires_at=ended))
    yield


def read_only_redis(world: World, _: random.Random) -> Iterator[None]:
    """Make it a replica of a server that does not exist, as after a failover: every write is refused."""
    _tell_redis(world, "REPLICAOF", "127.0.0.1", "1")
    yield
    _tell_redis(world, "REPLICAOF", "NO", "ONE")


def slow_redis(world: World, dice: random.Random) -> Iterator[None]:
    """Have it answer nobody for a part of a second, again and again."""
    pause, over = dice.uniform(0.15, 0.6), threading.Event()

    def slow_down() -> None:
        while not over.wait(timeout=pause * 1.2):
            _tell_redis(world, "CLIENT", "PAUSE", str(int(pause * 1000)), "ALL")

    thread = threading.Thread(target=slow_down, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(timeout=5)


def _tell_redis(world: World, *words: str) -> None:
    with suppress(RedisError):  # it may be away just now, which is the greater trouble
        world.broker.client.execute_command(*words)  # type: ignore[no-untyped-call]


def _on_postgres(world: World, *statements: LiteralString) -> None:
    with _connected(world) as connection:
        for statement in statements:
            connection.execute(statement)


def _connected(world: World) -> psycopg.Connection[Any]:
    assert world.postgres is not None
    return psycopg.connect(
        world.postgres.url.replace("+psycopg", ""), autocommit=True, options="-c default_transaction_read_only=off"
    )


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
