"""Moments and durations as operators write and read them. Everything is in UTC, and says so where it matters."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dispatcher.domain.errors import InvalidMessage

_RELATIVE = re.compile(r"\+(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?", re.ASCII)
_FARTHEST = timedelta(days=3660)


def parse_moment(text: str | None, *, field: str, now: datetime) -> datetime | None:
    """Read a moment: ISO 8601 with its zone, or from now on as in ``+10m``, ``+1h30m``, ``+2d``.

    :raises InvalidMessage: with the field's name and what would be right.

    >>> parse_moment("+1h30m", field="due_at", now=datetime(2026, 11, 24, 9, tzinfo=UTC)).isoformat()
    '2026-11-24T10:30:00+00:00'
    """
    if text is None:
        return None
    ahead = _RELATIVE.fullmatch(text.strip())
    if ahead is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in ahead.groups())
        moment = now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    else:
        moment = _absolute(text.strip(), field)
    if abs(moment - now) > _FARTHEST:
        raise InvalidMessage(field, f"{moment:%Y-%m-%d} is more than ten years from now; check the year")
    return moment


def _absolute(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidMessage(
            field, f"{text!r} is not a moment; write it as 2026-11-24T09:00:00+10:00 or, from now on, as +10m"
        ) from None
    if moment.utcoffset() is None:
        raise InvalidMessage(field, f"{text!r} has no time zone; add Z or an offset such as +10:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidMessage(field, f"{text!r} is out of range; check the year") from None


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
