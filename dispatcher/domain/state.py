"""The states of messages and of campaigns, and the only moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a message stands. The values are the ledger's column values."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    IN_DOUBT = "in_doubt"
    DEAD = "dead"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"

    def may_become(self, other: State) -> bool:
        """Say whether the machine has this move.

        >>> State.QUEUED.may_become(State.SENDING), State.DELIVERED.may_become(State.ACCEPTED)
        (True, False)
        """
        return other in TRANSITIONS[self]

    @property
    def settled(self) -> bool:
        """Whether nothing will happen to the message unless somebody asks for it.

        >>> State.DEAD.settled, State.QUEUED.settled
        (True, False)
        """
        return self not in (State.QUEUED, State.SENDING)


TRANSITIONS: MappingProxyType[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.SENDING, State.EXPIRED, State.CANCELLED, State.SUPPRESSED}),
        State.SENDING: frozenset({State.ACCEPTED, State.QUEUED, State.DEAD, State.IN_DOUBT}),
        State.ACCEPTED: frozenset({State.DELIVERED, State.UNDELIVERED}),
        State.DELIVERED: frozenset(),
        State.UNDELIVERED: frozenset(),
        State.IN_DOUBT: frozenset({State.ACCEPTED, State.QUEUED, State.DEAD}),
        State.DEAD: frozenset({State.QUEUED}),
        State.EXPIRED: frozenset({State.QUEUED}),
        State.CANCELLED: frozenset({State.QUEUED}),
        State.SUPPRESSED: frozenset(),
    }
)
"""The machine. The ledger's CHECK lists the same states; every UPDATE names the state it comes from."""


def sources_of(state: State) -> frozenset[State]:
    """Return the states from which ``state`` can be reached.

    >>> sorted(sources_of(State.CANCELLED))
    [<State.QUEUED: 'queued'>]
    """
    return frozenset(source for source, targets in TRANSITIONS.items() if state in targets)


class CampaignState(StrEnum):
    """Where a campaign stands. The values are the ledger's column values."""

    DRAFT = "draft"
    """It is being loaded, or waits for its start."""
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    """Nothing of it is queued or under way; a retry sets it running again."""
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will be sent by itself.

        >>> CampaignState.PAUSED.over, CampaignState.CANCELLED.over
        (False, True)
        """
        return self in (CampaignState.FINISHED, CampaignState.CANCELLED)


CAMPAIGN_TRANSITIONS: Mapping[CampaignState, frozenset[CampaignState]] = MappingProxyType(
    {
        CampaignState.DRAFT: frozenset({CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.CANCELLED}),
        CampaignState.SCHEDULED: frozenset({CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLED}),
        CampaignState.RUNNING: frozenset({CampaignState.PAUSED, CampaignState.FINISHED, CampaignState.CANCELLED}),
        CampaignState.PAUSED: frozenset({CampaignState.RUNNING, CampaignState.SCHEDULED, CampaignState.CANCELLED}),
        CampaignState.FINISHED: frozenset({CampaignState.RUNNING}),
        CampaignState.CANCELLED: frozenset(),
    }
)
"""The only moves. Every UPDATE of a campaign names the states it comes from."""
