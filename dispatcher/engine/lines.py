"""What one pump knows of each channel's line for the length of a slice: when to look again, what is in flight."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.domain.attempt import Claimed, Sent
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel, Priority
from dispatcher.meter import Hold
from dispatcher.ports import Clock


@dataclass(slots=True, kw_only=True)
class Line:
    """One channel's line."""

    channel: Channel
    open_at: float = 0.0
    """On the monotonic clock: not to be looked at before."""
    dry: bool = False
    """Nothing was due when it was looked at last."""
    backlog: bool = False
    """More was due than could be taken."""
    bulk_credit: float = 0.0
    """What bulk is owed of its reserved share, carried from claim to claim so that small claims do not lose it."""
    why: Hold | None = None
    """Why it is left alone; None while it is not, or if only nothing was due."""
    held_at: float = 0.0
    permits_took: float = 0.0
    """Seconds that the limiter took to answer last."""

    def hold(self, clock: Clock, wait: timedelta, *, why: Hold | None = None, dry: bool = False) -> None:
        """Leave the line alone for a while."""
        self.held_at = clock.monotonic()
        self.open_at = self.held_at + wait.total_seconds()
        self.dry = dry
        self.why = why


class Lines:
    """The lines of all channels, and the calls that are in flight on them."""

    def __init__(self) -> None:
        self._lines = [Line(channel=channel) for channel in Channel]
        self._in_flight: dict[MessageId, Claimed] = {}
        self._ends: dict[MessageId, datetime] = {}
        self.alone: set[MessageId] = set()
        """Messages in flight that were sent one at a time: their channel was suspect, or its breaker half open."""
        self.bulk_in_flight = 0
        self.in_flight = dict.fromkeys(Channel, 0)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def in_turn(self) -> list[Line]:
        """Return the lines, each time another one first, so that none lives off the leavings of the other."""
        self._lines.append(self._lines.pop(0))
        return list(self._lines)

    @property
    def backlog(self) -> bool:
        """Whether any line had more than could be taken."""
        return any(line.backlog for line in self._lines)

    def started(self, messages: Sequence[Claimed], *, alone: bool = False) -> None:
        """Remember calls that have been started."""
        if alone:
            self.alone.update(message.id for message in messages)
        for message in messages:
            self._in_flight[message.id] = message
            self._ends[message.id] = message.lease_expires_at
            self.in_flight[message.channel] += 1
            self.bulk_in_flight += message.priority is Priority.BULK

    def landed(self, calls: Sequence[Sent]) -> None:
        """Forget calls that are over."""
        for call in calls:
            self.alone.discard(call.message.id)
            message = self._in_flight.pop(call.message.id, None)
            if message is None:
                continue  # started by an earlier pump of this process, which broke off
            del self._ends[message.id]
            self.in_flight[message.channel] -= 1
            self.bulk_in_flight -= message.priority is Priority.BULK

    def wake(self, channels: Collection[Channel]) -> None:
        """Look again at lines that had run dry."""
        for line in self._lines:
            if line.channel in channels and line.dry:
                line.open_at, line.dry = 0.0, False

    def tried(self, channels: Collection[Channel], *, now: float) -> None:
        """Look again at suspect channels whose one message was answered."""
        for line in self._lines:
            if line.channel in channels and line.why is Hold.SUSPECT:
                line.open_at = min(line.open_at, now)

    def leases_ending_before(self, moment: datetime) -> list[Claimed]:
        """Return the calls in flight whose lease ends before a moment."""
        return [self._in_flight[message] for message, ends in self._ends.items() if ends < moment]

    def renewed(self, messages: Sequence[Claimed], *, until: datetime) -> None:
        """Remember until when leases last now."""
        self._ends.update((message.id, until) for message in messages)
