"""Retry-After (RFC 9110, section 10.2.3): how long the API asks to be left alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(minutes=15)
"""A longer wait is more likely a slip of the server's than its wish; after this, asking again does no harm."""

_SECONDS = re.compile(r"(\d+)(?:\.\d*)?", re.ASCII)


def parse_retry_after(
    value: str | None,
    *,
    date: str | None,
    now: datetime,
    shortest: timedelta = SHORTEST,
    longest: timedelta = LONGEST,
) -> timedelta | None:
    """Return the wait that a Retry-After asks for, clamped to 1 s … 15 min; None if there is none to be read.

    :param value: the header: seconds, or a moment as an HTTP-date.
    :param date: the answer's own Date header: a moment counts from it, so that the two hosts' clocks need not agree.
    :param now: aware; what a moment counts from when there is no Date.
    :param shortest: the least that is returned.
    :param longest: the most that is returned.

    >>> parse_retry_after("120", date=None, now=datetime.now(UTC))
    datetime.timedelta(seconds=120)
    >>> moment, date = "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:49 GMT"
    >>> parse_retry_after(moment, date=date, now=datetime.now(UTC))
    datetime.timedelta(seconds=10)
    """
    if value is None:
        return None
    text = value.strip()
    if seconds := _SECONDS.fullmatch(text):
        # Nine digits are thirty years: more need not be computed, and could not be.
        wait = timedelta(seconds=float(text)) if len(seconds[1]) <= 9 else longest
        return min(max(wait, shortest), longest)
    moment = _moment(text)
    if moment is None:
        return None
    wait = moment - ((_moment(date) if date else None) or now)
    return min(max(wait, shortest), longest)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
