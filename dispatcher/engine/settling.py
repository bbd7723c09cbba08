"""From answers to the ledger: decide, act on the channel, record. A ledger that is away never loses an answer."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from dispatcher.domain.attempt import Sent, Settlement, settlement
from dispatcher.domain.errors import LedgerOutdated, LedgerUnavailable
from dispatcher.domain.identity import AttemptId, MessageId, uuid7
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import Decision, Effect, Policy, decide
from dispatcher.domain.suspicion import Blame, blame
from dispatcher.engine.held_answers import HeldAnswers
from dispatcher.engine.spool import Spool
from dispatcher.engine.spooled import settle_spooled
from dispatcher.engine.suspects import attribute, channel_report
from dispatcher.logs import get_logger
from dispatcher.meanwhile import meanwhile
from dispatcher.meter import LedgerCall, Meter, Unmeasured
from dispatcher.ports import ChannelReport, Clock, Ledger, Limiter, Standing, TokenSource

log = get_logger(__name__)

_AWAY = (LedgerUnavailable, LedgerOutdated)
HANGS = timedelta(seconds=1)
"""A call of the ledger that takes longer may take much longer: what is in memory meanwhile goes to the spool."""
RETRY_LEDGER = timedelta(milliseconds=500)
"""How often a ledger that is away is asked whether it is back."""


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
    held: HeldAnswers | None = None
    """The process's answers that neither ledger nor disk could take; one pump alone needs none from outside."""
    _held: HeldAnswers = field(init=False)
    ledger_is_there: bool = field(default=True, init=False)
    settled: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Hold answers for this pump alone, unless the process does for all of its pumps."""
        self._held = self.held or HeldAnswers(spool=self.spool, ledger=self.ledger)

    def catch_up(self, *, until: float) -> None:
        """Settle what was spooled while the ledger was away, trying until a moment on the monotonic clock."""
        self.ledger_is_there = self._drain()
        while not self.ledger_is_there and self.clock.monotonic() < until:
            self.clock.sleep(RETRY_LEDGER)
            self.ledger_is_there = self._drain()

    def settle(self, calls: Sequence[Sent], *, alone: Collection[MessageId] = frozenset()) -> frozenset[Channel]:
        """Decide about each call, tell the channel, and record all of them in one group commit, or spool them.

        :param alone: messages that were sent with no other in flight, since their channel was suspect.
        :return: the channels on which something is due again at once: a message, or a suspect channel's test call.
        """
        if not calls:
            return frozenset()
        now = self.clock.now()
        blames, suspect = self._tell_channels(calls, alone)
        decided = [(call, self._decide(call, blames.get(call.message.id), now)) for call in calls]
        ids = _new_ids(now, len(decided))
        batch = [
            settlement(call, decision, attempt_id=id_, worker=self.worker)
            for id_, (call, decision) in zip(ids, decided, strict=True)
        ]
        began, is_kept = self.clock.monotonic(), False

        def keep() -> None:
            nonlocal is_kept
            if not is_kept:
                is_kept, self.ledger_is_there = True, False
                self._spool(batch, LedgerUnavailable("it takes long; settling twice is harmless"))

        try:
            if not self.ledger_is_there:
                raise LedgerUnavailable("it was away a moment ago")
            with meanwhile(keep, after=HANGS):
                taken = self.ledger.settle(batch)
            unknown = self.ledger.unknown([each.message_id for each in batch if each.message_id not in taken])
        except Exception as error:  # whatever the reason, an answer that came is never dropped
            self.ledger_is_there = False
            self.meter.ledger_failed(LedgerCall.SETTLE)
            if not is_kept:
                self._spool(batch, error)
            return frozenset()
        if unknown:  # a restored backup lacks them: the spool's way keeps them for a person
            self._spool([each for each in batch if each.message_id in unknown], LedgerUnavailable("it lacks messages"))
        self.settled += len(batch)
        late = len(batch) - len(taken)
        self.meter.settled(len(batch), late=late, seconds=self.clock.monotonic() - began)
        self._log(batch, late=late)
        now = self.clock.now()
        return suspect | frozenset(
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

    def hear_canary(self, channel: Channel, outcome: Outcome) -> None:
        """Report what the API's test call came to; pause the channel if it failed as the channel's messages did."""
        answer = "" if outcome.kind is OutcomeKind.ACCEPTED else outcome.in_words
        standing = self.limiter.report(channel, ChannelReport(canary=answer))
        log.info("canary", channel=channel.value, answer=answer or None, failed=standing.suspicion.canary_failed)
        if answer and standing.suspicion.canary_failed:
            self.pause(channel, f"the API answered {answer} to a send on {channel.value} and to its own test call")
        if standing.cleared:
            log.info("channel_cleared", channel=channel.value)

    def _decide(self, call: Sent, blame: Blame | None, now: datetime) -> Decision:
        policy = self.policies[call.message.channel]
        return decide(policy, call.message, call.outcome, now=now, roll=self.roll(), blame=blame)

    def _tell_channels(
        self, calls: Sequence[Sent], alone: Collection[MessageId]
    ) -> tuple[Mapping[MessageId, Blame], frozenset[Channel]]:
        """Report to each channel what its calls say; attribute their configuration answers, name suspect channels."""
        by_channel: dict[Channel, list[Sent]] = {}
        for call in calls:
            by_channel.setdefault(call.message.channel, []).append(call)
        blames: dict[MessageId, Blame] = {}
        suspect: set[Channel] = set()
        for channel, ours in by_channel.items():
            report = channel_report(ours, self.policies[channel], alone=alone)
            # Report even an empty batch: a half-open breaker and a suspect channel await the result of their one call.
            standing = self.limiter.report(channel, report)
            attributed = attribute(ours, standing)
            blames |= attributed
            self._renew_tokens(ours, attributed)
            self._act_on(channel, report, standing)
            if report.witnesses and standing.suspicion.witnesses:
                suspect.add(channel)
        return blames, frozenset(suspect)

    def _act_on(self, channel: Channel, report: ChannelReport, standing: Standing) -> None:
        """Log a suspicion that was cast or cleared, and pause the channel once it holds."""
        if standing.cleared:
            log.info("channel_cleared", channel=channel.value)
        blames = {blame(guess, standing.suspicion) for guess in standing.guesses.values()}
        if blames <= {Blame.TOKEN, Blame.OLD_TOKEN}:
            return
        suspicion, answer = standing.suspicion, report.witnesses[-1].answer
        log.warning("channel_suspect", channel=channel.value, answer=answer, witnesses=suspicion.witnesses)
        others = f" and to {suspicion.witnesses - 1} others, one after the other" if suspicion.witnesses > 1 else ""
        reason = f"the API answered {answer} to a send on {channel.value}{others}"
        if Blame.CHANNEL in blames:
            self.pause(channel, reason)
        elif Blame.CAMPAIGN in blames and suspicion.campaign is not None:
            self._pause_campaign(suspicion.campaign, reason)

    def _pause_campaign(self, campaign: UUID, reason: str) -> None:
        """Stop a campaign whose messages alone are refused."""
        now = self.clock.now()
        until = now + self.configuration_pause
        try:
            if self.ledger.pause_campaign(campaign, reason=reason, until=until, now=now):
                log.warning("campaign_paused", campaign=str(campaign), reason=reason)
        except LedgerUnavailable as away:
            log.warning("pause_failed", campaign=str(campaign), reason=str(away))
            self.meter.ledger_failed(LedgerCall.PAUSE)

    def _renew_tokens(self, calls: Sequence[Sent], blames: Mapping[MessageId, Blame]) -> None:
        for call in calls:
            refused = call.outcome.kind is OutcomeKind.UNAUTHORIZED or blames.get(call.message.id) in (
                Blame.TOKEN,
                Blame.OLD_TOKEN,
            )
            if refused and call.token_generation is not None:
                self.tokens.retire(call.token_generation)

    def _spool(self, batch: Sequence[Settlement], why: Exception) -> None:
        """Keep answers on disk, or in memory while the disk takes nothing."""
        try:
            self.spool.append(batch)
        except Exception as error:  # whatever the reason, as above
            reason = f"{type(error).__name__}: {error}"
            log.error("spool_failed", attempts=len(batch), reason=reason, ledger=str(why))
            self._held.keep(batch)
        else:
            level = log.warning if isinstance(why, _AWAY) else log.exception
            level("spooled", attempts=len(batch), reason=str(why))
            self.meter.spooled(len(batch))

    def _drain(self) -> bool:
        try:
            if not self._held.put_down():
                return False
            self.spool.drain(lambda batch: settle_spooled(self.ledger, batch))
        except Exception as error:  # whatever the reason, the answers stay in the spool
            level = log.warning if isinstance(error, _AWAY) else log.exception
            level("ledger_away", reason=str(error))
            self.meter.ledger_failed(LedgerCall.SPOOL)
            return False
        return True

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
