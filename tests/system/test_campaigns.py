"""Campaigns on real processes: killed and paused at random, beside one-time codes, side by side, on a budget."""

from __future__ import annotations

import csv
import random
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import By, Campaign, CampaignBooks, Filter, Resolution
from dispatcher.sandbox import JournalEntry
from tests.campaigns.making import numbers
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.one_database, pytest.mark.timeout(300)]


def shelf(system: System) -> CampaignBooks:
    return CampaignBooks(engine=system.books.engine)


def write(path: Path, count: int, first: int = 0) -> Path:
    """Write a file of recipients."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recipient", "code"])
        writer.writerows((number, f"C{place:06d}") for place, number in enumerate(numbers(count, first)))
    return path


def take_in(system: System, name: str, count: int, first: int = 0, **wanted: str) -> Campaign:
    """Take a campaign of SMS in."""
    with system.client() as client:
        file = write(system.folder / f"{name}.csv", count, first)
        return client.campaigns.create(file, name=name, template="Your code: {code}", **wanted).campaign  # type: ignore[arg-type]


def arrivals(system: System, kind: str = "sms") -> list[JournalEntry]:
    return [entry for entry in system.sandbox.journal(kind=kind) if entry.carried_out]


def command(system: System, *words: str) -> None:
    """Run a command as an operator would, and see that it ends well."""
    process = system.start(*words)
    assert process.wait(timeout=60) == 0, system.logs()
    system.processes.remove(process)


def wait_over(system: System, name: str, *, seconds: float) -> Campaign:
    books = shelf(system)
    system.wait_until(lambda: books.find(name).state is CampaignState.FINISHED, seconds=seconds)
    return books.find(name)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("recipients", "rate"), [(4_000, 200), (20_000, 600)])
def test_nobody_is_skipped_or_sent_to_twice_through_kills_and_pauses(
    system: System, recipients: int, rate: int
) -> None:
    """Import, workers and clock are killed at random, and the campaign is paused and resumed five times."""
    dice = random.Random(11)
    file = write(system.folder / "spring.csv", recipients)
    create: tuple[str, ...] = ("campaign", "create", str(file), "--name", "spring", "--template", "Your code: {code}")
    create += ("--rate", f"{rate}/s")  # so that it lasts for all that is to happen to it
    kills = pauses = 0
    while True:  # the intake, killed until it has been so three times
        intake = system.start(*create)
        try:
            intake.wait(timeout=dice.uniform(1.3, 2.2) if kills < 3 else 60)
        except subprocess.TimeoutExpired:
            system.kill(intake)
            kills += 1
            continue
        assert intake.returncode == 0, system.logs()
        break
    found = shelf(system).find("spring")
    assert (found.total, found.rows_read, found.duplicates) == (recipients, recipients, 0)

    worker, clock = system.worker(), system.clock()
    system.wait_ready()
    command(system, "campaign", "start", "spring")
    deeds = ["worker", "clock", "pause"] * 3 + ["worker", "clock", "pause", "pause", "worker"]
    dice.shuffle(deeds)
    for deed in deeds:
        time.sleep(dice.uniform(0.3, 1.2))
        match deed:
            case "worker":
                system.kill(worker)
                kills += 1
                worker = system.worker()
            case "clock":
                system.kill(clock)
                kills += 1
                clock = system.clock()
            case _:
                pauses += pause_and_resume(system)
    assert kills >= 9, "five of a worker, four of a clock; an import may end before it is killed"
    assert pauses == 5
    found = wait_over(system, "spring", seconds=120)

    sent = Counter(entry.recipient for entry in arrivals(system))
    assert set(sent) == set(numbers(recipients)), "somebody was skipped"
    twice = {recipient: times for recipient, times in sent.items() if times > 1}
    for message in system.messages():
        if message.recipient in twice:
            doubts = sum("may be a duplicate" in (each.why_next or "") for each in system.attempts(message.id))
            assert doubts >= twice[message.recipient] - 1, "sent more often than the ledger explains"
        else:
            assert message.state is State.ACCEPTED or message.doubtful_sends
    assert len(twice) < 500, "only what was in flight at a kill may go out again"
    system.assert_books_balance()


def pause_and_resume(system: System) -> bool:
    """Pause, see that a second later nothing leaves any more, and resume; say whether it was running."""
    with system.client() as client:
        if client.campaigns.progress("spring").campaign.state is not CampaignState.RUNNING:
            return False
        client.campaigns.pause("spring", reason="look at it")
        time.sleep(1.1)
        before = len(arrivals(system))
        time.sleep(0.6)
        assert len(arrivals(system)) == before, "something left more than a second after the pause"
        client.campaigns.resume("spring")
        return True


@pytest.mark.alone
def test_a_one_time_code_waits_under_a_quarter_of_a_second_beside_a_burst(system: System) -> None:
    take_in(system, "burst", 40_000)
    system.worker()
    system.clock()
    system.wait_ready()
    waits = {}
    with system.client() as client:
        client.campaigns.start("burst")
        system.wait_until(lambda: len(arrivals(system)) > 500)
        for _ in range(200):
            receipt = client.send_sms(NUMBER, "Your code is 123456", expires_at=datetime.now(UTC) + timedelta(hours=1))
            waits[str(receipt.id)] = time.time()
            time.sleep(0.02)
        system.wait_until(lambda: client.message(receipt.id).state is State.ACCEPTED)
        progress = client.campaigns.progress("burst")
        assert progress.waiting > 10_000, "the burst was over too early to prove anything"
    came = {entry.idempotency_key: entry.at for entry in arrivals(system) if entry.idempotency_key in waits}
    assert len(came) == 200
    took = sorted(came[id_] - since for id_, since in waits.items())
    print(f"median {took[100] * 1000:.0f} ms, p99 {took[197] * 1000:.0f} ms, most {took[-1] * 1000:.0f} ms")
    assert took[197] < 0.25, took[-10:]


def test_a_small_campaign_beside_a_large_one_ends_within_its_fair_time(system: System) -> None:
    large, small = take_in(system, "large", 20_000), take_in(system, "small", 500, first=100_000)
    system.worker()
    system.clock()
    system.wait_ready()
    with system.client() as client:
        client.campaigns.start("large")
        client.campaigns.start("small")
        began = time.time()
    of_small = set(numbers(500, first=100_000))
    system.wait_until(lambda: shelf(system).find(small.id).state is CampaignState.FINISHED, seconds=60)
    found = arrivals(system)
    took = max(entry.at for entry in found if entry.recipient in of_small) - began
    before = sum(entry.at <= began + took for entry in found)
    assert shelf(system).find(large.id).state is CampaignState.RUNNING
    print(f"small over after {before} messages of both, {took:.2f} s")
    assert before <= 2 * 1000, "alone with the large one, half of what is sent is its own"


@pytest.mark.exhaustive
def test_a_budget_is_spent_to_the_last_gift_that_fits_and_not_one_further(system: System) -> None:
    with system.client() as client:
        terms = {"channel": "gift", "sku": "CARD", "amount": "10.00", "currency": "AUD", "budget": "12,345.00"}
        client.campaigns.create(numbers(3000), name="winners", **terms)  # type: ignore[arg-type]
    worker, clock = system.worker(GIFT_RATE="600/s"), system.clock()
    system.wait_ready()
    with system.client() as client:
        client.campaigns.start("winners")
    for seconds in (0.6, 0.5, 0.4):
        time.sleep(seconds)
        system.kill(worker)
        worker = system.worker(GIFT_RATE="600/s")
    system.kill(clock)
    system.clock()
    books = shelf(system)
    for _ in range(10):
        system.wait_until(lambda: books.find("winners").state is CampaignState.PAUSED, seconds=90)
        if not resolve_by_the_journal(system):
            break
        with system.client() as client:
            client.campaigns.resume("winners")
    found = books.find("winners")
    assert len(arrivals(system, "gift")) == 1234
    assert max(Counter(entry.recipient for entry in arrivals(system, "gift")).values()) == 1
    assert found.spent == 1_234_000
    assert found.pause_reason == "the budget is used up (AUD 12340.00 of 12345.00): the next gift of 10.00 does not fit"
    system.assert_books_balance()


def resolve_by_the_journal(system: System) -> int:
    """Answer for what is in doubt as an operator would who looks it up; return how many were not sent."""
    carried, not_sent = system.carried_out(), 0
    for message in system.books.messages(Filter(states=(State.IN_DOUBT,)), limit=10_000):
        was_sent = carried[str(message.id)] > 0
        answer = Resolution.SENT if was_sent else Resolution.NOT_SENT
        by = By(actor="olga", reason="looked it up", now=datetime.now(UTC))
        system.books.resolve(message.id, answer, by, budget=5, life=timedelta(hours=1))
        not_sent += not was_sent
    return not_sent


@pytest.mark.exhaustive
def test_a_scheduled_burst_starts_within_two_seconds(system: System) -> None:
    starts_at = datetime.now(UTC) + timedelta(seconds=8)
    take_in(system, "nine", 200, starts_at=starts_at)  # type: ignore[arg-type]
    system.worker()
    system.clock()
    system.wait_ready()
    wait_over(system, "nine", seconds=30)
    first = min(entry.at for entry in arrivals(system))
    assert 0 <= first - starts_at.timestamp() < 2


def test_the_gift_channels_pause_stops_every_gift_within_a_second(system: System) -> None:
    with system.client() as client:
        terms = {"channel": "gift", "sku": "CARD", "amount": "10.00", "currency": "AUD"}
        client.campaigns.create(numbers(2000), name="winners", **terms)  # type: ignore[arg-type]
        system.worker(GIFT_RATE="200/s")
        system.clock()
        system.wait_ready()
        client.campaigns.start("winners")
        system.wait_until(lambda: len(arrivals(system, "gift")) > 100)
    by = By(actor="olga", reason="stop", now=datetime.now(UTC))
    system.books.pause(Channel.GIFT, by, until=None)
    time.sleep(1)
    before = len(arrivals(system, "gift"))
    time.sleep(1)
    assert len(arrivals(system, "gift")) == before < 2000


def test_an_opt_out_during_a_campaign_counts(system: System) -> None:
    take_in(system, "slow", 400, rate="100/s")
    system.worker()
    system.clock()
    system.wait_ready()
    with system.client() as client:
        client.campaigns.start("slow")
    gone = numbers(400)[-1]
    by = By(actor="olga", reason="STOP", now=datetime.now(UTC))
    thread = threading.Thread(target=lambda: shelf(system).suppress(Channel.SMS, [gone], by))
    thread.start()
    found = wait_over(system, "slow", seconds=30)
    thread.join()
    assert found.started_at is not None
    assert found.finished_at is not None
    assert gone not in {entry.recipient for entry in arrivals(system)}
    assert len(arrivals(system)) == 399
    stamps = sorted(entry.at for entry in arrivals(system))
    busiest = max(sum(at <= other < at + 1 for other in stamps) for at in stamps[:200])
    assert busiest <= 125, "its own rate holds, as far as arrivals on a busy machine show it"
    assert stamps[-1] - stamps[0] < 8, "and is used"
