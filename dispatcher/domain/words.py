"""Moments and durations in words, alike on every screen and page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def in_words(span: timedelta) -> str:
    """Say how long something takes, in two units at the most.

    >>> [in_words(timedelta(seconds=s)) for s in (0.042, 3.14, 75, 4000, 200_000, 9_000_000)]
    ['42 ms', '3.1 s', '1 min 15 s', '1 h 6 min', '2 d 7 h', '104 d']
    """
    seconds = max(0.0, span.total_seconds())
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            count, rest = whole // size, whole % size // part
            return f"{count} {unit} {rest} {smaller}" if rest and count < 100 else f"{count} {unit}"
    return f"{whole} s"


def roughly(span: timedelta) -> str:
    """Say how long something takes, in one unit, a second at the least.

    >>> roughly(timedelta(hours=3, minutes=20)), roughly(timedelta(milliseconds=20))
    ('3 h', '1 s')
    """
    return " ".join(in_words(timedelta(seconds=max(1, round(span.total_seconds())))).split()[:2]).replace(".0", "")


def at(moment: datetime) -> str:
    """Write a moment to the second.

    >>> at(datetime(2026, 11, 24, 9, 5, tzinfo=UTC))
    '2026-11-24 09:05:00 UTC'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def counted(count: int, noun: str) -> str:
    """Say how many of something there are.

    >>> counted(1, "recipient"), counted(12000, "recipient")
    ('1 recipient', '12,000 recipients')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
