"""Claims: one holder, transactional first, bulk's share, pauses obeyed, a gift guarded by the database itself."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.state import State
from dispatcher.ledger import Books, By, SqlLedger
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.lanes import NOBODY, OF_NONE, runners
from dispatcher.ledger.tables import CAMPAIGNS, GIFT_GUARDS, MESSAGES
from dispatcher.testing import FakeClock
from tests.making import gift, new_id, row, sms, wish


def test_a_claimed_message_is_nobody_elses(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now())], source="test")
    first, second = ledger.claim(wish(clock.now())).messages, ledger.claim(wish(clock.now())).messages
    assert (len(first), second) == (1, [])
    assert books.message(first[0].id).state is State.SENDING


def test_many_workers_never_share_a_message(books: Books, engine: Engine, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now(), f"text {n}") for n in range(200)], source="test")
    claimed: list[object] = []

    def work() -> None:
        mine = SqlLedger.on(engine)
        while messages := mine.claim(wish(clock.now(), count=7)).messages:
            claimed.extend(message.id for message in messages)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 200


def test_what_is_not_due_or_too_late_stays(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    now = clock.now()
    later = sms(now, due_at=now + timedelta(minutes=5))
    brief = sms(now, expires_at=now + timedelta(seconds=30))
    books.enqueue([later, brief], source="test")
    clock.advance(timedelta(minutes=1))
    assert ledger.claim(wish(clock.now())).messages == []
    assert ledger.expire(now=clock.now(), limit=10) == 1
    assert books.message(brief.id).state is State.EXPIRED
    clock.advance(timedelta(minutes=5))
    assert [message.id for message in ledger.claim(wish(clock.now())).messages] == [later.id]


def test_transactional_goes_first_and_bulk_keeps_its_share(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now(), f"bulk {n}", bulk=True) for n in range(50)], source="test")
    books.enqueue([sms(clock.now(), f"code {n}") for n in range(50)], source="test")
    claimed = ledger.claim(wish(clock.now(), count=20, bulk=2, bulk_limit=20)).messages
    by_priority = [sum(m.priority is priority for m in claimed) for priority in Priority]
    assert by_priority == [18, 2]


def test_bulk_never_takes_more_than_it_may(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now(), f"bulk {n}", bulk=True) for n in range(50)], source="test")
    assert len(ledger.claim(wish(clock.now(), count=20, bulk_limit=15)).messages) == 15


def test_running_campaigns_share_and_paused_ones_wait(
    books: Books, ledger: SqlLedger, engine: Engine, clock: FakeClock
) -> None:
    campaigns = [new_id(clock.now()) for _ in range(3)]
    states = ("running", "running", "paused")
    with transaction(engine) as connection:
        connection.execute(
            insert(CAMPAIGNS),
            [
                {"id": id_, "name": f"burst {id_}", "channel": "sms", "state": state, "created_at": clock.now()}
                for id_, state in zip(campaigns, states, strict=True)
            ],
        )
        for campaign, size in zip(campaigns, (100, 5, 100), strict=True):
            for n in range(size):
                number = f"+4477009{campaigns.index(campaign)}{n:04d}"
                message = row(sms(clock.now(), bulk=True), campaign_id=campaign, recipient=number)
                connection.execute(insert(MESSAGES), message)
    claimed = ledger.claim(wish(clock.now(), count=80, bulk_limit=80)).messages
    counts = [sum(m.campaign_id == campaign for m in claimed) for campaign in campaigns]
    assert counts == [75, 5, 0], "the small one whole, the big one the rest, the paused one nothing"


def test_campaigns_take_turns_in_a_ring_and_messages_of_none_have_their_place_in_it(
    engine: Engine, clock: FakeClock
) -> None:
    first, second, third = campaigns = sorted(new_id(clock.now()) for _ in range(3))
    with transaction(engine) as connection:
        for campaign in campaigns:
            name = {"id": campaign, "name": str(campaign), "channel": "sms", "state": "running"}
            connection.execute(insert(CAMPAIGNS), name | {"created_at": clock.now()})
            connection.execute(insert(MESSAGES), row(sms(clock.now(), bulk=True), campaign_id=campaign))

    def ring(after: UUID) -> list[UUID | None]:
        with engine.connect() as connection:
            return [each.campaign for each in runners(connection, "sms", clock.now(), after=after, bounds={})]

    assert ring(NOBODY) == [None, first, second, third]
    assert ring(OF_NONE) == [first, second, third, None]
    assert ring(first) == [second, third, None, first]
    assert ring(third) == [None, first, second, third]


def test_with_many_campaigns_each_has_its_turn_and_a_claim_asks_no_more_often(
    books: Books, ledger: SqlLedger, engine: Engine, clock: FakeClock
) -> None:
    """A hundred have something to send, a hundred wait for tomorrow, and there are messages of none."""
    campaigns = [new_id(clock.now()) for _ in range(200)]
    for place, campaign in enumerate(campaigns):
        name = {"id": campaign, "name": f"burst {place}", "channel": "sms", "state": "running"}
        due_at = clock.now() + timedelta(days=place % 2)
        with transaction(engine) as connection:
            connection.execute(insert(CAMPAIGNS), name | {"created_at": clock.now()})
            rows = [
                row(
                    sms(clock.now(), bulk=True),
                    campaign_id=campaign,
                    recipient=f"+4477{place:04d}{n:04d}",
                    due_at=due_at,
                )
                for n in range(40)
            ]
            connection.execute(insert(MESSAGES), rows)
    books.enqueue([sms(clock.now(), f"text {n}", bulk=True) for n in range(40)], source="test")
    asked, taken = [0], Counter[UUID | None]()
    event.listen(engine, "before_cursor_execute", lambda *_: asked.append(asked.pop() + 1))
    for _ in range(26):
        claimed = ledger.claim(wish(clock.now(), count=128, bulk_limit=128)).messages
        assert len(claimed) == 128
        taken.update(message.campaign_id for message in claimed)
    assert asked[0] / 26 < 12, "a claim, on average"
    assert len(taken) == 101
    assert min(taken.values()) == 32, "each was given its share before any had another"


def test_a_pause_holds_at_the_next_claim_and_ends_by_itself(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now()), gift(clock.now())], source="test")
    by = By(actor="test", reason="fraud check", now=clock.now())
    books.pause(Channel.GIFT, by, until=clock.now() + timedelta(minutes=5))
    assert ledger.claim(wish(clock.now(), Channel.GIFT)).messages == []
    assert len(ledger.claim(wish(clock.now(), Channel.SMS)).messages) == 1
    clock.advance(timedelta(minutes=6))
    assert len(ledger.claim(wish(clock.now(), Channel.GIFT)).messages) == 1


def test_an_automatic_pause_gives_way_to_an_operators(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.pause(Channel.SMS, By(actor="olga", reason="wait", now=clock.now()), until=None)
    ledger.pause(Channel.SMS, by="dispatcher", reason="403", until=clock.now() + timedelta(1), now=clock.now())
    assert [pause.by for pause in books.pauses(now=clock.now())] == ["olga"]
    books.resume(Channel.SMS, By(actor="olga", reason=None, now=clock.now()))
    ledger.pause(Channel.SMS, by="dispatcher", reason="403", until=clock.now() + timedelta(1), now=clock.now())
    assert [pause.reason for pause in books.pauses(now=clock.now())] == ["403"]


def test_invariant_2_no_double_gift_the_database_refuses_a_second_live_send(
    books: Books, ledger: SqlLedger, engine: Engine, clock: FakeClock
) -> None:
    """Even code that wrongly queues a gift again cannot get it claimed while its guard stands."""
    books.enqueue([gift(clock.now())], source="test")
    claimed = ledger.claim(wish(clock.now(), Channel.GIFT)).messages[0]
    with transaction(engine) as connection:  # what a bug might do
        connection.execute(
            update(MESSAGES)
            .where(MESSAGES.c.id == claimed.id)
            .values(state="queued", lease_token=None, lease_expires_at=None)
        )
    assert ledger.claim(wish(clock.now(), Channel.GIFT)).messages == []
    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(insert(GIFT_GUARDS), [{"message_id": claimed.id, "guarded_at": clock.now()}])
    with engine.connect() as connection:
        assert connection.execute(select(GIFT_GUARDS.c.message_id)).scalars().all() == [claimed.id]


def test_leases_are_renewed_only_while_they_last(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    books.enqueue([sms(clock.now())], source="test")
    claimed = ledger.claim(wish(clock.now())).messages
    clock.advance(timedelta(seconds=50))
    ledger.renew(claimed, now=clock.now(), until=clock.now() + timedelta(seconds=60))
    clock.advance(timedelta(seconds=50))
    assert ledger.lost_leases(now=clock.now(), limit=10) == []
    clock.advance(timedelta(seconds=50))
    ledger.renew(claimed, now=clock.now(), until=clock.now() + timedelta(seconds=60))
    assert [lost.id for lost in ledger.lost_leases(now=clock.now(), limit=10)] == [claimed[0].id]


def test_what_is_due_is_seen_per_channel(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    assert not any(due.waiting for due in ledger.due(now=clock.now()))
    books.enqueue([gift(clock.now())], source="test")
    assert {due.channel: due.waiting for due in ledger.due(now=clock.now())} == {Channel.SMS: False, Channel.GIFT: True}
    books.pause(Channel.GIFT, By(actor="test", reason=None, now=clock.now()), until=None)
    assert not any(due.waiting for due in ledger.due(now=clock.now()))
