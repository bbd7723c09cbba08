"""The ledger as applications and operators use it: in, out to look at, and put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from dispatcher.domain.message import Channel, NewMessage
from dispatcher.ledger import operations, pauses, queries
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.enqueue import gift_to_json
from dispatcher.ledger.holds import Hold, find_hold
from dispatcher.ledger.operations import By, Resolution
from dispatcher.ledger.outbox import Outbox
from dispatcher.ledger.pauses import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Books(Outbox):
    """Reads and careful writes; all methods raise LedgerUnavailable when the ledger cannot be used now."""

    def message(self, message_id: UUID) -> queries.Message:
        """Return one message; raises MessageNotFound."""
        with reading(self.engine) as connection:
            return queries.find_message(connection, message_id)

    def story(self, message_id: UUID) -> tuple[queries.Message, list[queries.Attempt], list[queries.AuditEntry]]:
        """Return a message with its attempts and what people did to it; raises MessageNotFound."""
        with reading(self.engine) as connection:
            return (
                queries.find_message(connection, message_id),
                queries.list_attempts(connection, message_id),
                queries.list_audit(connection, subject=str(message_id)),
            )

    def hold(self, message_id: UUID, *, now: datetime) -> Hold:
        """Return what holds a queued message back beside its own due time."""
        with reading(self.engine) as connection:
            return find_hold(connection, message_id, now=now)

    def messages(self, chosen: queries.Filter, *, limit: int = 50, before: UUID | None = None) -> list[queries.Message]:
        """Return messages, newest first."""
        with reading(self.engine) as connection:
            return queries.list_messages(connection, chosen, limit=limit, before=before)

    def tallies(self, *, put_away: bool = True) -> list[queries.Tally]:
        """Count messages by channel, priority and state; ``put_away`` says whether those that were discarded count."""
        with reading(self.engine) as connection:
            return queries.tallies(connection, put_away=put_away)

    def oldest_waiting(self, *, now: datetime) -> list[queries.Waiting]:
        """Return since when the oldest due message of each channel and priority has been waiting."""
        with reading(self.engine) as connection:
            return queries.oldest_waiting(connection, now=now)

    def guarded_among(self, ids: Sequence[UUID]) -> frozenset[UUID]:
        """Return those of at the most 10,000 messages that are gifts which the database refuses to send again."""
        with reading(self.engine) as connection:
            return queries.guarded_among(connection, ids)

    def money_in_doubt(self) -> dict[str, Decimal]:
        """Sum the gifts in doubt by currency."""
        with reading(self.engine) as connection:
            return queries.money_in_doubt(connection)

    def pauses(self, *, now: datetime) -> list[Pause]:
        """Return the channel pauses in force."""
        with reading(self.engine) as connection:
            return pauses.pauses(connection, now=now)

    def pause(self, channel: Channel, by: By, *, until: datetime | None) -> None:
        """Stop a channel at the next claim, everywhere."""
        with transaction(self.engine) as connection:
            reason = by.reason or "no reason given"
            pauses.pause(connection, channel, by=by.actor, reason=reason, until=until, now=by.now)
            operations.audit(connection, by, "pause", f"channel:{channel.value}")

    def resume(self, channel: Channel, by: By) -> bool:
        """Open a channel again and say whether it was paused."""
        with transaction(self.engine) as connection:
            operations.audit(connection, by, "resume", f"channel:{channel.value}")
            return pauses.resume(connection, channel)

    def cancel(self, message_id: UUID, by: By) -> None:
        """Call off a queued message; raises MessageNotFound or TransitionRefused."""
        with transaction(self.engine) as connection:
            operations.cancel(connection, message_id, by)

    def replay(
        self,
        message_id: UUID,
        by: By,
        *,
        budget: int,
        life: timedelta,
        at: datetime | None = None,
        content: NewMessage | None = None,
    ) -> None:
        """Queue a dead, expired or cancelled message again; raises MessageNotFound or TransitionRefused.

        :param at: not before; now if left out.
        :param content: recipient and content that it is to have instead.
        """
        new = None
        if content is not None:
            gift = None if content.gift is None else gift_to_json(content.gift)
            new = operations.Content(recipient=content.recipient, body=content.body, gift=gift)
        with transaction(self.engine) as connection:
            operations.replay(connection, message_id, by, budget=budget, life=life, at=at, content=new)

    def resolve(
        self,
        message_id: UUID,
        answer: Resolution,
        by: By,
        *,
        provider_id: str | None = None,
        budget: int,
        life: timedelta,
    ) -> None:
        """Answer for a message in doubt; raises MessageNotFound or TransitionRefused."""
        with transaction(self.engine) as connection:
            operations.resolve(connection, message_id, answer, by, provider_id=provider_id, budget=budget, life=life)

    def note_refusal(self, subject: str, by: By) -> None:
        """Record that a message which came by the broker alone could not be taken."""
        with transaction(self.engine) as connection:
            operations.audit(connection, by, "enqueue refused", subject)
