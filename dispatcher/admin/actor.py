"""Who acts, and what that person may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dispatcher.domain.errors import NotPermitted
from dispatcher.domain.message import Channel


class Role(IntEnum):
    """What a person may do. Each role includes those below it."""

    VIEWER = 1
    """Read everything, with phone numbers and texts masked."""
    OPERATOR = 2
    """Reveal numbers; replay, discard, resolve and cancel messages; pause channels; run campaigns of SMS."""
    PAYMENTS = 3
    """The same for gifts, which are money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is recorded in the audit trail, and with which role that person acts."""

    name: str
    """For example ``web:mona`` or ``cli:root``; at most 100 characters."""
    role: Role

    def require(self, role: Role) -> None:
        """Check the role.

        :raises NotPermitted: the action needs a higher role.
        """
        if self.role < role:
            raise NotPermitted(role.name.lower())

    def require_for(self, channel: Channel) -> None:
        """Check the role for an action that may send a message of this channel.

        :raises NotPermitted: it would send a gift, and the actor's role is not payments.
        """
        if channel is Channel.GIFT:
            self.require(Role.PAYMENTS)
