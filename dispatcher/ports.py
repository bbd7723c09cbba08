"""The few seams of the engine: what it needs from the outside, each with real implementations below it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from dispatcher.domain.attempt import Claimed, Sent, Settlement
from dispatcher.domain.duty import Duty, FailingDuty
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome
from dispatcher.domain.suspicion import Blame, Suspicion


class Clock(Protocol):
    """Time as the ledger counts it, and a clock that never jumps for waits."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from some fixed point; only differences mean anything."""
        ...

    def sleep(self, wait: timedelta) -> None:
        """Let time pass."""
        ...


class Bell(Protocol):
    """Tells the workers that something is due. Best effort: a lost or doubled ring changes nothing but a delay."""

    def ring(self) -> bool:
        """Ring, within a second at the most, and say whether it could be heard (never raises)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """How many messages may leave now, or how long to wait and why."""

    count: int
    wait: timedelta = timedelta(0)
    """When ``count`` is zero: after which time asking again makes sense."""
    reason: str | None = None
    """When ``count`` is zero: ``rate``, ``throttled`` (429), ``breaker`` or ``suspect``."""
    probe: bool = False
    """The breaker is half open: this single permit is to find out whether the API is back."""
    trial: bool = False
    """The channel is suspect: this single permit is for a message that shows whether others get through."""
    canary: bool = False
    """The channel is suspect: this permit is for the API's test call, which has not been made yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A message that drew a configuration answer."""

    message: MessageId
    answer: str
    """In words, such as ``403 insufficient_scope``."""
    generation: int | None = None
    """The token's, if a newer token may help and the message was not refused with another one before."""
    alone: bool = False
    """It was sent while the channel was suspect, with no other message in flight."""
    campaign: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the fleet knows about a channel after a report."""

    suspicion: Suspicion = Suspicion()
    guesses: Mapping[MessageId, Blame] = field(default_factory=dict)
    """What each witness's answer is attributed to as long as the suspicion does not hold."""
    cleared: bool = False
    """This report ended a suspicion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelReport:
    """What a batch of outcomes says about a channel."""

    healthy: int = 0
    """Answers that show the API working."""
    sick: int = 0
    """Outcomes that feed the breaker."""
    throttled: timedelta | None = None
    """The longest Retry-After among the 429s of the batch, if there were any."""
    accepted: int = 0
    """Messages that the API accepted: they clear the channel of suspicion."""
    witnesses: tuple[Witness, ...] = ()
    """Configuration answers after the last accepted message of the batch."""
    canary: str | None = None
    """What the API's test call came to, in the words of ``Witness.answer``; empty if it worked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitState:
    """A channel's limits as an operator reads them."""

    configured_rate: float
    """Messages per second, the ceiling."""
    effective_rate: float
    """What the ceiling is lowered to after 429s."""
    blocked_for: timedelta
    """How long a Retry-After still holds the channel; zero if none does."""
    breaker: str
    """``closed``, ``open`` or ``half_open``."""
    breaker_wait: timedelta
    """How long until the open breaker lets a probe through."""
    suspicion: Suspicion = Suspicion()
    suspect_since: datetime | None = None
    """When the first of the messages that cast suspicion drew its answer; None if the channel is not suspect."""
    suspect_answer: str | None = None
    """What they were answered, in words."""


class Limiter(Protocol):
    """Fleet-wide permits: rate, 429 pauses and the breaker, all on Redis' clock."""

    def reserve(self, channel: Channel, want: int) -> Permits:
        """Take up to ``want`` permits that may be used at once. Never raises: without Redis it grants a safe share."""
        ...

    def give_back(self, channel: Channel, count: int) -> None:
        """Return permits for which there was nothing to send."""
        ...

    def report(self, channel: Channel, report: ChannelReport) -> Standing:
        """Report what a batch of answers says: feeds the breaker, adapts the rate, casts or clears suspicion."""
        ...

    def state(self, channel: Channel) -> LimitState:
        """Read the channel's limits.

        :raises BrokerUnavailable: Redis cannot be reached.
        """
        ...

    def clear(self, channel: Channel) -> None:
        """Lift a 429 pause, close the breaker, drop a suspicion and restore the configured rate.

        :raises BrokerUnavailable: Redis cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token in use."""

    value: str = field(repr=False)
    generation: int
    """When it was minted, in Unix milliseconds by Redis' clock; always more than the generation before."""
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenState:
    """The shared token as an operator reads it; never its value."""

    generation: int | None
    age: timedelta | None
    expires_in: timedelta | None
    refresh_in: timedelta | None
    """When the next mint ahead of expiry is due."""
    scopes: frozenset[str]
    cooling_for: timedelta
    """How long nobody asks for a token after failed mints; zero if not cooling."""
    problem: str | None
    """Why minting failed last, in words."""
    oddities: tuple[str, ...] = ()
    """What was against RFC 6749 in the answer that brought the token, though clear all the same."""


