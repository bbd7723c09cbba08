"""Time as the ledger counts it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.ledger import LedgerClock


def test_a_clock_that_is_wrong_is_put_right_by_the_database(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LedgerClock(engine)
    assert abs(clock.synchronise()) < timedelta(seconds=1)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    if engine.dialect.name == "sqlite":
        return  # a SQLite ledger has one host, whose clock is right

    class FastHost(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(minutes=10)

    monkeypatch.setattr("dispatcher.ledger.clock.datetime", FastHost)
    clock = LedgerClock(engine)
    clock.keep_in_step()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
