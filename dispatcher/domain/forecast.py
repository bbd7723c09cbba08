"""When a burst will be over, at a rate and within its send window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from dispatcher.domain.window import SendWindow

FARTHEST = timedelta(days=365)
"""What takes longer than this is told as "more than a year"."""


def finish_at(
    waiting: Mapping[str, float], *, per_second: float, window: SendWindow | None, start: datetime
) -> datetime | None:
    """Return when the last message is sent; None if that is more than a year away.

    :param waiting: how many messages wait, by the time zones of their numbers (names with blanks between).
    :param per_second: what may be sent in all; lanes that are open share it.
    :param start: aware UTC.

    >>> from datetime import UTC
    >>> from dispatcher.domain.window import parse_window
    >>> eight = datetime(2026, 11, 24, 8, tzinfo=UTC)
    >>> str(finish_at({"": 7200}, per_second=1, window=parse_window("09:00-10:00 UTC"), start=eight))
    '2026-11-25 10:00:00+00:00'
    """
    left = {zones: float(count) for zones, count in waiting.items() if count > 0}
    now = start
    if window is None:
        seconds = sum(left.values()) / per_second
        return now + timedelta(seconds=seconds) if seconds <= FARTHEST.total_seconds() else None
    while left:
        if now - start > FARTHEST:
            return None
        intervals = {zones: window.interval(now, tuple(zones.split())) for zones in left}
        known = {zones: interval for zones, interval in intervals.items() if interval is not None}
        if len(known) < len(left):
            return None
        open_now = [zones for zones, (opens, _) in known.items() if opens <= now]
        if not open_now:
            now = min(opens for opens, _ in known.values())
            continue
        change = min(closes if opens <= now else opens for opens, closes in known.values())
        together = sum(left[zones] for zones in open_now)
        sent = min(together, per_second * (change - now).total_seconds())
        for zones in open_now:
            left[zones] -= left[zones] * sent / together
            if sent == together:
                del left[zones]
        now = now + timedelta(seconds=sent / per_second) if sent == together else change
    return now
