"""What the clock does every second: campaigns, what is too late, lost leases, and a ring for what is due.

Everything here is idempotent, so two clocks are harmless and a missed second costs a second.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatcher.domain.attempt import Claimed, Sent, Settlement, settlement
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.domain.identity import ENTROPY_BITS, AttemptId, uuid7
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import Policy, decide
from dispatcher.logs import get_logger
from dispatcher.meter import Meter, Unmeasured
from dispatcher.ports import Bell, Clock, Ledger

log = get_logger(__name__)

BATCH = 1000
FOLDING = timedelta(hours=1)
OPERATING = timedelta(milliseconds=400)
"""How long a beat goes on with bulk operations: the next beat is due within a second."""
COUNTING = timedelta(milliseconds=100)
LOST = Outcome(
    kind=OutcomeKind.IN_DOUBT,
    error="lease_lost",
    error_description="the worker died or was stopped while the request may have been under way",
)


@dataclass(slots=True, kw_only=True)
class Tick:
    """One beat of the clock."""

    ledger: Ledger
    bell: Bell
    clock: Clock
    policies: Mapping[Channel, Policy]
    worker: str
    grace: timedelta
    """How long the ledger must have been reachable before leases are taken back: workers settle their spool first."""
    roll: Callable[[], float] = random.random
    meter: Meter = Unmeasured()
    _fold_at: float = field(default=0.0, init=False)
    _reachable_since: float | None = field(default=None, init=False)

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
        now = self.clock.now()
        expired = self.ledger.expire(now=now, limit=BATCH)
        if expired:
            log.info("expired", messages=expired)
            self.meter.expired(expired)
        self._advance(now)
        if self.clock.monotonic() >= self._fold_at:
            self._fold_at = self.clock.monotonic() + FOLDING.total_seconds()
            self.ledger.fold(now=now)
        self.ledger.operate(now=now, patience=OPERATING)
        self.ledger.recount(now=now, patience=COUNTING)
        if self._reachable_since is None:
            self._reachable_since = self.clock.monotonic()
        if self.clock.monotonic() - self._reachable_since >= self.grace.total_seconds():
            self._sweep()
        if any(due.waiting for due in self.ledger.due(now=now)):
            self.bell.ring()

    def _advance(self, now: datetime) -> None:
        changed = self.ledger.advance(now=now)
        for name in changed.started:
            log.info("campaign_started", campaign=name)
        for name in changed.resumed:
            log.info("campaign_resumed", campaign=name)
        for name in changed.finished:
            log.info("campaign_finished", campaign=name)
        if changed.called_off:
            log.info("called_off", messages=changed.called_off)

    def _sweep(self) -> None:
        lost = self.ledger.lost_leases(now=self.clock.now(), limit=BATCH)
        if lost:
            taken = self.ledger.settle([self._give_up(message) for message in lost])
            log.warning("leases_lost", found=len(lost), taken_back=len(taken))
            self.meter.leases_lost(len(taken))

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
