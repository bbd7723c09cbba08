"""The state of the whole, from the ledger, the limits and the token; parts that cannot be reached say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from dispatcher.domain.duty import FailingDuty
from dispatcher.domain.errors import BrokerUnavailable
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.state import State
from dispatcher.ledger import Books, CampaignBooks, Closed, Pause, Tally, Waiting
from dispatcher.ports import Clock, Limiter, LimitState, TokenSource, TokenState


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """One channel and priority: how much stands where."""

    channel: Channel
    priority: Priority
    counts: dict[State, int]
    oldest_wait: timedelta | None
    """How long the oldest due message has been waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that `dispatcher status` shows."""

    at: datetime
    channels: tuple[ChannelStatus, ...]
    pauses: dict[Channel, Pause]
    limits: dict[Channel, LimitState]
    token: TokenState | None
    money_in_doubt: dict[str, Decimal]
    redis_problem: str | None
    """Why limits and token are missing; None when Redis could be asked."""
    failing: tuple[FailingDuty, ...]
    """Duties of the clock that keep failing."""
    closed: tuple[Closed, ...]
    """Running campaigns whose send window is closed for every queued message."""

    def total(self, state: State) -> int:
        """Messages in a state, over all channels and priorities."""
        return sum(each.counts.get(state, 0) for each in self.channels)


def read_status(
    books: Books,
    campaigns: CampaignBooks,
    limiter: Limiter,
    tokens: TokenSource | None,
    *,
    clock: Clock,
    duties: Callable[[], tuple[FailingDuty, ...]],
) -> Status:
    """Ask every part how it stands.

    :param tokens: None where no API is configured.
    :param duties: returns the duties of the clock that keep failing; raises BrokerUnavailable.
    :raises LedgerUnavailable: without the ledger there is nothing to show.
    """
    now = clock.now()
    tallies, waiting = books.tallies(put_away=False), books.oldest_waiting(now=now)
    limits, token, failing, problem = _from_redis(limiter, tokens, duties)
    return Status(
        at=now,
        channels=tuple(_channels(tallies, waiting, now)),
        pauses={pause.channel: pause for pause in books.pauses(now=now)},
        limits=limits,
        token=token,
        money_in_doubt=books.money_in_doubt(),
        redis_problem=problem,
        failing=failing,
        closed=tuple(campaigns.closed(now=now)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How channels, limits and token stand, without a count of messages."""

    pauses: dict[Channel, Pause]
    limits: dict[Channel, LimitState]
    token: TokenState | None
    waiting: tuple[Waiting, ...]
    money_in_doubt: dict[str, Decimal]
    redis_problem: str | None
    failing: tuple[FailingDuty, ...]


def read_health(
    books: Books,
    limiter: Limiter,
    tokens: TokenSource | None,
    *,
    clock: Clock,
    duties: Callable[[], tuple[FailingDuty, ...]],
) -> Health:
    """Ask every part how it stands, as ``read_status`` does, but count no messages.

    :raises LedgerUnavailable: without the ledger there is nothing to show.
    """
    now = clock.now()
    limits, token, failing, problem = _from_redis(limiter, tokens, duties)
    return Health(
        pauses={pause.channel: pause for pause in books.pauses(now=now)},
        limits=limits,
        token=token,
        waiting=tuple(books.oldest_waiting(now=now)),
        money_in_doubt=books.money_in_doubt(),
        redis_problem=problem,
        failing=failing,
    )


def _from_redis(
    limiter: Limiter, tokens: TokenSource | None, duties: Callable[[], tuple[FailingDuty, ...]]
) -> tuple[dict[Channel, LimitState], TokenState | None, tuple[FailingDuty, ...], str | None]:
    try:
        limits = {channel: limiter.state(channel) for channel in Channel}
        return limits, None if tokens is None else tokens.state(), duties(), None
    except BrokerUnavailable as away:
        return {}, None, (), str(away)


def _channels(tallies: list[Tally], waiting: list[Waiting], now: datetime) -> list[ChannelStatus]:
    found = []
    for channel in Channel:
        for priority in Priority:
            counts = {t.state: t.count for t in tallies if (t.channel, t.priority) == (channel, priority)}
            since = [w.since for w in waiting if (w.channel, w.priority) == (channel, priority)]
            found.append(
                ChannelStatus(
                    channel=channel,
                    priority=priority,
                    counts=counts,
                    oldest_wait=now - since[0] if since else None,
                )
            )
    return found
