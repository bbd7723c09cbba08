"""What people do in a walk of the model: applications, operators, and whoever answers for what is in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.errors import CampaignRefused, IdempotencyConflict, TransitionRefused
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.operation import Deed, Pace
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import Resolution
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import (
    CAMPAIGNS,
    MESSAGES,
)
from tests.faults.walk.expected import Bulk, Burst, Expected
from tests.faults.walk.world import HOUR, NUMBERS, World, changed
from tests.making import gift, new_id, row, sms

REPLAYABLE = {State.DEAD, State.EXPIRED, State.CANCELLED}


class Persons(World):
    """People: they enqueue, call off, replay, put right, resolve, pause, opt out."""

    def enqueue(self, _n: int, to: int, more: int) -> None:
        count, bulk_too, later = 1 + more % 2, more % 3 == 0, [0, 0, 0, 20, 600][more % 5]
        due = self.now + timedelta(seconds=later)
        brief = due + timedelta(minutes=5) if to % 5 == 4 else None
        given = {"recipient": NUMBERS[to % 3], "due_at": due, "expires_at": brief}
        messages = [changed(sms(self.now, bulk=bulk_too), **given) for _ in range(count)]
        messages += [changed(gift(self.now), **given) for _ in range(count)]
        receipts = self.books.enqueue(messages, source="test")
        assert [(each.id, each.duplicate) for each in receipts] == [(each.id, False) for each in messages]
        for message in messages:
            self.model.enqueue(message)

    def enqueue_the_same_key(self, _n: int, pick: int, _more: int) -> None:
        keys = sorted(self.model.keys)
        key = keys[pick % len(keys)]
        first, fingerprint = self.model.keys[key]
        again = gift(self.now, key)
        again = replace(again, fingerprint=fingerprint)
        (receipt,) = self.books.enqueue([again], source="test")
        assert (receipt.id, receipt.duplicate) == (first, True)
        with pytest.raises(IdempotencyConflict):
            self.books.enqueue([sms(self.now), replace(again, id=MessageId(uuid4()), fingerprint="f" * 64)], source="x")

    def begin_campaign(self, channel: Channel, count: int) -> None:
        burst = Burst(id=new_id(self.now), channel=channel)
        terms = {"budget": "100.00 75.00/day", "gift": {"sku": "CARD", "amount": "25.00", "currency": "AUD"}}
        values: dict[str, object] = {
            "id": burst.id,
            "name": str(burst.id),
            "channel": channel.value,
            "state": "running",
        }
        values |= terms if burst.budgeted else {}
        values |= {"created_at": self.now, "started_at": self.now}
        with transaction(self.engine) as connection:
            connection.execute(insert(CAMPAIGNS).values(values))
            for n in range(count):
                message = replace(
                    gift(self.now) if burst.budgeted else sms(self.now), priority=Priority.BULK, campaign_id=burst.id
                )
                message = changed(message, recipient=f"+6149157010{n}")
                connection.execute(insert(MESSAGES).values(row(message, campaign_id=burst.id)))
                self.model.enqueue(message, burst)
                self.model.keys.pop(message.idempotency_key or "", None)
        self.model.bursts[burst.id] = burst

    def a_person(self, _n: int, pick: int, more: int) -> None:
        """Do to some message what may be done to it; now and then, what may not."""
        act, where = [
            (self.cancel, {State.QUEUED}),
            (self.replay, REPLAYABLE),
            (self.edit, REPLAYABLE),
            (self.resolve, {State.IN_DOUBT}),
            (self.resolve, {State.IN_DOUBT}),
        ][more % 5]
        found = [each for each in self.model.messages.values() if each.state in where or pick % 6 == 0]
        if found:
            act(found[pick % len(found)], pick)

    def cancel(self, found: Expected, _pick: int) -> None:
        if found.state is State.QUEUED:
            self.books.cancel(found.id, self.by())
            found.become(State.CANCELLED, self.now)
        with pytest.raises(TransitionRefused):
            self.books.cancel(found.id, self.by())

    def replay(self, found: Expected, _pick: int) -> None:
        if found.replayable:
            self.books.replay(found.id, self.by(), budget=2, life=HOUR)
            found.queue_again(self.now, budget=2, life=HOUR, trigger=Trigger.REPLAY)
        with pytest.raises(TransitionRefused):
            self.books.replay(found.id, self.by(), budget=2, life=HOUR)

    def edit(self, found: Expected, _pick: int) -> None:
        content = changed(sms(self.now) if found.channel is Channel.SMS else gift(self.now), recipient=NUMBERS[0])
        if found.replayable and found.campaign is None:
            self.books.replay(found.id, self.by(), budget=2, life=HOUR, content=content)
            found.queue_again(self.now, budget=2, life=HOUR, trigger=Trigger.REPLAY)
            found.revision += 1
            found.recipient = NUMBERS[0]
        with pytest.raises(TransitionRefused):
            self.books.replay(found.id, self.by(), budget=2, life=HOUR, content=content)

    def resolve(self, found: Expected, pick: int) -> None:
        """Answer for a message in doubt, be it true or not."""
        answer = [Resolution.NOT_SENT, Resolution.SENT, Resolution.GIVE_UP, Resolution.NOT_SENT][pick % 4]
        if found.state is State.IN_DOUBT:
            self.books.resolve(found.id, answer, self.by(), budget=2, life=HOUR)
            match answer:
                case Resolution.SENT:
                    found.become(State.ACCEPTED, self.now)
                    found.vouched = True
                case Resolution.GIVE_UP:
                    found.become(State.DEAD, self.now)
                case Resolution.NOT_SENT:
                    found.queue_again(self.now, budget=2, life=HOUR, trigger=Trigger.RESOLVE)
                    found.release()
                    for call in found.calls:
                        call.denied = True
        with pytest.raises(TransitionRefused):
            self.books.resolve(found.id, answer, self.by(), budget=2, life=HOUR)

    def begin_operation(self, n: int, pick: int, _more: int) -> None:
        deed, channel = [Deed.REPLAY, Deed.REPLAY, Deed.DISCARD][pick % 3], [None, *Channel][n]
        query = parse_query("" if channel is None else f"channel:{channel.value}", now=self.now)
        begun = self.store.begin(deed, query, self.by(), ids=(), pace=Pace(), budget=2, life=HOUR)
        made = Bulk(id=begun.id, deed=deed, channel=channel, frozen_at=self.now, total=begun.total, budget=2, life=HOUR)
        in_time = replace(made, frozen_at=datetime.max.replace(tzinfo=self.now.tzinfo))
        assert begun.total == len(self.model.matching(in_time))
        self.model.bulks[made.id] = made

    def an_operator(self, n: int, pick: int, more: int) -> None:
        channel = list(Channel)[pick % 2]
        match more % 5:
            case 0:
                self.pause(channel, [None, 5, 5][n])
            case 1:
                self.resume(channel)
            case 2:
                self.opt_out(channel, NUMBERS[n], pick % 3 == 0)
            case _ if self.model.bursts:
                burst = list(self.model.bursts.values())[n % len(self.model.bursts)]
                aims = [CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.RUNNING, CampaignState.CANCELLED]
                self.change_campaign(burst, aims[pick // 2 % 4])

    def pause(self, channel: Channel, minutes: int | None) -> None:
        until = None if minutes is None else self.now + timedelta(minutes=minutes)
        self.books.pause(channel, self.by(), until=until)
        self.model.paused[channel] = until

    def resume(self, channel: Channel) -> None:
        assert self.books.resume(channel, self.by()) == (channel in self.model.paused)
        self.model.paused.pop(channel, None)

    def opt_out(self, channel: Channel, number: str, back: bool) -> None:
        change = self.shelf.unsuppress if back else self.shelf.suppress
        there = (channel, number) in self.model.opted_out
        assert change(channel, [number], self.by()) == (there is back)
        self.model.opted_out.discard((channel, number))
        if not back:
            self.model.opted_out.add((channel, number))

    def change_campaign(self, burst: Burst, to: CampaignState) -> None:
        match to:
            case CampaignState.PAUSED:
                may = burst.state is CampaignState.RUNNING
            case CampaignState.RUNNING:
                may = burst.state is CampaignState.PAUSED
            case _:
                may = burst.state in (CampaignState.RUNNING, CampaignState.PAUSED)
        changes = {
            CampaignState.PAUSED: lambda: self.shelf.pause(burst.id, self.by(), until=None),
            CampaignState.RUNNING: lambda: self.shelf.resume(burst.id, self.by()),
            CampaignState.CANCELLED: lambda: self.shelf.cancel(burst.id, self.by()),
        }
        if not may:
            with pytest.raises(CampaignRefused):
                changes[to]()
            return
        assert changes[to]().state is to
        burst.become(to)
        burst.paused_until = None
