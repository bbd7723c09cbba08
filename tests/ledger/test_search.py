"""Queries as SQL: on both databases, against the same filter written in Python over every message."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, update

from dispatcher.admin.grouping import query_of
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State
from dispatcher.ledger import Books, Filter, InspectionBooks, Message, SqlLedger, make_engine
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import MESSAGES
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers
from tests.making import gift, outcome, settled, sms, wish

FAILED = (State.DEAD, State.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A ledger with messages of every kind and fate."""

    engine: Engine
    clock: FakeClock
    messages: list[Message]

    @property
    def store(self) -> InspectionBooks:
        return InspectionBooks(engine=self.engine)


@pytest.fixture(scope="module")
def world(shared_ledger_url: str) -> Iterator[World]:
    """Return a world that tests only read."""
    engine, clock = make_engine(shared_ledger_url), FakeClock()
    yield World(engine=engine, clock=clock, messages=populate(engine, clock))
    engine.dispose()


def populate(engine: Engine, clock: FakeClock) -> list[Message]:
    """Enqueue messages and settle them in every way; return all, newest first."""
    books, ledger = Books(engine=engine), SqlLedger.on(engine)
    dice = random.Random(5)
    campaigns = campaigns_on(engine, clock)
    for name in ("spring", "autumn"):
        campaigns.start(campaigns.create(numbers(6, first=len(name) * 100), name=name, template="Hi").campaign.id)
    for number in range(30):
        clock.advance(timedelta(minutes=7))
        tags = dice.choice([(), ("vip",), ("vip", "test")])
        books.enqueue(
            [
                sms(clock.now(), f"text {number}", bulk=number % 2 == 0, tags=tags),
                gift(clock.now(), f"order-{number}", tags=tags),
            ],
            source=dice.choice(["application", "command line"]),
        )
    kinds = list(OutcomeKind)
    for channel in Channel:
        for claimed in ledger.claim(wish(clock.now(), channel, count=60)).messages:
            clock.advance(timedelta(minutes=1))
            kind = dice.choice(kinds)
            code = dice.choice(["QUOTA", "invalid_recipient", None])
            status = {OutcomeKind.ACCEPTED: 200, OutcomeKind.FAILED: 503, OutcomeKind.REJECTED: 422}.get(kind)
            said = f"limit of {dice.randrange(1000)} reached" if code == "QUOTA" else None
            answer = outcome(kind, http_status=status, error=code, error_description=said)
            ledger.settle([settled(claimed, answer, clock.now())])
    ledger.expire(now=clock.now() + timedelta(hours=68), limit=4)
    return books.messages(Filter(), limit=10_000)


def age(message: Message, now: datetime, field: str = "updated_at") -> timedelta:
    moment: datetime = getattr(message, field)
    return now - moment