class TokenSource(Protocol):
    """The access token, shared by the fleet."""

    def token(self, scope: str) -> Token:
        """Return a token that was granted ``scope`` and is still good; no Redis call while the present one is.

        :raises TokenUnavailable: none can be had now; its ``retry_after`` says when to ask again.
        """
        ...

    def retire(self, generation: int) -> None:
        """Give up the token that the API refused, and never a newer one."""
        ...

    def state(self) -> TokenState:
        """Read the shared token's state.

        :raises BrokerUnavailable: Redis cannot be reached.
        """
        ...


class Transport(Protocol):
    """Carries claimed messages to the API, many at a time, and hands the outcomes back as they complete."""

    @property
    def in_flight(self) -> int:
        """How many calls have been started and not yet handed back by ``finished``."""
        ...

    def start(self, messages: Sequence[Claimed], token: Token) -> None:
        """Start one call for each message; returns at once."""
        ...

    def finished(self, *, wait: timedelta) -> list[Sent]:
        """Return the calls that have completed; waits for the first one at the most ``wait``."""
        ...

    def probe(self, token: Token) -> Outcome:
        """Ask the API whether it works and takes the token, without sending anything."""
        ...

    def close(self) -> None:
        """Give up threads and connections; calls still in flight are abandoned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """What a pump asks of the ledger."""

    channel: Channel
    count: int
    """At the most this many."""
    bulk: int
    """How many of them bulk gets before transactional: its reserved share."""
    bulk_limit: int
    """The most that bulk may take in all."""
    worker: str
    now: datetime
    lease: timedelta
    troubled_last: bool = False
    """Messages whose last answer was 401, 403 and the like only if no other is due: the channel is suspect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a claim came to."""

    messages: list[Claimed]
    again_in: timedelta | None = None
    """More is due and held back only by its campaign's own rate: when to look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What waits on one channel, as far as the clock needs to know."""

    channel: Channel
    waiting: bool
    """Something is due now and the channel is not paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What time did to campaigns."""

    started: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    called_off: int = 0
    """Messages of cancelled campaigns that were taken out of the queue."""


class DutyReports(Protocol):
    """Where a clock reports failing duties, so that every host's `status` and `check` show them. Never raises."""

    def failing(self, found: FailingDuty) -> None:
        """Report a duty that failed again."""
        ...

    def recovered(self, duty: Duty) -> None:
        """Report a duty that succeeded."""
        ...


class OpenTransaction(Protocol):
    """A transaction that keeps the database from removing dead rows."""

    @property
    def pid(self) -> int | None: ...
    @property
    def application(self) -> str: ...
    @property
    def role(self) -> str | None: ...
    @property
    def open_for(self) -> timedelta | None: ...
    @property
    def is_long(self) -> bool: ...


class Ledger(Protocol):
    """The SQL ledger as the engine sees it. Every method is one short transaction.

    All raise LedgerUnavailable when the database cannot be reached or stays locked.
    """

    def claim(self, request: ClaimRequest) -> Taken:
        """Take messages that are due: leased to the worker, committed before this returns."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        """Record attempts and what follows, by compare-and-set on the lease.

        :raises SettlementRefused: the values of one of them are refused, and will be every time; nothing was written.
        :return: the messages whose state was set; for the others a newer holder exists and only the attempt is kept.
        """
        ...

    def identity(self) -> UUID:
        """Return the ledger's own id, which never changes."""
        ...

    def unknown(self, messages: Collection[MessageId]) -> frozenset[MessageId]:
        """Return those of the messages that the ledger does not have."""
        ...

    def renew(self, messages: Iterable[Claimed], *, now: datetime, until: datetime) -> None:
        """Prolong the leases of messages that are still in flight."""
        ...

    def lost_leases(self, *, now: datetime, limit: int) -> list[Claimed]:
        """Return messages whose lease ran out, for the sweep to settle as in doubt."""
        ...

    def expire(self, *, now: datetime, limit: int) -> int:
        """Give up messages whose time is over; returns how many."""
        ...

    def advance(self, *, now: datetime) -> Advance:
        """Start, resume and finish campaigns, open their windows anew, call off what was cancelled."""
        ...

    def operate(self, *, now: datetime, patience: timedelta) -> int:
        """Go on with bulk operations for about so long, and return how many messages were changed."""
        ...

    def recount(self, *, now: datetime, patience: timedelta) -> None:
        """Count campaigns anew whose last count is old, for about so long."""
        ...

    def fold(self, *, now: datetime) -> int:
        """Fold old counts of calls into their sums, and return how many rows went."""
        ...

    def due(self, *, now: datetime) -> list[Due]:
        """Say for each channel whether something waits that could go now."""
        ...

    def oldest_transaction(self) -> OpenTransaction | None:
        """Return anybody's transaction that has been open for longest in the ledger's database, if there is one."""
        ...

    def pause(self, channel: Channel, *, by: str, reason: str, until: datetime | None, now: datetime) -> None:
        """Stop a channel at the next claim, everywhere. An operator's pause is never shortened by another."""
        ...

    def pause_campaign(self, campaign: UUID, *, reason: str, until: datetime, now: datetime) -> bool:
        """Pause a running campaign until a moment; returns whether this call did."""
        ...
