"""One look at the whole while the burst goes on: every number from the ledger, the limits, the token or the journal."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from dispatcher.admin import Status, read_status
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.ledger import Filter
from dispatcher.sandbox import SandboxControl
from dispatcher.wiring import Services

_RATE_OVER_S = 3.0
_MOST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How many messages of a channel stand where."""

    queued: int
    """Waiting for their first call."""
    in_flight: int
    accepted: int
    to_retry: int
    """Waiting for another call."""
    in_doubt: int
    dead: int

    @property
    def settled(self) -> int:
        """Those that nothing more happens to by itself."""
        return self.accepted + self.in_doubt + self.dead

    @property
    def total(self) -> int:
        """All of them."""
        return self.settled + self.queued + self.in_flight + self.to_retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What is seen at one moment."""

    elapsed: float
    """Seconds since the burst began."""
    standings: dict[Channel, Standing]
    rate: float
    """Messages settled per second, over the last three seconds."""
    ceiling: float
    effective: float
    """The rate that 429s have left of the ceiling."""
    blocked_for: timedelta
    tokens: int
    """How many tokens the API has given out."""
    generation: int | None
    pauses: dict[Channel, str]
    """Why a channel stands still, where one does."""
    throttled: int
    """How many 429s the API has answered."""

    @property
    def settled(self) -> int:
        """Messages that nothing more happens to by itself."""
        return sum(standing.settled for standing in self.standings.values())

    @property
    def total(self) -> int:
        """All messages."""
        return sum(standing.total for standing in self.standings.values())

    @property
    def over(self) -> bool:
        """Whether everything is settled."""
        return self.settled >= self.total


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks, and remembers just enough to tell how fast it goes."""

    services: Services
    sandbox: SandboxControl
    began: float = field(default_factory=time.monotonic)
    _seen: deque[tuple[float, int]] = field(default_factory=deque, init=False)

    def look(self) -> Glance:
        """Look once."""
        services = self.services
        status = read_status(
            services.books,
            services.campaign_books,
            services.limiter,
            services.tokens,
            clock=services.clock,
            duties=services.duties.read,
        )
        waiting = services.books.messages(Filter(states=(State.QUEUED,)), limit=_MOST)
        retries = [message.channel for message in waiting if message.last_outcome is not None]
        standings = {channel: _standing(status, channel, retries.count(channel)) for channel in Channel}
        journal = self.sandbox.summary()
        limits = status.limits.get(Channel.SMS)
        elapsed = time.monotonic() - self.began
        return Glance(
            elapsed=elapsed,
            standings=standings,
            rate=self._rate(elapsed, sum(standing.settled for standing in standings.values())),
            ceiling=limits.configured_rate if limits else 0,
            effective=limits.effective_rate if limits else 0,
            blocked_for=limits.blocked_for if limits else timedelta(0),
            tokens=journal["carried_out"].get("token", 0),
            generation=status.token.generation if status.token else None,
            pauses={channel: pause.reason for channel, pause in status.pauses.items()},
            throttled=journal["by_status"].get("429", 0),
        )

    def _rate(self, elapsed: float, settled: int) -> float:
        self._seen.append((elapsed, settled))
        while elapsed - self._seen[0][0] > _RATE_OVER_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return (settled - before) / (elapsed - since) if elapsed > since else 0.0


def _standing(status: Status, channel: Channel, to_retry: int) -> Standing:
    def count(*states: State) -> int:
        return sum(each.counts.get(s, 0) for each in status.channels if each.channel is channel for s in states)

    return Standing(
        queued=max(0, count(State.QUEUED) - to_retry),
        in_flight=count(State.SENDING),
        accepted=count(State.ACCEPTED, State.DELIVERED, State.UNDELIVERED),
        to_retry=to_retry,
        in_doubt=count(State.IN_DOUBT),
        dead=count(State.DEAD, State.EXPIRED),
    )
