"""Time as the ledger counts it, on hosts whose wall clock is wrong or is set."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dispatcher import Dispatcher
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.ledger import LedgerClock, make_engine
from dispatcher.ledger import clock as module
from dispatcher.settings import load_settings
from tests.making import NUMBER
from tests.stepped import host_ahead_by

STEPS = [timedelta(seconds=90), timedelta(hours=1), timedelta(days=1)]
BOTH_WAYS = [way * step for step in STEPS for way in (1, -1)]
SLACK = timedelta(seconds=1)


@pytest.fixture
def nowhere() -> LedgerClock:
    """Return the clock of a ledger that cannot be reached."""
    return LedgerClock(make_engine("postgresql://nobody@127.0.0.1:1/none"))


@pytest.mark.parametrize("step", BOTH_WAYS, ids=str)
def test_a_wall_clock_that_is_set_changes_nothing(engine: Engine, step: timedelta) -> None:
    clock = LedgerClock(engine)
    clock.keep_in_step()
    before = datetime.now(UTC)
    with host_ahead_by(step):
        assert abs(clock.now() - before) < SLACK, "between two measurements"
        if engine.dialect.name == "postgresql":  # a SQLite ledger has one host, whose clock is the ledger's
            assert abs(clock.synchronise() + step) < SLACK, "it reports by how much"
            assert abs(clock.now() - before) < SLACK, "after another measurement"
    assert abs(clock.now() - before) < SLACK, "and when it is set right"


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("step", BOTH_WAYS, ids=str)
def test_a_clock_that_nobody_measured_is_measured_at_first_use(engine: Engine, step: timedelta) -> None:
    before = datetime.now(UTC)
    with host_ahead_by(step):
        assert abs(LedgerClock(engine).now() - before) < SLACK


def test_it_is_measured_again_once_a_minute(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, measured = LedgerClock(engine), []
    synchronise = clock.synchronise
    monkeypatch.setattr(clock, "synchronise", lambda: measured.append(synchronise()))
    for _ in range(3):
        clock.keep_in_step()
    assert len(measured) == 1
    monkeypatch.setattr(module, "MEASURE_EVERY", timedelta(0))
    clock.keep_in_step()
    assert len(measured) == 2


def test_without_any_measurement_who_acts_on_the_time_is_told(nowhere: LedgerClock) -> None:
    with pytest.raises(LedgerUnavailable):
        nowhere.keep_in_step()
    assert abs(nowhere.now() - datetime.now(UTC)) < SLACK, "who only shows it gets the host's"


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_measurement_that_took_long_replaces_none(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LedgerClock(engine)
    clock.synchronise()
    before = clock.now()
    ask = module._ask

    def held_up(connection: object) -> object:
        taken = ask(connection)  # type: ignore[arg-type]
        return replace(taken, took=timedelta(seconds=5), ledger_time=taken.ledger_time + timedelta(seconds=4))

    monkeypatch.setattr(module, "_ask", held_up)
    clock.synchronise()
    assert clock.now() - before < SLACK


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("step", BOTH_WAYS, ids=str)
def test_an_application_that_writes_in_its_own_transaction_alone_measures_too(
    engine: Engine, ledger_url: str, step: timedelta
) -> None:
    settings = load_settings(ledger_url=ledger_url, redis_url="redis://127.0.0.1:1/0")
    before = datetime.now(UTC)
    with host_ahead_by(step), Dispatcher(settings) as dispatcher, Session(engine) as session:
        receipt = dispatcher.send_sms(NUMBER, "hello", session=session)
        session.commit()
        assert abs(dispatcher.message(receipt.id).due_at - before) < SLACK


def test_time_goes_on_between_measurements(engine: Engine) -> None:
    clock = LedgerClock(engine)
    before = clock.now()
    time.sleep(0.05)
    assert timedelta(seconds=0.05) <= clock.now() - before < SLACK
