"""The one loop of the dispatcher. Read ``Pump.run`` and you know the way of a message.

    permits → token → claim → send → decide → settle
    (Redis)   (Redis)  (SQL)  (HTTP)            (SQL, group commit)

What can fail without touching a recipient comes before the claim. A pump runs for a slice of a few seconds with many
requests in flight, then lets them finish, and rings again if work is left. Claims and settlements are batches that grow
by themselves: while one commits, the next one gathers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from dispatcher.domain.errors import CredentialsRefused, LedgerUnavailable, ScopeMissing, TokenUnavailable
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.engine.canary import Canary, call_canary
from dispatcher.engine.lines import Line, Lines
from dispatcher.engine.settling import HANGS, Settling
from dispatcher.logs import get_logger
from dispatcher.meanwhile import meanwhile
from dispatcher.meter import Hold, LedgerCall, Meter, Unmeasured
from dispatcher.ports import (
    Bell,
    ChannelReport,
    ClaimRequest,
    Clock,
    Ledger,
    Limiter,
    Permits,
    Taken,
    Token,
    TokenSource,
    Transport,
)

log = get_logger(__name__)

IDLE = timedelta(milliseconds=20)
"""How long a pump that found nothing waits before it looks again, while other calls are still under way."""
_DISTANT = 4
"""An idle line is looked at again after this many times what its permits took."""
GLANCE = timedelta(milliseconds=100)
"""How long a line rests at the most while a campaign waits for its own rate: a one-time code may come any moment."""
PATIENCE = timedelta(seconds=1)
"""A wait longer than this is the clock's business: the pump ends and its process is free for others."""
_NO_PERMIT = {hold.value: hold for hold in (Hold.RATE, Hold.THROTTLED, Hold.BREAKER, Hold.SUSPECT)}
_NO_ANSWER = (OutcomeKind.NOT_SENT, OutcomeKind.IN_DOUBT, OutcomeKind.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpShape:
    """The numbers that shape a pump."""

    capacity: int
    """Requests in flight at the most."""
    slice: timedelta
    """For how long it claims."""
    lease: timedelta
    bulk_share: float
    """The share of claims that bulk keeps under load."""

    @property
    def bulk_slots(self) -> int:
        """How many slots bulk may fill: never all of them, so that a transactional message finds one free."""
        return max(1, self.capacity - max(1, int(self.capacity * 0.1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pump:
    """Moves messages for one slice of time."""

    ledger: Ledger
    limiter: Limiter
    tokens: TokenSource
    transport: Transport
    settling: Settling
    bell: Bell
    clock: Clock
    scopes: Mapping[Channel, str]
    worker: str
    shape: PumpShape
    stopping: Callable[[], bool] = lambda: False
    """Whether the worker is shutting down: nothing more is claimed, what is in flight is finished."""
    lines: Lines = field(default_factory=Lines)
    meter: Meter = Unmeasured()
    canary: Canary = field(default_factory=Canary)

    def run(self) -> int:
        """Pump for one slice and return how many calls were settled."""
        began = self.clock.monotonic()
        ends = began + self.shape.slice.total_seconds()
        self.settling.catch_up(until=ends)
        spread = False
        while True:
            claiming = self.settling.ledger_is_there and not self.stopping() and self.clock.monotonic() < ends
            if claiming and self._fill() and not spread:
                spread = self.bell.ring()  # more than this process can carry: wake another one
            self.meter.carrying(self.lines.in_flight)
            for channel, outcome in self.canary.outcomes():
                self.settling.hear_canary(channel, outcome)
            idle = self.transport.in_flight == 0 and not self.canary.waiting
            if idle and (not claiming or self._nothing_soon()):
                break
            sent = self.transport.finished(wait=self._wait(claiming=claiming))
            with meanwhile(self._put_down_answers, after=HANGS):
                again = self.settling.settle(sent, alone=self.lines.alone)
            self.lines.landed(sent)
            self.lines.tried({call.message.channel for call in sent}, now=self.clock.monotonic())
            self.lines.wake(again)
            self._renew()
        if self.lines.backlog or not self.settling.ledger_is_there:
            self.bell.ring()
        self._measure_holds(self.lines)
        self.meter.pumped(self.clock.monotonic() - began)
        return self.settling.settled

    def _fill(self) -> bool:
        """Start as many calls as slots, permits and due messages allow; say whether more was due than that."""
        more = False
        for line in self.lines.in_turn():
            room = self.shape.capacity - self.transport.in_flight
            if room > 0 and line.open_at <= self.clock.monotonic():
                self._measure_holds([line])
                try:
                    more |= self._fill_from(line, room)
                except LedgerUnavailable as away:
                    log.warning("claim_failed", channel=line.channel.value, reason=str(away))
                    self.meter.ledger_failed(LedgerCall.CLAIM)
                    line.hold(self.clock, PATIENCE, why=Hold.LEDGER)
                    # The answers that landed while the claim waited must not wait in memory for another failure.
                    self.settling.ledger_is_there = False
                    break
                except Exception:  # what is in flight must still land: an error here may only cost this line's turn
                    log.exception("line_failed", channel=line.channel.value)
                    line.hold(self.clock, PATIENCE, why=Hold.FAULT)
        return more

    def _fill_from(self, line: Line, room: int) -> bool:
        permits = self._permits(line, room)
        if permits.count == 0:
            line.hold(self.clock, permits.wait, why=_NO_PERMIT.get(permits.reason or "", Hold.RATE))
            return False
        used = 0
        try:
            token = self._token(line)
            if token is None or self._probed(line, permits, token):
                return False
            if permits.canary:
                used = permits.count
                self._start_canary(line.channel, token)
                return False
            bulk_room = max(0, self.shape.bulk_slots - self.lines.bulk_in_flight)
            taken = self._claim(line, permits, bulk_room)
            messages = taken.messages
            used = len(messages)
            if messages:
                self.transport.start(messages, token)
                self.lines.started(messages, alone=permits.trial or permits.probe)
        finally:
            if used < permits.count:
                self.limiter.give_back(line.channel, permits.count - used)
        bulk = sum(message.priority is Priority.BULK for message in messages)
        line.backlog = used == permits.count or bulk == bulk_room
        if used < permits.count:
            rests = taken.again_in  # how long a campaign waits for its own rate; others may come in the meantime
            # To ask a distant Redis for a line that has nothing keeps the other lines waiting.
            idle = max(IDLE, timedelta(seconds=_DISTANT * line.permits_took))
            wait = idle if rests is None else min(max(idle, rests), max(idle, GLANCE))
            why = None if rests is None else Hold.CAMPAIGN
            line.hold(self.clock, wait, why=why, dry=not line.backlog and (rests is None or rests > PATIENCE))
        return line.backlog and self.transport.in_flight >= self.shape.capacity // 2

    def _permits(self, line: Line, room: int) -> Permits:
        began = self.clock.monotonic()
        permits = self.limiter.reserve(line.channel, room)
        line.permits_took = self.clock.monotonic() - began
        self.meter.permitted(line.permits_took)
        return permits

    def _token(self, line: Line) -> Token | None:
        try:
            return self._ask_for_token(line)
        except (ScopeMissing, CredentialsRefused) as fault:
            self.settling.pause(line.channel, str(fault))
            line.hold(self.clock, fault.retry_after, why=Hold.TOKEN)
        except TokenUnavailable as trouble:
            log.warning("no_token", channel=line.channel.value, reason=trouble.reason)
            line.hold(self.clock, trouble.retry_after, why=Hold.TOKEN)
        return None

    def _ask_for_token(self, line: Line) -> Token:
        began = self.clock.monotonic()
        try:
            return self.tokens.token(self.scopes[line.channel])
        finally:
            self.meter.had_token(self.clock.monotonic() - began)

    def _probed(self, line: Line, permits: Permits, token: Token) -> bool:
        """Answer a half-open breaker's question without a gift: its one permit goes to the API's own test call."""
        if not permits.probe or line.channel is not Channel.GIFT:
            return False
        outcome = self.transport.probe(token)
        # The breaker asks whether the API answers. That it refuses the test call is no reason to send nothing.
        healthy = outcome.kind not in _NO_ANSWER
        self.limiter.report(line.channel, ChannelReport(healthy=int(healthy), sick=int(not healthy)))
        line.hold(self.clock, IDLE)
        return True

    def _start_canary(self, channel: Channel, token: Token) -> None:
        scope = self.scopes[channel]
        self.canary.start(channel, lambda: call_canary(self.transport, self.tokens, token, scope=scope))

    def _claim(self, line: Line, permits: Permits, bulk_room: int) -> Taken:
        count = permits.count
        line.bulk_credit += count * self.shape.bulk_share
        owed = int(line.bulk_credit)
        line.bulk_credit -= owed
        request = ClaimRequest(
            channel=line.channel,
            count=count,
            bulk=min(owed, bulk_room),
            bulk_limit=bulk_room,
            worker=self.worker,
            now=self.clock.now(),
            lease=self.shape.lease,
            troubled_last=permits.trial or permits.probe,
        )
        began = self.clock.monotonic()
        with meanwhile(self._put_down_answers, after=HANGS):
            taken = self.ledger.claim(request)
        self.meter.claimed(line.channel, len(taken.messages), self.clock.monotonic() - began)
        return taken

    def _put_down_answers(self) -> None:
        """Spool what has landed while the ledger keeps a claim or a settlement waiting."""
        sent = self.transport.finished(wait=timedelta(0))
        if sent:
            self.settling.ledger_is_there = False
            self.settling.settle(sent, alone=self.lines.alone)
            self.lines.landed(sent)
            self.lines.tried({call.message.channel for call in sent}, now=self.clock.monotonic())

    def _measure_holds(self, lines: Iterable[Line]) -> None:
        """Tell for how long lines were really left alone, now that they no longer are."""
        for line in lines:
            if line.why is not None:
                until = min(self.clock.monotonic(), line.open_at)
                self.meter.held(line.channel, line.why, max(0.0, until - line.held_at))
                line.why = None

    def _wait(self, *, claiming: bool) -> timedelta:
        most = GLANCE if self.canary.waiting else PATIENCE
        if not claiming or self.transport.in_flight >= self.shape.capacity:
            return most  # there is no room for more before a call is over
        soonest = min(line.open_at for line in self.lines) - self.clock.monotonic()
        return timedelta(seconds=min(max(soonest, 0.0), most.total_seconds()))

    def _nothing_soon(self) -> bool:
        """Whether every line is dry or held for longer than it pays to wait."""
        horizon = self.clock.monotonic() + PATIENCE.total_seconds()
        return all(line.dry or line.open_at >= horizon for line in self.lines)

    def _renew(self) -> None:
        """Prolong the leases of calls that take long, well before they run out."""
        now = self.clock.now()
        ageing = self.lines.leases_ending_before(now + self.shape.lease / 2)
        if ageing:
            try:
                self.ledger.renew(ageing, now=now, until=now + self.shape.lease)
                self.lines.renewed(ageing, until=now + self.shape.lease)
                self.meter.renewed(len(ageing))
            except LedgerUnavailable as away:
                log.warning("renew_failed", messages=len(ageing), reason=str(away))
                self.meter.ledger_failed(LedgerCall.RENEW)