QUERIES: dict[str, Callable[[Message, datetime], bool]] = {
    "": lambda m, _: True,
    "channel:gift": lambda m, _: m.channel is Channel.GIFT,
    "-channel:gift": lambda m, _: m.channel is not Channel.GIFT,
    "state:dead,in_doubt priority:bulk": lambda m, _: m.state.value in ("dead", "in_doubt") and m.priority == "bulk",
    "outcome:rejected": lambda m, _: m.last_outcome is OutcomeKind.REJECTED,
    "-outcome:rejected": lambda m, _: m.last_outcome is not OutcomeKind.REJECTED,
    "status:5xx": lambda m, _: 500 <= (m.last_status or 0) < 600,
    "status:422,2xx": lambda m, _: m.last_status is not None and (m.last_status == 422 or m.last_status // 100 == 2),
    "code:QUOTA": lambda m, _: m.last_code == "QUOTA",
    "-code:QUOTA": lambda m, _: m.last_code != "QUOTA",
    "code:inv*": lambda m, _: fnmatch.fnmatchcase(m.last_code or "", "inv*"),
    'failure:"QUOTA: limit of # reached"': lambda m, _: m.failure == "QUOTA: limit of # reached",
    "to:+61411*": lambda m, _: m.recipient.startswith("+61411"),
    "to:+61491570006 -tag:test": lambda m, _: m.recipient == "+61491570006" and "test" not in m.tags,
    "tag:vip": lambda m, _: "vip" in m.tags,
    "tag:vip,test": lambda m, _: bool({"vip", "test"} & set(m.tags)),
    "key:order-1*": lambda m, _: (m.idempotency_key or "").startswith("order-1"),
    "sku:CARD currency:AUD amount>=25": lambda m, _: m.gift is not None and m.gift.amount >= Decimal(25),
    "amount>25": lambda m, _: m.gift is not None and m.gift.amount > Decimal(25),
    "attempts>=1 calls<=1": lambda m, _: m.attempts_made >= 1,
    "attempts:0": lambda m, _: m.attempts_made == 0,
    'source:"command line"': lambda m, _: m.source == "command line",
    "source:campaign": lambda m, _: m.source == "campaign",
    "created:<90m": lambda m, now: age(m, now, "created_at") < timedelta(minutes=90),
    "updated>30m": lambda m, now: age(m, now) > timedelta(minutes=30),
    "dead:<20m": lambda m, now: m.state is State.DEAD and age(m, now) < timedelta(minutes=20),
    "expired:<99d": lambda m, now: m.state is State.EXPIRED,
    '"limit of"': lambda m, _: (
        "limit of" in (m.last_error or "") and m.state.value in ("dead", "in_doubt", "expired", "cancelled")
    ),
    '-"limit of" state:dead': lambda m, _: "limit of" not in (m.last_error or "") and m.state is State.DEAD,
    "nothing_like_this": lambda m, _: False,
    '"100%"': lambda m, _: "100%" in (m.last_error or ""),
    "attempts<999999": lambda m, _: True,
    "attempts:999999": lambda m, _: False,
    "created:<99999d": lambda m, _: True,
    "created>0001-01-01 created<9999-12-31T23:59": lambda m, _: True,
    "amount<1000000000000000": lambda m, _: m.gift is not None,
    "id:nonsense": lambda m, _: False,
    "campaign:nonsense": lambda m, _: False,
}


@pytest.mark.parametrize("text", list(QUERIES))
def test_a_query_finds_what_it_says(world: World, text: str) -> None:
    now = world.clock.now()
    found = world.store.search(parse_query(text, now=now), limit=10_000)
    wanted = [message for message in world.messages if QUERIES[text](message, now)]
    assert [message.id for message in found] == [message.id for message in wanted]
    assert world.store.count(parse_query(text, now=now)) == len(wanted)


def test_a_campaign_is_found_by_name_and_by_id(world: World) -> None:
    spring = campaigns_on(world.engine, world.clock).books.find("spring")
    for asked in ("spring", str(spring.id)):
        found = world.store.search(parse_query(f"campaign:{asked}", now=world.clock.now()), limit=100)
        assert {message.campaign_id for message in found} == {spring.id}
        assert len(found) == 6


def test_pages_follow_one_another_without_gap_or_overlap(world: World) -> None:
    query, seen, before = parse_query("channel:sms", now=world.clock.now()), [], None
    while page := world.store.search(query, limit=7, before=before):
        seen += [message.id for message in page]
        before = page[-1].id
    assert seen == [message.id for message in world.messages if message.channel is Channel.SMS]


def test_groups_count_every_failure_once_and_their_queries_find_it(world: World) -> None:
    store, now = world.store, world.clock.now()
    groups = store.groups(parse_query("", now=now))
    failed = [message for message in world.messages if message.state in FAILED]
    assert sum(group.count for group in groups) == len(failed) > 10
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    for group in groups:
        found = store.search(parse_query(f"state:dead,expired {query_of(group)}", now=now), limit=1000)
        if group.outcome is not None:
            assert len(found) == group.count, group
        assert len({message.recipient for message in found}) >= group.recipients


def test_counts_are_capped(engine: Engine, clock: FakeClock) -> None:
    campaigns_on(engine, clock).create(numbers(20), name="spring", template="Hi")
    assert InspectionBooks(engine=engine).count(parse_query("state:queued", now=clock.now()), cap=5) == 6


def test_what_was_put_away_is_listed_only_where_no_state_is_asked_for(engine: Engine, clock: FakeClock) -> None:
    store, messages = InspectionBooks(engine=engine), populate(engine, clock)
    with transaction(engine) as connection:
        connection.execute(update(MESSAGES).where(MESSAGES.c.state == "dead").values(discarded_at=clock.now()))
    assert store.search(parse_query("state:dead", now=clock.now()), limit=100) == []
    assert len(store.search(parse_query("", now=clock.now()), limit=1000)) == len(messages)
