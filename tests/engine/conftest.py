"""A pump on a real ledger, with time, API, token and limits in the test's hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.state import State
from dispatcher.engine import Canary, HeldAnswers, Pump, PumpShape, Settling, Spool, Tick
from dispatcher.ledger import Books, SqlLedger
from dispatcher.meter import Meter, Unmeasured
from dispatcher.testing import FakeClock, FixedToken, OpenLimiter, ScriptedTransport, SilentBell
from tests.making import POLICIES


@dataclass(slots=True, kw_only=True)
class House:
    """Everything a pump stands on."""

    books: Books
    ledger: SqlLedger
    clock: FakeClock
    transport: ScriptedTransport
    folder: Path
    limiter: OpenLimiter = field(default_factory=OpenLimiter)
    token: FixedToken = field(default_factory=FixedToken)
    bell: SilentBell = field(default_factory=SilentBell)
    meter: Meter = field(default_factory=Unmeasured)
    capacity: int = 50
    held: HeldAnswers | None = None
    """What the process holds between its pumps."""

    @property
    def spool(self) -> Spool:
        return Spool(self.folder, "worker-1", self.ledger.identity)

    def enqueue(self, *messages: NewMessage) -> None:
        self.books.enqueue(messages, source="test")

    def pump(self, *, stopping: Callable[[], bool] = lambda: False, ledger: SqlLedger | None = None) -> int:
        """Run one pump for a slice."""
        used = ledger or self.ledger
        self.held = self.held or HeldAnswers(spool=self.spool, ledger=used)
        settling = Settling(
            ledger=used,
            limiter=self.limiter,
            tokens=self.token,
            clock=self.clock,
            spool=self.spool,
            policies=POLICIES,
            worker="worker-1",
            configuration_pause=timedelta(minutes=5),
            roll=lambda: 0.5,
            meter=self.meter,
            held=self.held,
        )
        return Pump(
            ledger=used,
            limiter=self.limiter,
            tokens=self.token,
            transport=self.transport,
            settling=settling,
            bell=self.bell,
            clock=self.clock,
            scopes={Channel.SMS: "write", Channel.GIFT: "gifting:send"},
            worker="worker-1",
            shape=PumpShape(
                capacity=self.capacity,
                slice=timedelta(seconds=5),
                lease=timedelta(seconds=60),
                bulk_share=0.1,
            ),
            stopping=stopping,
            meter=self.meter,
            canary=Canary(spawn=lambda run: run()),
        ).run()

    def tick(self) -> Tick:
        """Make a clock whose grace is over."""
        tick = Tick(
            ledger=self.ledger,
            bell=self.bell,
            clock=self.clock,
            policies=POLICIES,
            worker="clock",
            grace=timedelta(seconds=15),
            roll=lambda: 0.5,
            meter=self.meter,
        )
        tick.run()
        self.clock.advance(timedelta(seconds=15))
        return tick

    def states(self, *messages: NewMessage) -> list[State]:
        return [self.books.message(message.id).state for message in messages]


@pytest.fixture
def house(books: Books, ledger: SqlLedger, clock: FakeClock, tmp_path: Path) -> House:
    """Return a pump's whole surroundings on a real ledger."""
    return House(books=books, ledger=ledger, clock=clock, transport=ScriptedTransport(clock), folder=tmp_path / "spool")
