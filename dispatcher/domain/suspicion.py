"""Whom a configuration answer belongs to: the token, the channel or the message. Neighbours decide.

A configuration answer (a second 401 in a row, 402, 403, 404, 405, 407, 421, a redirect, a refused certificate) looks
the same whether no message gets through or only this one, for example because a firewall refuses its text. So a channel
is paused only if different messages drew one and none was accepted in between, or if the test call fails alike.
Messages in flight together are one witness: a campaign may have a hundred of one text. After the first answer a channel
is suspect and sends one message at a time, those that drew no such answer first, until one is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

WITNESSES = 3
"""Different messages that must draw a configuration answer, none accepted in between, before a channel is paused."""
ANSWERS = 3
"""Configuration answers of its own after which a message is dead."""
LATELY = timedelta(seconds=60)
"""An answer to several messages in flight at once counts against each if the channel accepted another one so lately."""
RENEW_AGAIN = timedelta(minutes=5)
"""A 403 renews the token at most once in this time. API Gateway caches an authorizer's verdict for 300 s by default."""


class Blame(StrEnum):
    """To what a configuration answer is attributed."""

    TOKEN = "token"  # noqa: S105 - a cause, not a secret
    """The token may be at fault: it is renewed and the message tried again at once."""
    OLD_TOKEN = "old_token"  # noqa: S105
    """As ``TOKEN``, but the answer to another message has renewed the token already: it does not count."""
    UNCLEAR = "unclear"
    """Other messages in flight at the same time drew it too: it does not count, and one of them is tried next."""
    MESSAGE = "message"
    """The message goes behind the others; after ``ANSWERS`` such answers it is dead."""
    CAMPAIGN = "campaign"
    """Only messages of one campaign drew it: the campaign is paused, and its channel stays open."""
    CHANNEL = "channel"
    """No message would get through: the channel is paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """What the fleet knows about a channel at the moment of an answer."""

    witnesses: int = 0
    """Different messages that drew a configuration answer since the channel last accepted one: the first of those in
    flight together, and every one that was sent alone after it."""
    canary_failed: bool = False
    """The API's test call failed the same way."""
    campaign: UUID | None = None
    """Whose messages all witnesses are, if they are of one campaign."""

    @property
    def holds(self) -> bool:
        """Whether the channel, or the campaign, is at fault and not the single message.

        >>> Suspicion(witnesses=2).holds, Suspicion(witnesses=3).holds, Suspicion(witnesses=1, canary_failed=True).holds
        (False, True, True)
        """
        return self.canary_failed or self.witnesses >= WITNESSES


def blame(first_guess: Blame, suspicion: Suspicion) -> Blame:
    """Attribute a configuration answer.

    :param first_guess: what the limiter makes of the answer by itself.
    :param suspicion: of the channel, the present answer included.

    >>> blame(Blame.TOKEN, Suspicion(witnesses=3)), blame(Blame.MESSAGE, Suspicion(witnesses=1))
    (<Blame.TOKEN: 'token'>, <Blame.MESSAGE: 'message'>)
    """
    if first_guess in (Blame.TOKEN, Blame.OLD_TOKEN) or not suspicion.holds:
        return first_guess
    if suspicion.campaign is not None and not suspicion.canary_failed:
        return Blame.CAMPAIGN
    return Blame.CHANNEL
