"""What the clock does every second: a ring for what is due; then campaigns, what is too late, lost leases, and more.

Everything here is idempotent, so two clocks are harmless and a missed second costs a second.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatcher.domain.attempt import Claimed, Sent, Settlement, settlement
from dispatcher.domain.duty import Duty, FailingDuty
from dispatcher.domain.errors import DispatcherError, LedgerUnavailable, SettlementRefused
from dispatcher.domain.identity import ENTROPY_BITS, AttemptId, uuid7
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import Policy, decide
from dispatcher.logs import get_logger
from dispatcher.meter import Meter, Unmeasured
from dispatcher.ports import Bell, Clock, DutyReports, Ledger

log = get_logger(__name__)

BATCH = 1000
FOLDING = timedelta(hours=1)
OPERATING = timedelta(milliseconds=400)
"""How long a beat goes on with bulk operations: the next beat is due within a second."""
COUNTING = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(minutes=1)
"""Between two tries of a duty that keeps failing; the first comes after a second."""
REPORTED_AFTER = 3
"""Failures in a row, after which a duty needs attention."""
TRANSACTIONS = timedelta(seconds=10)
REPEATED = timedelta(minutes=10)
"""How often a transaction that stays open is logged again."""
LOST = Outcome(
    kind=OutcomeKind.IN_DOUBT,
    error="lease_lost",
    error_description="the worker died or was stopped while the request may have been under way",
)


@dataclass(slots=True, kw_only=True)
class _Trouble:
    """A duty that failed at its last try."""

    since: datetime
    failures: int = 0
    again_at: float = 0.0
    """On the monotonic clock."""


@dataclass(slots=True, kw_only=True)
class Tick:
    """One beat of the clock.

    It rings for what is due before anything else. Each duty is by itself: one that fails is tried again later, and
    neither stops nor delays the others.
    """

    ledger: Ledger
    bell: Bell
    clock: Clock
    policies: Mapping[Channel, Policy]
    worker: str
    synchronise: Callable[[], object] = lambda: None
    """Measures the ledger's time; raises LedgerUnavailable if that was never possible."""
    grace: timedelta
    """How long the ledger must have been reachable before leases are taken back: workers settle their spool first."""
    roll: Callable[[], float] = random.random
    meter: Meter = Unmeasured()
    reports: DutyReports | None = None
    _fold_at: float = field(default=0.0, init=False)
    _transactions_at: float = field(default=0.0, init=False)
    _warn_at: float = field(default=0.0, init=False)
    _reachable_since: float | None = field(default=None, init=False)
    _troubles: dict[Duty, _Trouble] = field(default_factory=dict, init=False)
    _succeeded: set[Duty] = field(default_factory=set, init=False)
    """Duties that succeeded since this clock began: what an earlier clock reported about them is over."""

    def run(self, *, late: timedelta = timedelta(0)) -> None:
        """Do what is due; a ledger that is away only costs this beat.

        :param late: how long ago the beat was due.
        """
        began = self.clock.monotonic()
        try:
            self._beat()
        except LedgerUnavailable as away:
            self._reachable_since = None
            log.warning("tick_failed", reason=str(away))
            self.meter.tick_failed()
        self.meter.ticked(self.clock.monotonic() - began, late=late)

    def _beat(self) -> None:
        self.synchronise()
        rang = self._ring_for_due()
        if self._reachable_since is None:
            self._reachable_since = self.clock.monotonic()
        queued = False
        for duty, carry_out in self._duties():
            queued |= self._attempt(duty, carry_out)
        if queued and not rang:
            self._ring_for_due()

    def _ring_for_due(self) -> bool:
        waiting = any(due.waiting for due in self.ledger.due(now=self.clock.now()))
        if waiting:
            self.bell.ring()
        return waiting

    def _duties(self) -> Iterator[tuple[Duty, Callable[[], bool]]]:
        """Yield what this beat does; each says whether messages may have become due by it."""
        yield Duty.EXPIRE, self._expire
        yield Duty.CAMPAIGNS, self._advance
        yield Duty.OPERATIONS, self._operate
        if self._reachable_for() >= self.grace.total_seconds():
            yield Duty.LEASES, self._sweep
        yield Duty.COUNTS, self._recount
        if self.clock.monotonic() >= self._fold_at:
            yield Duty.STATISTICS, self._fold
        if self.clock.monotonic() >= self._transactions_at:
            yield Duty.TRANSACTIONS, self._look_for_open_transactions

    def _attempt(self, duty: Duty, carry_out: Callable[[], bool]) -> bool:
        """Carry out one duty, unless it failed a moment ago.

        :raises LedgerUnavailable: not this duty is the cause: the ledger answers nothing.
        """
        trouble = self._troubles.get(duty)
        if trouble is not None and self.clock.monotonic() < trouble.again_at:
            return False
        try:
            queued = carry_out()
        except Exception as error:
            if isinstance(error, LedgerUnavailable):
                self.ledger.due(now=self.clock.now())
            self._note_failure(duty, error)
            return False
        if trouble is not None:
            del self._troubles[duty]
            log.info("duty_recovered", duty=duty.value, failures=trouble.failures)
        if self.reports is not None and (trouble is not None or duty not in self._succeeded):
            self.reports.recovered(duty)
        self._succeeded.add(duty)
        return queued

    def _note_failure(self, duty: Duty, error: Exception) -> None:
        trouble = self._troubles.setdefault(duty, _Trouble(since=self.clock.now()))
        trouble.failures += 1
        wait = min(2.0 ** (trouble.failures - 1), LONGEST_PAUSE.total_seconds())
        trouble.again_at = self.clock.monotonic() + wait
        level = log.warning if isinstance(error, DispatcherError) else log.exception
        level("duty_failed", duty=duty.value, failures=trouble.failures, again_in_s=wait, reason=str(error))
        self.meter.duty_failed(duty)
        if self.reports is not None and trouble.failures >= REPORTED_AFTER:
            told = FailingDuty(duty=duty, failures=trouble.failures, since=trouble.since, reason=str(error))
            self.reports.failing(told)

    def _reachable_for(self) -> float:
        since = self._reachable_since
        return 0.0 if since is None else self.clock.monotonic() - since

    def _expire(self) -> bool:
        expired = self.ledger.expire(now=self.clock.now(), limit=BATCH)
        if expired:
            log.info("expired", messages=expired)
            self.meter.expired(expired)
        return False

    def _look_for_open_transactions(self) -> bool:
        """Report the oldest transaction: while it is open, dead rows pile up and searches get slower."""
        oldest = self.ledger.oldest_transaction()
        now = self.clock.monotonic()
        self._transactions_at = now + TRANSACTIONS.total_seconds()
        seconds = oldest.open_for.total_seconds() if oldest and oldest.open_for else 0.0
        self.meter.oldest_transaction(seconds)
        if oldest is not None and oldest.is_long and now >= self._warn_at:
            self._warn_at = now + REPEATED.total_seconds()
            log.warning(
                "transaction_open_long",
                application=oldest.application,
                role=oldest.role,
                pid=oldest.pid,
                seconds=round(seconds),
            )
        return False

    def _operate(self) -> bool:
        return self.ledger.operate(now=self.clock.now(), patience=OPERATING) > 0

    def _recount(self) -> bool:
        self.ledger.recount(now=self.clock.now(), patience=COUNTING)
        return False

    def _fold(self) -> bool:
        self.ledger.fold(now=self.clock.now())
        self._fold_at = self.clock.monotonic() + FOLDING.total_seconds()
        return False

    def _advance(self) -> bool:
        changed = self.ledger.advance(now=self.clock.now())
        for name in changed.started:
            log.info("campaign_started", campaign=name)
        for name in changed.resumed:
            log.info("campaign_resumed", campaign=name)
        for name in changed.finished:
            log.info("campaign_finished", campaign=name)
        if changed.called_off:
            log.info("called_off", messages=changed.called_off)
        return bool(changed.started or changed.resumed)

    def _sweep(self) -> bool:
        lost = self.ledger.lost_leases(now=self.clock.now(), limit=BATCH)
        if lost:
            taken, refused = self._settle([self._give_up(message) for message in lost])
            log.warning("leases_lost", found=len(lost), taken_back=taken)
            self.meter.leases_lost(taken)
            if refused is not None:
                raise refused
        return bool(lost)

    def _settle(self, settlements: Sequence[Settlement]) -> tuple[int, SettlementRefused | None]:
        """Settle a batch, one by one if the ledger refuses one of them, and count what was taken."""
        try:
            return len(self.ledger.settle(settlements)), None
        except SettlementRefused as refused:
            if len(settlements) == 1:
                log.error("settlement_refused", message=str(settlements[0].message_id), reason=str(refused))
                return 0, refused
        halves = [self._settle([each]) for each in settlements]
        return sum(taken for taken, _ in halves), next((refused for _, refused in halves if refused), None)

    def _give_up(self, message: Claimed) -> Settlement:
        """Settle a lost lease as what it is: nobody knows."""
        now = self.clock.now()
        sent = Sent(
            message=message,
            outcome=LOST,
            started_at=message.lease_expires_at,
            latency=max(timedelta(0), now - message.lease_expires_at),
            token_generation=None,
        )
        decision = decide(self.policies[message.channel], message, LOST, now=now, roll=self.roll())
        return settlement(sent, decision, attempt_id=_same_for_every_sweep(message), worker=self.worker)


def _same_for_every_sweep(message: Claimed) -> AttemptId:
    """Derive the attempt's id from the lease, so that two sweeps at once record one attempt."""
    digest = hashlib.sha256(message.id.bytes + message.lease.bytes).digest()
    entropy = int.from_bytes(digest) & (1 << ENTROPY_BITS) - 1
    return AttemptId(uuid7(int(message.lease_expires_at.timestamp() * 1000), entropy))
