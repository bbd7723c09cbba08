"""What a walk of the model begins with: a ledger, three workers and two clocks, each with connections of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis.stateful import (
    RuleBasedStateMachine,
)
from sqlalchemy import Engine, delete

from dispatcher.domain.attempt import Settlement
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import NewMessage
from dispatcher.engine import Settling, Spool, Tick
from dispatcher.ledger import Books, By, CampaignBooks, InspectionBooks, SqlLedger
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import (
    ATTEMPTS,
    AUDIT,
    CAMPAIGNS,
    CHANNELS,
    GIFT_GUARDS,
    MESSAGES,
    OPERATIONS,
    SUPPRESSIONS,
)
from dispatcher.testing import FakeClock, FixedToken, OpenLimiter, SilentBell
from tests.faults.walk.expected import POLICIES, Call
from tests.faults.walk.model import Model

STEP = 2
"""Messages in one step of a bulk operation, so that each takes several."""
LEASE, HOUR = timedelta(seconds=60), timedelta(hours=1)
WORKERS = range(3)
NUMBERS = [f"+6149157000{n}" for n in range(6, 9)]


class OffClock(FakeClock):
    """The common time, as a host sees it whose clock is off."""

    def __init__(self, common: FakeClock, off: timedelta) -> None:
        super().__init__()
        self._common, self._off = common, off

    def now(self) -> datetime:
        return self._common.now() + self._off


class Watched:
    """The real ledger; remembers what was settled."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self.batches: list[Sequence[Settlement]] = []

    def settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        self.batches.append(settlements)
        return self._ledger.settle(settlements)

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)


@dataclass(slots=True, kw_only=True)
class Worker:
    """A worker process with connections of its own, and what it has in its hands."""

    name: str
    ledger: SqlLedger
    clock: OffClock
    calls: list[Call] = field(default_factory=list)
    answers: list[Settlement] = field(default_factory=list)

    def settling(self, spool: Spool, ledger: Watched) -> Settling:
        return Settling(
            ledger=ledger,  # type: ignore[arg-type]
            limiter=OpenLimiter(),
            tokens=FixedToken(),
            clock=self.clock,
            spool=spool,
            policies=POLICIES,
            worker=self.name,
            configuration_pause=timedelta(minutes=5),
        )


class World(RuleBasedStateMachine):
    """The ledger and its model, and whoever works on it."""

    engines: tuple[Engine, ...]

    def __init__(self) -> None:
        super().__init__()
        self.engine = self.engines[0]
        tables = (ATTEMPTS, GIFT_GUARDS, AUDIT, OPERATIONS, CHANNELS, SUPPRESSIONS, MESSAGES, CAMPAIGNS)
        with transaction(self.engine) as connection:
            for table in tables:
                connection.execute(delete(table))
        self.common = FakeClock()
        self.model = Model()
        self.books, self.store = Books(engine=self.engine), InspectionBooks(engine=self.engine)
        self.shelf = CampaignBooks(engine=self.engine)
        offs = (timedelta(0), timedelta(seconds=2), timedelta(seconds=-2))
        self.workers = [
            Worker(name=f"worker-{n}", ledger=SqlLedger.on(engine), clock=OffClock(self.common, off))
            for n, (engine, off) in enumerate(zip(self.engines, offs, strict=True))
        ]
        self.ticks = [self._tick(engine, off) for engine, off in zip(self.engines, offs[1:], strict=False)]
        self.open: list[Call] = []
        """Calls that nobody will answer any more, and that the provider may yet carry out."""
        self.stale: list[Settlement] = []
        """What was settled before, or what a clock made of a lease some time ago."""
        self.folder = Path(tempfile.mkdtemp(prefix="dispatcher-model-"))

    def _tick(self, engine: Engine, off: timedelta) -> Tick:
        return Tick(
            ledger=Watched(SqlLedger.on(engine)),  # type: ignore[arg-type]
            bell=SilentBell(),
            clock=OffClock(self.common, off),
            policies=POLICIES,
            worker="clock",
            grace=timedelta(0),
            roll=lambda: 0.5,
        )

    @property
    def now(self) -> datetime:
        return self.common.now()

    def by(self) -> By:
        return By(actor="olga", reason="test", now=self.now)


def changed(message: NewMessage, **changes: object) -> NewMessage:
    """Return a message with some of its fields changed, but for those that are None."""
    return replace(message, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
