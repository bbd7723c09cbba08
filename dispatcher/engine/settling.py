"""From answers to the ledger: decide, act on the channel, record. A ledger that is away never loses an answer."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatcher.domain.attempt import Sent, Settlement, settlement
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.domain.identity import AttemptId, uuid7
from dispatcher.domain.message import Channel
from dispatcher.domain.policy import Decision, Effect, Policy, decide
from dispatcher.engine.spool import Spool
from dispatcher.logs import get_logger
from dispatcher.meter import LedgerCall, Meter, Unmeasured
from dispatcher.ports import ChannelReport, Clock, Ledger, Limiter, TokenSource

log = get_logger(__name__)

RETRY_LEDGER = timedelta(milliseconds=500)
"""How often a ledger that is away is asked whether it is back."""
FRESH = timedelta(seconds=2)
"""A token younger than this has not expired: the API refuses it for another reason."""
IN_CIRCLES = 5
"""So many calls of one message that spent no attempt are more than a chance."""
SHORT_PAUSE = timedelta(seconds=1)
"""How long a 429 without a Retry-After holds the channel."""


@dataclass(slots=True, kw_only=True)
class Settling:
    """Settles what a pump's calls came to."""

    ledger: Ledger
    limiter: Limiter
    tokens: TokenSource
    clock: Clock
    spool: Spool
    policies: Mapping[Channel, Policy]
    worker: str
    configuration_pause: timedelta
    roll: Callable[[], float] = random.random
    meter: Meter = Unmeasured()
    ledger_is_there: bool = field(default=True, init=False)
    settled: int = field(default=0, init=False)

    def catch_up(self, *, until: float) -> None:
        """Settle what was spooled while the ledger was away, trying until a moment on the monotonic clock."""
        self.ledger_is_there = self._drain()
        while not self.ledger_is_there and self.clock.monotonic() < until:
            self.clock.sleep(RETRY_LEDGER)
            self.ledger_is_there = self._drain()

    def settle(self, calls: Sequence[Sent]) -> frozenset[Channel]:
        """Decide about each call, tell the channel, and record all of them in one group commit, or spool them.

        :return: the channels on which something is due again at once.
        """
        if not calls:
            return frozenset()
        now = self.clock.now()
        decided = [(call, self._decide(call, now)) for call in calls]
        self._tell_channels(decided)
        ids = _new_ids(now, len(decided))
        batch = [
            settlement(call, decision, attempt_id=id_, worker=self.worker)
            for id_, (call, decision) in zip(ids, decided, strict=True)
        ]
        began = self.clock.monotonic()
        try:
            if not self.ledger_is_there:
                raise LedgerUnavailable("it was away a moment ago")
            taken = self.ledger.settle(batch)
        except Exception as error:  # whatever the reason, an answer that came is never dropped
            level = log.warning if isinstance(error, LedgerUnavailable) else log.exception
            level("spooled", attempts=len(batch), reason=str(error))
            self.spool.append(batch)
            self.meter.ledger_failed(LedgerCall.SETTLE)
            self.meter.spooled(len(batch))
            self.ledger_is_there = False
            return frozenset()
        self.settled += len(batch)
        late = len(batch) - len(taken)
        self.meter.settled(len(batch), late=late, seconds=self.clock.monotonic() - began)
        self._log(batch, late=late)
        now = self.clock.now()
        return frozenset(
            call.message.channel for call, decision in decided if decision.due_at is not None and decision.due_at <= now
        )

    def pause(self, channel: Channel, reason: str) -> None:
        """Stop a channel with the reason, for a while: the fault is not the messages'."""
        now = self.clock.now()
        until = now + self.configuration_pause
        log.error("channel_paused", channel=channel.value, reason=reason, until=until.isoformat())
        try:
            self.ledger.pause(channel, by="dispatcher", reason=reason, until=until, now=now)
        except LedgerUnavailable as away:
            log.warning("pause_failed", channel=channel.value, reason=str(away))
            self.meter.ledger_failed(LedgerCall.PAUSE)

    def _decide(self, call: Sent, now: datetime) -> Decision:
        return decide(self.policies[call.message.channel], call.message, call.outcome, now=now, roll=self.roll())

    def _tell_channels(self, decided: Sequence[tuple[Sent, Decision]]) -> None:
        by_channel: dict[Channel, list[tuple[Sent, Decision]]] = {}
        for call, decision in decided:
            by_channel.setdefault(call.message.channel, []).append((call, decision))
        for channel, ours in by_channel.items():
            effects = Counter(decision.effect for _, decision in ours)
            notable = [] if effects[Effect.HEALTHY] == len(ours) else ours
            throttled = [
                call.outcome.retry_after or SHORT_PAUSE
                for call, decision in notable
                if decision.effect is Effect.THROTTLE
            ]
            # Said even when it says nothing: a half-open breaker waits for word of its one probe.
            report = ChannelReport(
                healthy=effects[Effect.HEALTHY], sick=effects[Effect.SICK], throttled=max(throttled, default=None)
            )
            self.limiter.report(channel, report)
            for call in (call for call, decision in notable if decision.effect is Effect.RENEW_TOKEN):
                self._renew_token(call)
            for call in [call for call, decision in notable if decision.effect is Effect.PAUSE][:1]:
                self.pause(channel, _configuration_fault(call))

    def _renew_token(self, call: Sent) -> None:
        if call.token_generation is None:
            return
        self.tokens.retire(call.token_generation)
        if _fresh_token_refused(call):
            self.pause(call.message.channel, f"the API refuses even a fresh token: {_configuration_fault(call)}")

    def _drain(self) -> bool:
        try:
            for batch in self.spool.batches():
                self._settle_spooled(batch)
        except LedgerUnavailable as away:
            log.warning("ledger_away", reason=str(away))
            self.meter.ledger_failed(LedgerCall.SPOOL)
            return False
        return True

    def _settle_spooled(self, batch: Sequence[Settlement]) -> None:
        """Settle a spooled batch; one that the ledger refuses for good must not hold up the others for ever."""
        try:
            self.ledger.settle(batch)
        except LedgerUnavailable:
            raise
        except Exception as error:
            log.exception("settlement_refused", attempts=len(batch), reason=str(error))
            if len(batch) == 1:
                self.spool.set_aside(batch[0])
                return
            for each in batch:
                self._settle_spooled([each])

    def _log(self, batch: Sequence[Settlement], *, late: int) -> None:
        log.debug("settled", attempts=len(batch), late=late)
        for each in batch:
            if each.decision.effect is not Effect.HEALTHY:
                log.info(
                    "attempt",
                    message=str(each.message_id),
                    outcome=each.outcome.kind.value,
                    status=each.outcome.http_status,
                    error=each.outcome.error,
                    state=each.decision.state.value,
                    why=each.decision.why,
                )


def _new_ids(now: datetime, count: int) -> list[AttemptId]:
    """Make ids for a batch, with one journey to the system's randomness."""
    unix_ms, entropy, size = int(now.timestamp() * 1000), secrets.token_bytes(10 * count), 10
    return [
        AttemptId(uuid7(unix_ms, int.from_bytes(entropy[start : start + size])))
        for start in range(0, size * count, size)
    ]


def _fresh_token_refused(call: Sent) -> bool:
    """Say whether a second token in a row was refused although it had only just been minted.

    A token that merely expired is not that. Should Redis' clock and the ledger's be apart, so that none looks fresh, a
    message that goes round and round without spending an attempt tells as well.
    """
    message, generation = call.message, call.token_generation
    if generation is None or message.refused_generation in (None, generation):
        return False
    age = abs(call.started_at.timestamp() - generation / 1000)
    return age < FRESH.total_seconds() or message.calls_made - message.attempts_made >= IN_CIRCLES


def _configuration_fault(call: Sent) -> str:
    outcome = call.outcome
    words = (str(outcome.http_status) if outcome.http_status else None, outcome.error, outcome.error_description)
    return f"the API answered {' '.join(word for word in words if word)} to a send on {call.message.channel.value}"
