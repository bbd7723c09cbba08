"""What a message looks like on the screen and in JSON: numbers and texts are masked unless somebody asks for them."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from dispatcher.cli.screen import inert
from dispatcher.domain.segments import segments
from dispatcher.domain.state import State
from dispatcher.ledger import Message

_STYLES = {
    State.ACCEPTED: "green",
    State.DELIVERED: "green",
    State.SENDING: "cyan",
    State.IN_DOUBT: "bold yellow",
    State.DEAD: "bold red",
    State.UNDELIVERED: "red",
    State.EXPIRED: "red",
    State.CANCELLED: "dim",
    State.SUPPRESSED: "dim",
}


def document(message: Message, *, reveal: bool) -> dict[str, Any]:
    """Return a message for JSON. ``body`` and ``gift.note`` are null unless revealed."""
    body = None if message.redacted_at is not None else message.body
    counted = None if body is None else segments(body)
    gift = message.gift
    return {
        "id": message.id,
        "channel": message.channel,
        "priority": message.priority,
        "state": message.state,
        "recipient": recipient(message, reveal=reveal),
        "body": body if reveal else None,
        "body_characters": None if body is None else len(body),
        "body_parts": None if counted is None else counted.parts,
        "body_encoding": None if counted is None else counted.encoding,
        "gift": None
        if gift is None
        else {
            "sku": gift.sku,
            "amount": gift.amount,
            "currency": gift.currency,
            "note": gift.note if reveal and message.redacted_at is None else None,
            "note_characters": None if message.redacted_at is not None else len(gift.note),
        },
        "idempotency_key": message.idempotency_key,
        "campaign_id": message.campaign_id,
        "tags": list(message.tags),
        "source": message.source,
        "due_at": message.due_at,
        "expires_at": message.expires_at,
        "attempts_made": message.attempts_made,
        "max_attempts": message.max_attempts,
        "doubtful_sends": message.doubtful_sends,
        "lease_expires_at": message.lease_expires_at,
        "provider_id": message.provider_id,
        "last_outcome": message.last_outcome,
        "last_error": message.last_error,
        "created_at": message.created_at,
        "updated_at": message.updated_at,
        "accepted_at": message.accepted_at,
        "redacted_at": message.redacted_at,
    }


def recipient(message: Message, *, reveal: bool) -> str:
    """Return the number, masked unless revealed."""
    return str(message.recipient) if reveal else message.recipient.masked


def named(state: State) -> Text:
    """Return the state as a word; its colour only repeats it."""
    return Text(state.value.replace("_", " "), style=_STYLES.get(state, ""))


def money(message: Message) -> str:
    """Return what a gift is worth; nothing for an SMS."""
    return "" if message.gift is None else f"{message.gift.currency} {message.gift.amount}"


def what(message: Message, *, reveal: bool) -> str:
    """Say in a few words what goes to whom."""
    sent = message.channel.value if message.gift is None else f"gift {money(message)} ({inert(message.gift.sku)})"
    return f"{sent} to {recipient(message, reveal=reveal)}"


def trouble(message: Message) -> str:
    """Return what went wrong last, in words that can do nothing to a terminal."""
    return inert(message.last_error or "")
