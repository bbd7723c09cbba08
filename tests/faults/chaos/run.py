"""One run: the plan is carried out, everything is healed, and once nothing is under way the books are judged."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.domain.state import State
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import MESSAGES
from tests.faults.chaos import people
from tests.faults.chaos.books import Verdict, judge
from tests.faults.chaos.plan import Strike, draw
from tests.faults.chaos.servers import go_on_group
from tests.faults.chaos.wires import ApiMode
from tests.faults.chaos.world import Stack, World, running_world

_AT_REST_S = 360.0
"""How long it may take, after the last fault, until nothing is under way."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run came to."""

    stack: Stack
    seed: int
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=lambda: Verdict(figures={}))

    def as_json(self) -> dict[str, Any]:
        """Return all of it for a file."""
        return {
            "stack": self.stack.value,
            "seed": self.seed,
            "seconds": self.seconds,
            "faults": dict(sorted(self.faults.items())),
            "figures": self.verdict.figures,
            "problems": self.verdict.problems,
        }


def run(
    stack: Stack,
    *,
    seed: int,
    seconds: float,
    folder: Path,
    rate: float = 60,
    recipients: int = 2000,
    say: Callable[[str], object] = lambda _: None,
) -> Report:
    """Run chaos for so many seconds, then heal, wait until all is settled, and judge."""
    report = Report(stack=stack, seed=seed, seconds=seconds)
    with running_world(stack, seed, folder, rate=rate, recipients=recipients) as world:
        _carry_out(world, draw(stack, seed=seed, seconds=seconds), report, say)
        say("healing")
        _heal(world)
        problem = _come_to_rest(world, say)
        report.verdict = judge(world, recipients=recipients)
        if problem:
            report.verdict.problems.insert(0, problem)
    return report


def _carry_out(world: World, plan: list[Strike], report: Report, say: Callable[[str], object]) -> None:
    began = time.monotonic()
    ends: list[tuple[float, int, Strike, Iterator[None]]] = []

    def end_until(moment: float) -> None:
        while ends and ends[0][0] <= moment:
            at, _, strike, trouble = heapq.heappop(ends)
            _sleep_until(world, began + at)
            _step(strike, trouble, say)

    for strike in plan:
        end_until(strike.at)
        _sleep_until(world, began + strike.at)
        sent = sum(world.sandbox.summary()["carried_out"].values())
        say(f"{time.monotonic() - began:6.1f} s  {sent:6,} carried out  {strike.fault.name} ({strike.lasts:.1f} s)")
        trouble = strike.fault.begin(world, random.Random(strike.seed))
        if _step(strike, trouble, say):
            report.faults[strike.fault.name] += 1
            heapq.heappush(ends, (strike.at + strike.lasts, strike.number, strike, trouble))
    end_until(float("inf"))


def _step(strike: Strike, trouble: Iterator[None], say: Callable[[str], object]) -> bool:
    """Begin a fault, or end it; a harness that stumbles over its own trouble says so and goes on."""
    try:
        next(trouble)
    except StopIteration:
        return False
    except LedgerUnavailable as away:
        say(f"          {strike.fault.name}: {away}")
        return False
    return True


def _sleep_until(world: World, moment: float) -> None:
    while True:
        world.supervise()
        left = moment - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, 0.2))


def _heal(world: World) -> None:
    """End every trouble, have everything run, stop the load."""
    world.rules.clear()
    world.ahead.write_text("0")
    world.apply_rules()
    world.api.change(ApiMode.GOOD)
    world.dns_gone.unlink(missing_ok=True)
    for producer in world.of_kind("producer"):
        world.kill(producer)  # and it stays down
    for part in [*world.of_kind("worker"), *world.of_kind("clock")]:
        if part.process is not None:
            go_on_group(part.process)
        if part.down:
            world.start(part)
    world.supervise()
    (intake,) = world.of_kind("intake")
    while intake.process is None or intake.process.wait(timeout=120) != 0:
        world.start(intake)
    for command in people.open_channels(world):
        command.wait(timeout=60)


def _come_to_rest(world: World, say: Callable[[str], object]) -> str | None:
    """Wait until nothing is queued or in flight. Waits of a backoff are cut short: nobody learns from them here."""
    ends = time.monotonic() + _AT_REST_S
    under_way = (State.QUEUED.value, State.SENDING.value)
    asked, neighbours = 0.0, time.monotonic()
    while True:
        with transaction(world.engine) as connection:
            found = connection.execute(
                select(MESSAGES.c.state, func.count().label("messages"))
                .where(MESSAGES.c.state.in_(under_way))
                .group_by(MESSAGES.c.state)
            )
            left: dict[str, int] = {row.state: row.messages for row in found}
            now = func.now() if world.stack is Stack.POSTGRESQL else people.by("").now
            connection.execute(
                update(MESSAGES)
                .where(MESSAGES.c.state == State.QUEUED.value, MESSAGES.c.due_at > now)
                .values(due_at=now)
            )
        running = [str(command.args) for command in world.commands if command.poll() is None]
        if not left and not running:
            return None  # a command that still runs may enqueue one more
        if time.monotonic() > ends:
            return f"not at rest after {_AT_REST_S:.0f} s: {left}; commands that still run: {running}"
        world.supervise()
        if left and not running and time.monotonic() - neighbours > 3:  # else a slow machine never comes to rest
            neighbours = time.monotonic()
            people.send_neighbours(world)
        if time.monotonic() - asked > 10:
            asked = time.monotonic()
            say(f"        still under way: {left} {running or ''}")
        time.sleep(0.5)
