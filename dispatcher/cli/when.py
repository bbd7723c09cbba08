"""Moments and durations as operators write and read them. Everything is in UTC, and says so where it matters."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import FARTHEST
from dispatcher.domain.words import at, in_words, roughly

__all__ = ["at", "in_words", "parse_moment", "roughly"]

_RELATIVE = re.compile(r"\+(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?", re.ASCII)


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
    if abs(moment - now) > FARTHEST:
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
