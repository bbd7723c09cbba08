"""The ledger as it ought to be, in plain Python: where each message stands, and what was truly carried out.

It is written from the design and not from the SQL: a message at a time, no statement, no lock, nothing at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from dispatcher.domain.attempt import Claimed, Settlement, Trigger
from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.operation import Deed
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import CampaignState, State
from dispatcher.domain.suspicion import ANSWERS, Blame
from tests.faults.walk.expected import AMOUNT, Bulk, Burst, Call, Expected, day_of

WAITING = {
    OutcomeKind.NOT_SENT,
    OutcomeKind.THROTTLED,
    OutcomeKind.UNAUTHORIZED,
    OutcomeKind.MISCONFIGURED,
}
"""Outcomes that spend no attempt: nothing was wrong with the message."""


def _refused(settlement: Settlement) -> bool:
    return settlement.outcome.kind is OutcomeKind.MISCONFIGURED


@dataclass(slots=True)
class Model:
    """All that the ledger must know."""

    messages: dict[UUID, Expected] = field(default_factory=dict)
    bursts: dict[UUID, Burst] = field(default_factory=dict)
    bulks: dict[UUID, Bulk] = field(default_factory=dict)
    paused: dict[Channel, datetime | None] = field(default_factory=dict)
    """Until when; None: until somebody resumes it."""
    opted_out: set[tuple[Channel, str]] = field(default_factory=set)
    keys: dict[str, tuple[UUID, str]] = field(default_factory=dict)
    """Whose row has the key, and what it is for."""

    def enqueue(self, message: NewMessage, burst: Burst | None = None) -> None:
        self.messages[message.id] = Expected(
            id=message.id,
            channel=message.channel,
            priority=message.priority,
            recipient=str(message.recipient),
            due_at=message.due_at,
            expires_at=message.expires_at,
            max_attempts=message.max_attempts,
            updated_at=message.created_at,
            campaign=burst,
        )
        if message.idempotency_key is not None:
            self.keys[message.idempotency_key] = (message.id, message.fingerprint)

    def claimable(self, channel: Channel, now: datetime) -> list[Expected]:
        if channel in self.paused and ((until := self.paused[channel]) is None or until > now):
            return []
        return [
            each
            for each in self.messages.values()
            if each.channel is channel
            and each.state is State.QUEUED
            and each.due_at <= now < each.expires_at
            and (each.campaign is None or each.campaign.state is CampaignState.RUNNING)
        ]

    def has_opted_out(self, message: Expected) -> bool:
        return (message.channel, message.recipient) in self.opted_out

    def claim(self, claimed: Claimed, now: datetime) -> Call:
        """Take a message; a gift must never have been carried out before, as far as can be known."""
        found = self.messages[claimed.id]
        assert found in self.claimable(found.channel, now), f"not to be had: {found}"
        assert not self.has_opted_out(found)
        assert not found.guarded
        if found.channel is Channel.GIFT:
            assert not any(call.may_count for call in found.calls), "a second send of a gift"
            found.guarded = True
        burst = found.campaign
        if burst is not None and burst.budgeted:
            assert burst.affords_next(now), "beyond its budget"
            today = day_of(now)
            burst.spent_that_day = burst.spent_on(today) + AMOUNT
            burst.spent, burst.day, found.booked_on = burst.spent + AMOUNT, today, today
        facts = (claimed.attempts_made, claimed.calls_made, claimed.doubtful_sends, claimed.max_attempts)
        found.answers_at_claim = found.configuration_answers if found.trigger is Trigger.AUTO else 0
        assert claimed.configuration_answers == found.answers_at_claim < ANSWERS
        assert facts == (found.attempts_made, found.calls_made, found.doubtful_sends, found.max_attempts)
        assert claimed.lease not in {call.message.lease for call in found.calls}, "a lease is had once"
        found.become(State.SENDING, now)
        found.lease, found.lease_ends = claimed.lease, claimed.lease_expires_at
        call = Call(message=claimed)
        found.calls.append(call)
        return call

    def renew(self, calls: Iterable[Call], *, now: datetime, until: datetime) -> None:
        for call in calls:
            found = self.messages[call.message.id]
            held = found.state is State.SENDING and found.lease == call.message.lease
            if held and found.lease_ends is not None and found.lease_ends > now:
                found.lease_ends = until

    def settle(self, batch: Sequence[Settlement]) -> frozenset[UUID]:
        """Settle a batch: of each message the first, then the second, and so on; return whose state it set."""
        taken = set()
        while batch:
            firsts: dict[UUID, Settlement] = {}
            for each in batch:
                firsts.setdefault(each.message_id, each)
            now = max(each.finished_at for each in firsts.values())
            taken |= {each.message_id for each in firsts.values() if self._settle(each, now)}
            batch = [each for each in batch if firsts[each.message_id] is not each]
        return frozenset(taken)

    def _settle(self, settlement: Settlement, now: datetime) -> bool:
        found, decision = self.messages[settlement.message_id], settlement.decision
        resolves = found.state is State.IN_DOUBT and decision.state is not State.IN_DOUBT
        if found.lease != settlement.lease or not (found.state is State.SENDING or resolves):
            if settlement.attempt_id not in found.attempts:
                self._record(found, settlement)
            return False
        if resolves:  # its attempt was counted when nobody knew
            found.attempts_made -= 1
        found.attempts_made += settlement.outcome.kind not in WAITING
        found.doubtful_sends += settlement.outcome.kind is OutcomeKind.IN_DOUBT
        self._record(found, settlement)
        found.become(decision.state, now)
        found.due_at = decision.due_at or found.due_at
        found.trigger = Trigger.AUTO
        answers = found.answers_at_claim + (decision.blame in (Blame.TOKEN, Blame.MESSAGE) and _refused(settlement))
        found.configuration_answers = answers if decision.state is State.QUEUED else 0
        if answers >= ANSWERS and decision.blame is Blame.MESSAGE:
            assert decision.state is State.DEAD, f"tried once too often: {found}"
        if found.guarded and decision.state in (State.QUEUED, State.DEAD):
            found.release()
        if decision.state is State.QUEUED:
            found.wake_campaign()
        return True

    @staticmethod
    def _record(found: Expected, settlement: Settlement) -> None:
        found.calls_made += 1
        found.attempts.append(settlement.attempt_id)

    def lost(self, now: datetime) -> set[UUID]:
        return {
            each.id
            for each in self.messages.values()
            if each.state is State.SENDING and each.lease_ends is not None and each.lease_ends <= now
        }

    def expire(self, now: datetime) -> int:
        late = [each for each in self.messages.values() if each.state is State.QUEUED and each.expires_at <= now]
        for each in late:
            each.become(State.EXPIRED, now)
        return len(late)

    def advance(self, now: datetime) -> None:
        """Resume, finish, reopen and sweep campaigns, each by how it stood before."""
        for burst in self.bursts.values():
            queued, under_way = self._left(burst, State.QUEUED), self._left(burst, State.SENDING)
            match burst.state:
                case CampaignState.PAUSED if burst.paused_until is not None and burst.paused_until <= now:
                    burst.become(CampaignState.RUNNING)
                    burst.paused_until = None
                case CampaignState.RUNNING if not queued and not under_way:
                    burst.become(CampaignState.FINISHED)
                    burst.finished_at = now
                case CampaignState.CANCELLED if not burst.called_off:
                    for each in queued:
                        each.become(State.CANCELLED, now)
                    burst.called_off = not under_way
                case _:
                    pass

    def _left(self, burst: Burst, state: State) -> list[Expected]:
        return [each for each in self.messages.values() if each.campaign is burst and each.state is state]

    def matching(self, bulk: Bulk) -> list[Expected]:
        """Return what a bulk operation has still to change, in its order."""
        found = [
            each
            for each in self.messages.values()
            if each.given_up
            and not each.guarded
            and each.channel is (bulk.channel or each.channel)
            and each.updated_at <= bulk.frozen_at
            and (bulk.cursor is None or each.id > bulk.cursor)
            and not (bulk.deed is Deed.REPLAY and each.of_a_cancelled_one)
        ]
        return sorted(found, key=lambda each: each.id)

    def step(self, bulk: Bulk, now: datetime, *, size: int) -> int:
        if bulk.over:
            return 0
        if now < bulk.frozen_at and bulk.done < bulk.total:
            return 0  # a clock that is slow waits until it was begun
        count = max(1, min(size, bulk.total - bulk.done))
        chosen = self.matching(bulk)[:count]
        for each in chosen:
            if bulk.deed is Deed.REPLAY:
                each.queue_again(now, budget=bulk.budget, life=bulk.life, trigger=Trigger.REPLAY)
            else:
                each.discarded, each.updated_at = True, now
        if chosen:
            bulk.cursor = chosen[-1].id
        bulk.done += len(chosen)
        bulk.over = len(chosen) < count
        return len(chosen)

    def check_truth(self) -> None:
        for each in self.messages.values():
            counting = sum(call.carried_out and not call.denied for call in each.calls)
            if each.channel is Channel.GIFT:
                assert counting <= 1, f"a gift was carried out {counting} times: {each}"
                if counting or each.state in (State.SENDING, State.IN_DOUBT, State.ACCEPTED):
                    assert each.guarded, f"no guard: {each}"
                if each.state in (State.QUEUED, State.EXPIRED, State.CANCELLED, State.SUPPRESSED):
                    assert not each.guarded, f"still guarded: {each}"
            else:
                assert counting <= 1 + each.doubtful_sends, f"a duplicate that is not marked: {each}"
            assert each.attempts_made <= each.max_attempts, f"more attempts than it has: {each}"
            assert len(set(each.attempts)) == len(each.attempts) == each.calls_made
            assert each.state is not State.EXPIRED or each.updated_at >= each.expires_at
            if each.state is State.ACCEPTED and not each.vouched:
                assert any(call.carried_out for call in each.calls), f"accepted, and nobody got it: {each}"
