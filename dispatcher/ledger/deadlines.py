"""How long the database may take, by kind of transaction. A statement that takes longer has failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

OPTION = "dispatcher_deadlines"
"""Execution option of an engine or a connection whose transactions have other deadlines than its sessions."""


_JOURNEY = timedelta(seconds=2)
"""More time than the server's error needs to reach the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The bounds of one kind of transaction. The server enforces the first three; zero means none."""

    statement: timedelta
    """For one statement."""
    lock: timedelta
    """For waiting for one lock: behind a migration, a table that somebody holds, a row that an application changes."""
    idle: timedelta
    """For a transaction whose client says nothing: its locks must not outlive the client."""

    @property
    def answer(self) -> timedelta | None:
        """How long the client waits for an answer; a server that is reached answers before. None means for ever."""
        return self.statement + min(self.statement, _JOURNEY) if self.statement else None


PROMPT = Deadlines(statement=timedelta(seconds=10), lock=timedelta(seconds=3), idle=timedelta(minutes=1))
"""For workers, the clock and applications: short transactions, and something waits for each of them."""
PATIENT = Deadlines(statement=timedelta(minutes=1), lock=timedelta(seconds=5), idle=timedelta(minutes=5))
"""For people: searches, reports, exports and imports."""
PROBE = Deadlines(statement=timedelta(seconds=3), lock=timedelta(seconds=2), idle=timedelta(minutes=1))
"""For a health check, whose caller waits a few seconds only."""
UNHURRIED = Deadlines(statement=timedelta(0), lock=timedelta(seconds=1), idle=timedelta(0))
"""For migrations: a table may take hours to rewrite, but what an application enqueues waits while a migration waits."""
