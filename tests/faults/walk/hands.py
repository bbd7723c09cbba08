"""What workers do in a walk of the model, and what the provider makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select

from dispatcher.domain.attempt import Sent, Settlement, settlement
from dispatcher.domain.identity import AttemptId, LeaseToken
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import decide
from dispatcher.domain.state import CampaignState, State
from dispatcher.domain.suspicion import Blame
from dispatcher.engine import Spool
from dispatcher.ledger import SqlLedger
from dispatcher.ledger.engine import reading
from dispatcher.ledger.tables import (
    CAMPAIGNS,
    MESSAGES,
)
from tests.faults.walk.expected import BUDGET, DAILY, POISONED, POLICIES, Call, Expected, day_of
from tests.faults.walk.world import LEASE, Watched, Worker, World
from tests.making import new_id, outcome, wish

KINDS = [*OutcomeKind, *[OutcomeKind.IN_DOUBT] * 3, OutcomeKind.FAILED, OutcomeKind.THROTTLED]


class Hands(World):
    """Workers: they claim, answer, settle at once, late, twice or never, and die."""

    def claim(self, n: int, pick: int, more: int) -> None:
        for channel in list(Channel)[more % 3 // 2 :]:
            self._claim(n, channel, [100, 1, 2, 100][pick % 4])
        if pick % 5:
            self._leave(self.workers[n])

    def _claim(self, n: int, channel: Channel, count: int) -> None:
        worker, model = self.workers[n], self.model
        now = worker.clock.now()
        could = {each.id: each for each in model.claimable(channel, now)}
        taken = worker.ledger.claim(wish(now, channel, count, lease=LEASE)).messages
        assert len(taken) <= count
        self._see_suppressed(could, now)
        in_order = [(each.due_at, each.id) for each in could.values() if self._goes_first(each)]
        firsts = [(model.messages[each.id].due_at, each.id) for each in taken if each.id in could]
        firsts = [each for each in firsts if self._goes_first(model.messages[each[1]])]
        assert sorted(firsts) == sorted(in_order)[: len(firsts)], "the oldest first"
        worker.calls += [model.claim(each, now) for each in taken]
        if len(taken) < count:
            for each in model.claimable(channel, now):
                assert each.campaign is not None, f"left over: {each}"
                assert each.campaign.budgeted, f"left over: {each}"
                assert not each.campaign.affords_next(now), f"left over: {each}"
        self._see_spent(now)

    def _goes_first(self, message: Expected) -> bool:
        return message.priority is Priority.TRANSACTIONAL and not self.model.has_opted_out(message)

    def _see_suppressed(self, could: dict[UUID, Expected], now: datetime) -> None:
        """Follow the claim in whom it came across that had opted out."""
        gone = select(MESSAGES.c.id).where(MESSAGES.c.state == "suppressed", MESSAGES.c.id.in_(could))
        with reading(self.engine) as connection:
            for id_ in connection.execute(gone).scalars():
                assert self.model.has_opted_out(could[id_])
                could.pop(id_).become(State.SUPPRESSED, now)

    def _see_spent(self, now: datetime) -> None:
        """Follow the claim in which campaigns it paused, since their budget is used up."""
        automatic = select(CAMPAIGNS.c.id).where(CAMPAIGNS.c.state == "paused", CAMPAIGNS.c.paused_by == "dispatcher")
        with reading(self.engine) as connection:
            for id_ in connection.execute(automatic).scalars():
                burst = self.model.bursts[id_]
                if burst.state is CampaignState.PAUSED:
                    continue
                under_way = sum(
                    25_00
                    for each in self.model.messages.values()
                    if each.campaign is burst and each.state is State.SENDING and each.booked_on
                )
                burst.become(CampaignState.PAUSED)
                for_good = burst.spent - under_way + 25_00 > BUDGET
                assert for_good or burst.spent_on(day_of(now)) - under_way + 25_00 > DAILY
                midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
                burst.paused_until = None if for_good else midnight

    def _leave(self, worker: Worker) -> None:
        """Let requests leave: only while their lease lasts, by this host's own clock."""
        for call in worker.calls:
            call.left = call.left or worker.clock.now() < call.message.lease_expires_at

    def the_provider_acts(self, _n: int, pick: int, _more: int) -> None:
        """Carry out what has left, be it that nobody waits for the answer any more."""
        known = [call for call in self._under_way() if call.message.recipient != POISONED]
        if known:
            known[pick % len(known)].carried_out = True

    def _under_way(self) -> list[Call]:
        return [call for worker in self.workers for call in worker.calls if call.left] + self.open

    def answer(self, n: int, pick: int, more: int) -> None:
        """Answer some calls, and perhaps settle at once."""
        worker = next(each for each in [*self.workers[n:], *self.workers] if each.calls)
        self._leave(worker)
        for place in range(min(1 + more % 3, len(worker.calls))):
            call = worker.calls.pop(pick % len(worker.calls))
            kind = KINDS[(pick + more + place * 5) % len(KINDS)]
            worker.answers.append(self._settlement(worker, call, self._outcome(call, kind, pick)))
        if more % 2:
            batch, worker.answers = worker.answers, []
            self._settle(worker.ledger, batch)

    def _outcome(self, call: Call, kind: OutcomeKind, pick: int) -> Outcome:
        """Answer as an API may that tells no lie: what was carried out is never refused."""
        card = call.message.channel is Channel.GIFT
        if not call.left:
            kind = OutcomeKind.NOT_SENT
        elif call.message.recipient == POISONED and kind is not OutcomeKind.IN_DOUBT:
            kind = OutcomeKind.MISCONFIGURED
        elif call.carried_out and not (kind is OutcomeKind.IN_DOUBT or (kind is OutcomeKind.FAILED and card)):
            kind = OutcomeKind.ACCEPTED
        if kind is OutcomeKind.ACCEPTED:
            call.carried_out = True
        unclear = kind is OutcomeKind.IN_DOUBT or (kind is OutcomeKind.FAILED and card)
        status = {
            OutcomeKind.MISCONFIGURED: 403,
            OutcomeKind.FAILED: 500,
            OutcomeKind.REJECTED: 400,
            OutcomeKind.CONFLICT: 409,
        }.get(kind)
        if kind is OutcomeKind.FAILED and not call.carried_out and pick % 2:
            status, unclear = 503, False
        if unclear:
            self.open.append(call)
        call.over = not unclear
        wait = timedelta(seconds=30) if kind is OutcomeKind.THROTTLED else None
        return outcome(kind, http_status=status, retry_after=wait)

    def _settlement(self, worker: Worker, call: Call, what: Outcome) -> Settlement:
        now = worker.clock.now()
        sent = Sent(
            message=call.message, outcome=what, started_at=now, latency=timedelta(milliseconds=40), token_generation=1
        )
        blame = self._blame(call, what)
        decision = decide(POLICIES[call.message.channel], call.message, what, now=now, roll=0.5, blame=blame)
        return settlement(sent, decision, attempt_id=AttemptId(new_id(now)), worker=worker.name)

    def _blame(self, call: Call, what: Outcome) -> Blame | None:
        """Attribute a configuration answer: of the poisoned to the message, of others to whatever neighbours say."""
        if what.kind is not OutcomeKind.MISCONFIGURED:
            return None
        return (
            Blame.MESSAGE if call.message.recipient == POISONED else list(Blame)[call.message.calls_made % len(Blame)]
        )

    def settle(self, n: int, pick: int, more: int) -> None:
        """Settle some answers in one batch, and among them some that were settled before."""
        count, again = 1 + more % 4, pick % 3
        worker = next(each for each in [*self.workers[n:], *self.workers] if each.answers)
        batch, worker.answers = worker.answers[:count], worker.answers[count:]
        before = [self.stale[(pick + n) % len(self.stale)] for n in range(again if self.stale else 0)]
        self._settle(worker.ledger, [*before[:1], *batch, *before[1:]])

    def _settle(self, ledger: SqlLedger, batch: list[Settlement]) -> None:
        assert ledger.settle(batch) == self.model.settle(batch)
        self.stale = [*self.stale, *batch][-12:]

    def settle_once_more(self, n: int, pick: int, more: int) -> None:
        """Settle what was settled before, or what somebody says who never had the lease."""
        again = self.stale[pick % len(self.stale)]
        if more % 3 == 0:
            again = replace(again, attempt_id=AttemptId(new_id(self.now)), lease=LeaseToken(uuid4()))
        self._settle(self.workers[n].ledger, [again])

    def spool(self, _n: int, _pick: int, _more: int) -> None:
        for worker in self.workers:  # the ledger is away for them
            if worker.answers:
                Spool(self.folder, worker.name, worker.ledger.identity).append(worker.answers)
                worker.answers = []

    def catch_up(self, n: int, _pick: int, _more: int) -> None:
        """Settle what is spooled, one's own and what others left."""
        worker = self.workers[n]
        watched = Watched(worker.ledger)
        spool = Spool(self.folder, worker.name, worker.ledger.identity)
        worker.settling(spool, watched).catch_up(until=0.0)
        assert not spool.waiting
        for batch in watched.batches:
            self.model.settle(batch)
            self.stale = [*self.stale, *batch][-12:]

    def renew(self, n: int, _pick: int, _more: int) -> None:
        worker = self.workers[n]
        now = worker.clock.now()
        worker.ledger.renew([call.message for call in worker.calls], now=now, until=now + LEASE)
        self.model.renew(worker.calls, now=now, until=now + LEASE)

    def die(self, n: int, _pick: int, _more: int) -> None:
        """Lose a worker with all that it has in its hands; what it spooled stays."""
        worker = self.workers[n]
        for call in worker.calls:
            call.over = not call.left
            self.open += [call] if call.left else []
        worker.calls, worker.answers = [], []
