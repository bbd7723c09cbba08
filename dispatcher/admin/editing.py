"""Putting a message right before it is sent again: the same checks as when it was enqueued."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import FARTHEST, Channel, Gift, Intake, NewMessage, Sms, check_message
from dispatcher.ledger import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEdit:
    """What is to be otherwise; None leaves it as it is."""

    recipient: str | None = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    sku: str | None = None
    amount: str | None = None
    currency: str | None = None
    note: str | None = field(default=None, repr=False)

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return any(getattr(self, name) is not None for name in MessageEdit.__dataclass_fields__)


def apply_edit(message: Message, changes: MessageEdit, *, now: datetime, intake: Intake) -> NewMessage:
    """Return a message with what is otherwise, checked.

    :raises InvalidMessage: the first field that is wrong, or that its channel does not have.
    """
    recipient = str(message.recipient) if changes.recipient is None else changes.recipient
    if message.channel is Channel.SMS:
        _only(changes, "recipient", "body")
        return check_message(
            Sms(recipient=recipient, body=message.body or "" if changes.body is None else changes.body),
            id=message.id,
            now=now,
            intake=intake,
        )
    _only(changes, "recipient", "sku", "amount", "currency", "note")
    assert message.gift is not None and message.idempotency_key is not None  # noqa: S101, PT018 - the ledger checks it
    was = message.gift
    return check_message(
        Gift(
            recipient=recipient,
            sku=was.sku if changes.sku is None else changes.sku,
            amount=was.amount if changes.amount is None else changes.amount,
            currency=was.currency if changes.currency is None else changes.currency,
            note=was.note if changes.note is None else changes.note,
            idempotency_key=message.idempotency_key,
        ),
        id=message.id,
        now=now,
        intake=intake,
    )


def _only(changes: MessageEdit, *names: str) -> None:
    for name in MessageEdit.__dataclass_fields__:
        if name not in names and getattr(changes, name) is not None:
            raise InvalidMessage(name, "is not a part of messages on this channel")


def check_moment(at: datetime | None, *, now: datetime) -> datetime | None:
    """Check the moment before which a message shall not go.

    :raises InvalidMessage: it is past, or too far ahead to be meant.
    """
    if at is not None and at <= now:
        raise InvalidMessage("at", f"{at:%Y-%m-%d %H:%M:%S %Z} is past; give a moment to come, or none")
    if at is not None and at > now + FARTHEST:
        raise InvalidMessage("at", f"{at:%Y-%m-%d} is more than ten years from now; check the year")
    return at
