"""The stages of one attempt, each a type of its own: claimed, sent, settled. None can be taken for another."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from dispatcher.domain.identity import AttemptId, LeaseToken, MessageId
from dispatcher.domain.message import Channel, GiftContent, Priority
from dispatcher.domain.outcome import Outcome
from dispatcher.domain.policy import Decision
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import State

_LONGEST_LATENCY_MS = 2**31 - 1
"""The most that an SQL integer holds: 24.8 days."""


class Trigger(StrEnum):
    """Who set an attempt off."""

    AUTO = "auto"
    REPLAY = "replay"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this worker holds: the claim has committed, the request may leave."""

    id: MessageId
    channel: Channel
    priority: Priority
    recipient: Recipient
    body: str | None = field(repr=False)
    gift: GiftContent | None
    campaign_id: UUID | None
    lease: LeaseToken
    lease_expires_at: datetime
    """Past this the message may be somebody else's: a request that has not left by then must not leave."""
    attempts_made: int
    max_attempts: int
    calls_made: int
    """Calls so far, those that spent no attempt included."""
    doubtful_sends: int
    """How many of them may have been carried out without an answer telling."""
    refused_generation: int | None
    """The token generation with which the last call was refused (401), if it was."""
    trigger: Trigger
    configuration_answers: int = 0
    """Configuration answers that were attributed to it (``suspicion``) since it was last queued by a person."""
    revision: int = 0
    """How often a person has put its content right."""

    @property
    def api_key(self) -> str:
        """What the API may tell a repeat by: the same on every attempt, another once the content is another."""
        return f"{self.id}.{self.revision}" if self.revision else str(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A claimed message whose call is over."""

    message: Claimed
    outcome: Outcome
    started_at: datetime
    latency: timedelta
    token_generation: int | None

    @property
    def finished_at(self) -> datetime:
        """When the answer was complete or the call was given up."""
        return self.started_at + self.latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A call with its outcome and what follows from it: one attempt row and one state change.

    It holds no recipient and no content, so that it may be spooled to a file while the ledger is away.
    """

    attempt_id: AttemptId
    message_id: MessageId
    lease: LeaseToken
    trigger: Trigger
    worker: str
    started_at: datetime
    latency: timedelta
    token_generation: int | None
    outcome: Outcome
    decision: Decision
    configuration_answers: int = 0
    """Of the message, this one included, while it is queued."""

    @property
    def finished_at(self) -> datetime:
        """When the answer was complete or the call was given up."""
        return self.started_at + self.latency

    @property
    def latency_ms(self) -> int:
        """How long the call took, in milliseconds, as the ledger keeps it.

        A lease that ran out a month ago, in a ledger that was restored or stood still, has no latency that fits.
        """
        return min(max(0, round(self.latency.total_seconds() * 1000)), _LONGEST_LATENCY_MS)


def settlement(sent: Sent, decision: Decision, *, attempt_id: AttemptId, worker: str) -> Settlement:
    """Join a call with the decision about it."""
    return Settlement(
        attempt_id=attempt_id,
        message_id=sent.message.id,
        lease=sent.message.lease,
        trigger=sent.message.trigger,
        worker=worker,
        started_at=sent.started_at,
        latency=sent.latency,
        token_generation=sent.token_generation,
        outcome=sent.outcome,
        decision=decision,
        configuration_answers=_configuration_answers(sent.message, decision),
    )


def _configuration_answers(message: Claimed, decision: Decision) -> int:
    """Return the message's count: it outlives an answer of another kind, but not a final state."""
    if decision.state is not State.QUEUED:
        return 0
    return message.configuration_answers + decision.counts_against_it
