"""A bulk replay through kills: begun on the page, carried out by the clock, sent by workers; all of them killed."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import time
from collections import Counter
from uuid import UUID

import pytest
import requests
from sqlalchemy import func, select

from dispatcher import Sms
from dispatcher.domain.operation import Stage
from dispatcher.domain.state import State
from dispatcher.ledger import InspectionBooks
from dispatcher.ledger.engine import reading
from dispatcher.ledger.tables import ATTEMPTS, AUDIT
from tests.campaigns.making import numbers
from tests.system.conftest import System

MANY = int(os.environ.get("REPLAYED", "1500"))
"""How many dead letters; `REPLAYED=50000` for the long run."""
QUERY = "channel:sms status:422"


@pytest.mark.exhaustive  # tests/ledger/test_bulk.py kills single steps
@pytest.mark.timeout(120 + MANY / 50)
def test_each_dead_letter_is_replayed_exactly_once_through_kills(system: System) -> None:
    dice = random.Random(5)
    system.environment["DISPATCHER_WEB_SECRET"] = "sealed with the same before and after a kill"
    give_up(system, MANY)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pages = f"http://127.0.0.1:{port}"

    def web() -> subprocess.Popen[bytes]:
        process = system.start("web", "--port", str(port))
        system.wait_until(lambda: healthy(pages), seconds=30)
        return process

    shown, worker, clock = web(), system.worker(), system.clock()
    plan = look(pages)
    operation = begin(pages, plan)
    system.kill(shown)  # whoever began it is gone
    shown = web()
    books = InspectionBooks(engine=system.books.engine)
    kills = Counter(web=1)
    while books.operation(operation).state is Stage.RUNNING or sum(kills.values()) < 10:
        time.sleep(dice.uniform(0.2, 1.0))
        match dice.choice(["web", "worker", "worker", "clock"]):
            case "web":
                system.kill(shown)
                shown = web()
                kills["web"] += 1
            case "worker":
                system.kill(worker)
                worker = system.worker()
                kills["worker"] += 1
            case _:
                system.kill(clock)
                clock = system.clock()
                kills["clock"] += 1
        assert sum(kills.values()) < 300, system.logs()
    system.wait_settled(seconds=60 + MANY / 100)

    found = books.operation(operation)
    assert (found.state, found.total, found.done, found.skipped) == (Stage.DONE, MANY, MANY, 0)
    assert system.counts() == {State.ACCEPTED: MANY}
    assert replays(system) == Counter({1: MANY})
    assert rejections(system) == MANY, "what was heard before the replay stays recorded"
    system.assert_books_balance()
    twice = sum(times > 1 for times in system.carried_out().values())
    print(f"{MANY} replayed once each; kills: {dict(kills)}; {twice} sent again after a kill, each marked")

    again = begin(pages, plan)  # the same once more: there is nothing left that it could do
    system.wait_until(lambda: books.operation(again).state.over)
    assert books.operation(again).done == 0
    assert replays(system) == Counter({1: MANY})


def give_up(system: System, count: int) -> None:
    """Have the API refuse messages for good."""
    system.sandbox.fault(path="/sendSMS", action="status", status=422, error="invalid_recipient", times=count)
    with system.client() as client:
        sent = client.send_many(Sms(recipient=number, body="Hello") for number in numbers(count))
        assert len(sent) == count
    worker, clock = system.worker(), system.clock()
    system.wait_until(lambda: system.counts()[State.DEAD] == count, seconds=60 + count / 100)
    for process in (worker, clock):
        process.terminate()
        process.wait(timeout=30)


def look(pages: str) -> dict[str, str]:
    """Return the form that the plan's page confirms with."""
    plan = requests.get(f"{pages}/plan", params={"q": QUERY}, timeout=30).text
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', plan))


def begin(pages: str, plan: dict[str, str]) -> UUID:
    """Confirm a plan, as a browser does."""
    answer = requests.post(
        f"{pages}/operations",
        data=plan | {"reason": "the numbers are right after all"},
        headers={"Sec-Fetch-Site": "same-origin"},
        timeout=30,
        allow_redirects=False,
    )
    assert answer.status_code == 303, answer.text
    return UUID(answer.headers["location"].rpartition("/")[2])


def healthy(pages: str) -> bool:
    try:
        return requests.get(f"{pages}/healthz", timeout=2).ok
    except requests.ConnectionError:
        return False


def replays(system: System) -> Counter[int]:
    """Count how many messages were replayed how often."""
    each = select(func.count().label("times")).where(AUDIT.c.action == "replay").group_by(AUDIT.c.subject).subquery()
    with reading(system.books.engine) as connection:
        return Counter(connection.execute(select(each.c.times)).scalars())


def rejections(system: System) -> int:
    with reading(system.books.engine) as connection:
        rejected = select(func.count()).select_from(ATTEMPTS).where(ATTEMPTS.c.outcome == "rejected")
        return connection.execute(rejected).scalar_one()
