"""Fakes for what is remote, shipped for your tests and used by ours: assert what happened, mock nothing.

``ScriptedTransport`` stands for the API, ``FakeClock`` for time, ``OpenLimiter`` and ``FixedToken`` for Redis. The
ledger needs no fake: SQLite is real and starts in a millisecond.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from dispatcher.domain.attempt import Claimed, Sent
from dispatcher.domain.errors import ScopeMissing
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.limits import LocalSuspicion
from dispatcher.ports import ChannelReport, LimitState, Permits, Standing, Token, TokenState

ACCEPTED = Outcome(kind=OutcomeKind.ACCEPTED, http_status=200, provider_id="provider-1")


START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
MINTED = int(START.timestamp() * 1000)
"""The generation of the first token: minted at the clock's first moment."""


class FakeClock:
    """Time that passes only when told to; sleeping tells it."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the present moment."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds from some fixed point."""
        return self._monotonic

    def sleep(self, wait: timedelta) -> None:
        """Let time pass."""
        self.advance(wait)

    def set(self, moment: datetime) -> None:
        """Let time pass until a moment, or turn the clock back to one."""
        self.advance(moment - self._now)

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by
        self._monotonic += by.total_seconds()


class SilentBell:
    """Counts the rings and wakes nobody."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> bool:
        """Count one ring."""
        self.rings += 1
        return True


@dataclass
class OpenLimiter:
    """Grants whatever is asked, unless told to hold a channel; remembers what was reported."""

    held: dict[Channel, Permits] = field(default_factory=dict)
    granted: Counter[Channel] = field(default_factory=Counter)
    returned: Counter[Channel] = field(default_factory=Counter)
    reports: list[tuple[Channel, ChannelReport]] = field(default_factory=list)
    suspicions: dict[Channel, LocalSuspicion] = field(default_factory=dict)
    _canary_made: set[Channel] = field(default_factory=set)

    def reserve(self, channel: Channel, want: int) -> Permits:
        """Grant ``want`` permits, or what the channel is held at."""
        permits = self.held.get(channel) or self._by_suspicion(channel, want)
        permits = permits if permits.count <= want else replace(permits, count=want)
        self.granted[channel] += permits.count
        return permits

    def give_back(self, channel: Channel, count: int) -> None:
        """Count what came back."""
        self.returned[channel] += count
        self._suspicion(channel).free()

    def report(self, channel: Channel, report: ChannelReport) -> Standing:
        """Remember a report and return where the channel stands, by the rule of the real limiter."""
        self.reports.append((channel, report))
        standing = self._suspicion(channel).report(report, now=0.0)
        if standing.cleared:
            self._canary_made.discard(channel)
        return standing

    def _suspicion(self, channel: Channel) -> LocalSuspicion:
        return self.suspicions.setdefault(channel, LocalSuspicion())

    def _by_suspicion(self, channel: Channel, want: int) -> Permits:
        """Grant a suspect channel the API's test call once, then one message at a time."""
        suspicion = self._suspicion(channel)
        if not suspicion.one_at_a_time:
            return Permits(count=want)
        if suspicion.suspicion.witnesses and channel not in self._canary_made:
            self._canary_made.add(channel)
            return Permits(count=1, canary=True)
        if not suspicion.may_try(now=0.0):
            return Permits(count=0, wait=timedelta(milliseconds=250), reason="suspect")
        return Permits(count=1, trial=True)

    def state(self, channel: Channel) -> LimitState:
        """Describe a channel without limits."""
        return LimitState(
            configured_rate=1e6,
            effective_rate=1e6,
            blocked_for=timedelta(0),
            breaker="closed",
            breaker_wait=timedelta(0),
            suspicion=self._suspicion(channel).suspicion,
        )

    def clear(self, channel: Channel) -> None:
        """Let a held channel go and drop a suspicion."""
        self.held.pop(channel, None)
        self._suspicion(channel).clear()
        self._canary_made.discard(channel)


@dataclass(slots=True)
class FixedToken:
    """A token that is always good; retiring it makes the next generation. ``trouble`` is raised instead if set."""

    generation: int = MINTED
    scopes: frozenset[str] = frozenset({"write", "gifting:send"})
    trouble: Exception | None = None

    def token(self, scope: str) -> Token:
        """Return the present token."""
        if self.trouble is not None:
            raise self.trouble
        if scope not in self.scopes:
            raise ScopeMissing(scope, self.scopes, retry_after=timedelta(seconds=60))
        return Token(value=f"token-{self.generation}", generation=self.generation, scopes=self.scopes)

    def retire(self, generation: int) -> None:
        """Go on to the next generation, if this is the present one."""
        if generation == self.generation:
            self.generation += 1

    def state(self) -> TokenState:
        """Describe the token."""
        return TokenState(
            generation=self.generation,
            age=timedelta(0),
            expires_in=timedelta(hours=1),
            refresh_in=timedelta(minutes=50),
            scopes=self.scopes,
            cooling_for=timedelta(0),
            problem=None,
        )


class ScriptedTransport:
    """An API that answers as scripted: outcomes in order, then ``otherwise``. Remembers every message that it got."""

    def __init__(self, clock: FakeClock, script: Iterable[Outcome] = (), *, otherwise: Outcome = ACCEPTED) -> None:
        self._clock = clock
        self.script: deque[Outcome] = deque(script)
        self.otherwise = otherwise
        self.answer: Callable[[Claimed], Outcome] | None = None
        """Decides by the message, if set, instead of the script."""
        self.carried: list[Claimed] = []
        self.probes: list[Outcome] = []
        self.on_start: Callable[[Sequence[Claimed]], None] = lambda _messages: None
        self._pending: deque[tuple[Claimed, Token]] = deque()

    @property
    def in_flight(self) -> int:
        """How many calls have not been handed back yet."""
        return len(self._pending)

    def sends_of(self, message: MessageId) -> int:
        """Say how often a message was carried to the API."""
        return sum(each.id == message for each in self.carried)

    def start(self, messages: Sequence[Claimed], token: Token) -> None:
        """Take messages."""
        self.on_start(messages)
        self.carried += messages
        self._pending += [(message, token) for message in messages]

    def finished(self, *, wait: timedelta) -> list[Sent]:
        """Answer everything in flight; with nothing in flight, let the wait pass."""
        if not self._pending:
            self._clock.advance(max(wait, timedelta.resolution))  # some time passes always, or nothing ever comes due
        done = []
        while self._pending:
            message, token = self._pending.popleft()
            done.append(
                Sent(
                    message=message,
                    outcome=self._outcome(message),
                    started_at=self._clock.now(),
                    latency=timedelta(milliseconds=50),
                    token_generation=token.generation,
                )
            )
        return done

    def probe(self, token: Token) -> Outcome:
        """Answer the API's own test call as scripted."""
        outcome = self.script.popleft() if self.script else self.otherwise
        self.probes.append(outcome)
        return outcome

    def close(self) -> None:
        """Nothing to give up."""

    def _outcome(self, message: Claimed) -> Outcome:
        if self.answer is not None:
            return self.answer(message)
        return self.script.popleft() if self.script else self.otherwise
