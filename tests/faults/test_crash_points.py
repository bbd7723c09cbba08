"""A process dies at each named point; another goes on. Nothing is lost, no gift paid twice, repeats are marked."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from dispatcher import Dispatcher
from dispatcher.domain.message import DEFAULT_LIFE, Channel
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State
from dispatcher.ledger import By, Filter, InspectionBooks
from dispatcher.wiring import Services
from tests.campaigns.making import numbers
from tests.faults.crash.house import BELLS, House, SettleIn, assert_doubt_was_handled, assert_sent_once
from tests.faults.crash.points import CrashPoint, crash_in_transaction, dies
from tests.making import NUMBER

pytestmark = pytest.mark.one_database

RECIPIENTS = 12_000
"""More than one page of an intake."""


def test_an_application_dies_before_its_commit(house: House) -> None:
    def work() -> None:
        services = Services(house.settings)
        crash_in_transaction(services.engine, touching="INSERT INTO dispatcher_messages")
        house.send(client=Dispatcher(house.settings, services=services))

    dies(work)
    assert house.books.messages(Filter()) == [], "half of it was written"
    assert not house.send().duplicate, "it can be sent again"
    house.goes_on()
    assert_sent_once(house)


def test_an_application_dies_after_its_commit_and_before_the_bell(house: House) -> None:
    def work() -> None:
        services = Services(house.settings)
        crash_in_transaction(services.engine, touching="INSERT INTO dispatcher_messages", committed=True)
        house.send(client=Dispatcher(house.settings, services=services))

    dies(work)
    assert house.redis.llen(BELLS) == 0
    assert house.send().duplicate, "whoever does not know sends again with the same key, and is told"
    house.redis.flushall()
    house.later(timedelta(0)).tick.run()
    assert house.redis.llen(BELLS) == 1, "the clock rings for what nobody rang for"
    house.goes_on()
    assert_sent_once(house)


@pytest.mark.parametrize("point", [CrashPoint.WHILE_MINTING, CrashPoint.AFTER_MINTING], ids=lambda point: point.name)
def test_a_worker_dies_with_the_tokens_lock(house: House, point: CrashPoint) -> None:
    house.send()
    house.worker_dies(point)
    locks = [key for key in house.redis.scan_iter("*") if b"lock" in key]
    assert locks, "it held the lock"
    for lock in locks:
        assert 0 < house.redis.pttl(lock) <= 20_000, "a dead holder's lock ends by itself"
        house.redis.pexpire(lock, 1)
    house.goes_on()
    assert_sent_once(house)
    assert len(house.sandbox.journal(kind="token")) <= 2


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_CLAIM, CrashPoint.IN_CLAIM], ids=lambda point: point.name)
def test_a_worker_dies_before_its_claim_has_committed(house: House, point: CrashPoint) -> None:
    house.send()
    house.worker_dies(point)
    house.goes_on()
    assert_sent_once(house)


@pytest.mark.parametrize("point", [CrashPoint.AFTER_CLAIM, CrashPoint.BEFORE_FIRST_BYTE], ids=lambda point: point.name)
def test_a_worker_dies_between_claim_and_request(
    settle_in: SettleIn,
    transport: str,
    point: CrashPoint,
) -> None:
    house = settle_in(transport=transport)
    house.send()
    house.worker_dies(point)
    house.goes_on()
    assert_doubt_was_handled(house, carried_out=0)


@pytest.mark.parametrize("carried_out", [0, 1], ids=["NOT_ARRIVED", "AFTER_BYTES_LEFT"])
def test_a_worker_is_killed_while_the_api_works(house: House, carried_out: int) -> None:
    house.send()
    action = "hang_after_accepting" if carried_out else "hang"
    for path in ("/sendSMS", "/gifting/send"):
        house.sandbox.fault(path=path, action=action, hang_s=5, times=1)
    house.worker_is_killed_once(lambda: sum(rule["fired"] for rule in house.sandbox.faults()) == 1)
    house.goes_on()
    assert_doubt_was_handled(house, carried_out=carried_out)


def test_a_worker_dies_with_the_answer_in_its_hands(
    settle_in: SettleIn,
    transport: str,
) -> None:
    house = settle_in(transport=transport)
    house.send()
    house.worker_dies(CrashPoint.AFTER_ANSWER)
    house.goes_on()
    assert_doubt_was_handled(house, carried_out=1)


@pytest.mark.parametrize("point", [CrashPoint.IN_SETTLE, CrashPoint.IN_SPOOL], ids=lambda point: point.name)
def test_a_worker_dies_before_the_answer_is_safe(house: House, point: CrashPoint) -> None:
    house.send()
    house.worker_dies(point)
    house.goes_on()
    assert_doubt_was_handled(house, carried_out=1)


def test_a_worker_dies_after_the_settlements_commit(house: House) -> None:
    house.send()
    house.worker_dies(CrashPoint.AFTER_SETTLE)
    house.goes_on()
    assert_sent_once(house)


def test_a_worker_dies_with_the_answer_on_disk(house: House) -> None:
    house.send()
    house.worker_dies(CrashPoint.AFTER_SPOOL)
    house.goes_on()
    assert_sent_once(house)


def test_a_worker_dies_with_spooled_answers_settled_and_their_file_still_there(house: House) -> None:
    house.send()
    house.worker_dies(CrashPoint.AFTER_SPOOL)
    house.worker_dies(CrashPoint.IN_SPOOL_DRAIN)
    house.goes_on()
    assert_sent_once(house)


@pytest.mark.parametrize("point", [CrashPoint.IN_SWEEP, CrashPoint.AFTER_SWEEP], ids=lambda point: point.name)
def test_a_clock_dies_while_it_takes_lost_leases_back(house: House, point: CrashPoint) -> None:
    house.send()
    house.worker_dies(CrashPoint.AFTER_CLAIM)
    house.clock_dies(point)
    house.goes_on()
    assert_doubt_was_handled(house, carried_out=0)


def test_a_clock_dies_while_it_gives_up_what_is_too_late(house: House) -> None:
    with Dispatcher(house.settings) as client:
        soon = datetime.now().astimezone() + timedelta(minutes=1)
        if house.channel is Channel.SMS:
            client.send_sms(NUMBER, "your code: 1234", expires_at=soon)
        else:
            client.send_gift(NUMBER, sku="CARD", amount="1", currency="AUD", idempotency_key="late", expires_at=soon)
    house.clock_dies(CrashPoint.IN_EXPIRY)
    (message,) = house.books.messages(Filter())
    assert message.state is State.QUEUED
    house.later(timedelta(minutes=2)).tick.run()
    (message,) = house.books.messages(Filter())
    assert (message.state, message.attempts_made, house.carried_out()) == (State.EXPIRED, 0, 0)


@pytest.mark.parametrize(
    "point", [CrashPoint.IN_REPLAY_STEP, CrashPoint.AFTER_REPLAY_STEP], ids=lambda point: point.name
)
def test_a_clock_dies_in_a_bulk_replay(house: House, point: CrashPoint, engine: Engine) -> None:
    house.send()
    for path in ("/sendSMS", "/gifting/send"):
        house.sandbox.fault(path=path, action="status", status=422, times=1)
    house.goes_on()
    message, _ = house.the_message()
    assert message.state is State.DEAD
    books = InspectionBooks(engine=engine)
    now = message.updated_at
    by = By(actor="olga", reason="their fault", now=now)
    query = parse_query("", now=now)
    operation = books.begin(Deed.REPLAY, query, by, ids=(), pace=Pace(), budget=5, life=DEFAULT_LIFE)
    house.clock_dies(point)
    house.goes_on()
    message, attempts = house.the_message()
    assert (message.state, house.carried_out()) == (State.ACCEPTED, 1)
    assert [attempt.trigger.value for attempt in attempts] == ["auto", "replay"], "replayed once"
    found = books.operation(operation.id)
    assert (found.state, found.done) == (Stage.DONE, 1)


@pytest.mark.parametrize(
    "point", [CrashPoint.IN_INTAKE_PAGE, CrashPoint.AFTER_INTAKE_PAGE], ids=lambda point: point.name
)
def test_an_intake_dies_and_the_same_command_goes_on(house: House, point: CrashPoint, tmp_path: Path) -> None:
    file = tmp_path / "recipients.csv"
    file.write_text("recipient\n" + "".join(f"{number}\n" for number in numbers(RECIPIENTS)))
    gift: dict[str, Any] = {"sku": "CARD", "amount": "1", "currency": "AUD"} if house.channel is Channel.GIFT else {}
    template = "Hello" if house.channel is Channel.SMS else None

    def take_in(services: Services) -> None:
        campaigns = services.campaigns("olga")
        campaigns.create(file, name="spring", channel=house.channel, template=template, **gift)

    def work() -> None:
        services = Services(house.settings)
        committed = point is CrashPoint.AFTER_INTAKE_PAGE
        crash_in_transaction(services.engine, touching="SET rows_read", statement=2, committed=committed)
        take_in(services)

    dies(work)
    assert house.books.messages(Filter(), limit=1), "pages that had committed stay"
    services = Services(house.settings)
    take_in(services)
    services.close()
    loaded = house.books.messages(Filter(), limit=100_000)
    assert sorted(message.recipient for message in loaded) == sorted(numbers(RECIPIENTS)), (
        "nobody skipped, nobody twice"
    )
