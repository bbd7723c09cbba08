"""What an access token is before it is shared: who asks for it, what a mint came to, how long it is trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from dispatcher.domain.backoff import Backoff

LEEWAY = timedelta(seconds=60)
"""A token is given up this long before its end, so that no request meets the end on its way."""
ASSUMED_LIFETIME = timedelta(minutes=5)
"""For an answer whose ``expires_in`` is missing or senseless (RFC 6749, section 5.1 only recommends it)."""
LONGEST_LIFETIME = timedelta(hours=24)
"""Nobody is believed further than that: a retired key or a revoked grant must show within a day."""

QUICK_TRIES = 3
"""No more than three failing token calls in quick succession, fleet-wide (the API's documentation)."""
_QUICK = Backoff(first=timedelta(seconds=0.5), cap=timedelta(seconds=2))
_TRANSIENT = Backoff(first=timedelta(seconds=30), cap=timedelta(minutes=15))
_STANDING = Backoff(first=timedelta(minutes=5), cap=timedelta(hours=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who asks for a token, where, and for what: RFC 6749's confidential client."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: frozenset[str]

    @property
    def audience(self) -> bytes:
        """Whom a token is for, without the secret: two audiences never share a token.

        >>> Credentials(token_url="https://a/t", client_id="me", client_secret="?", scopes=frozenset("ba")).audience
        b'["https://a/t","me",["a","b"]]'
        """
        return json.dumps([self.token_url, self.client_id, sorted(self.scopes)], separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """The API granted a token."""

    value: str = field(repr=False)
    lifetime: timedelta
    """What the API promised, counted from the start of the call."""
    scopes: frozenset[str]
    taken: timedelta
    """How long the token call took."""
    oddities: tuple[str, ...] = ()
    """What was against RFC 6749 in the answer, though clear all the same."""


class FailureKind(StrEnum):
    """What kind of trouble keeps the API from granting a token: it decides how soon asking again makes sense."""

    TRANSIENT = "transient"
    CREDENTIALS = "credentials"
    SCOPE = "scope"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class MintFailed:
    """The API granted no token. ``reason`` tells an operator why, without any secret."""

    kind: FailureKind
    reason: str
    http_status: int | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What stands in the way of a new token, and for how long nobody tries."""

    kind: FailureKind
    reason: str
    count: int
    """Failures of this kind in a row, fleet-wide."""
    cooling: timedelta
    """How long from now nobody asks for a token."""


def trusted(lifetime: timedelta) -> timedelta:
    """Return how long a token is used, from the start of the call that brought it: a leeway less than its life.

    The leeway of a short-lived token is half of its life, so that it still is of use.

    >>> trusted(timedelta(seconds=3600)), trusted(timedelta(seconds=5))
    (datetime.timedelta(seconds=3540), datetime.timedelta(seconds=2, microseconds=500000))
    """
    return lifetime - min(LEEWAY, lifetime / 2)


def window(life: timedelta, *, roll: float) -> timedelta:
    """Return how long before its end a token is refreshed: the last 10 to 15 % of its life, by a roll in [0, 1).

    >>> window(timedelta(seconds=1000), roll=0.5)
    datetime.timedelta(seconds=125)
    """
    return life * (0.10 + 0.05 * roll)


def trouble_after(failed: MintFailed, before: Trouble | None, *, roll: float) -> Trouble:
    """Count one more failure and say how long everybody leaves the API alone; ``roll`` is random in [0, 1).

    What may pass by itself gets three quick tries, then 30 s, 60 s, 120 s … up to 15 min. What needs a person
    gets no second try for 5 min, doubling up to an hour. A Retry-After only lengthens that.

    >>> down = MintFailed(kind=FailureKind.TRANSIENT, reason="answered 503")
    >>> third = Trouble(kind=FailureKind.TRANSIENT, reason="answered 503", count=3, cooling=timedelta(0))
    >>> trouble_after(down, None, roll=0).cooling, trouble_after(down, third, roll=0).cooling
    (datetime.timedelta(microseconds=500000), datetime.timedelta(seconds=60))
    """
    count = before.count + 1 if before is not None and before.kind is failed.kind else 1
    wait = max(_cool_down(failed.kind, count, roll), failed.retry_after or timedelta(0))
    return Trouble(kind=failed.kind, reason=failed.reason, count=count, cooling=wait)


def _cool_down(kind: FailureKind, count: int, roll: float) -> timedelta:
    match kind:
        case FailureKind.TRANSIENT:
            if count < QUICK_TRIES:
                return _QUICK.ceiling(count) * (1 + roll / 4)
            return _TRANSIENT.ceiling(count - QUICK_TRIES + 1)
        case FailureKind.CREDENTIALS | FailureKind.SCOPE | FailureKind.CONFIGURATION:
            return _STANDING.ceiling(count)
        case _:
            assert_never(kind)
