"""Into the ledger: a message exists once its row commits. Keys make a repeated call harmless."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, select

from dispatcher.domain.errors import IdempotencyConflict, LedgerUnavailable
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import GiftContent, NewMessage
from dispatcher.domain.state import State
from dispatcher.ledger.scripts import as_json, as_text, load

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_ENQUEUE = load("enqueue")
_AMOUNT = re.compile(r"[0-9]{1,15}(?:[.][0-9]{1,10})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """Where a message went: its own new row, or the row that already had its key."""

    id: MessageId
    state: State
    duplicate: bool


def enqueue(
    connection: Connection | Session, messages: Sequence[NewMessage], *, source: str, dialect: str
) -> list[Enqueued]:
    """Insert messages in the transaction that is open, and say for each, in order, which row it is now.

    The unique index decides about keys, so two callers at once cannot both win. A message whose id is there already
    (a sealed message delivered twice) counts as a duplicate too.

    :raises IdempotencyConflict: a key belongs to other content; ``position`` says which message it was. The caller
        rolls back.
    """
    rows = as_json(_row(message, source) for message in messages)
    found = connection.execute(_ENQUEUE[dialect][0], {"messages": rows}).scalars()
    inserted = {each if isinstance(each, UUID) else UUID(each) for each in found}
    if len(inserted) == len(messages):
        return [Enqueued(id=message.id, state=State.QUEUED, duplicate=False) for message in messages]
    return _resolve(connection, messages, inserted)


def _row(message: NewMessage, source: str) -> dict[str, Any]:
    return {
        "id": message.id,
        "channel": message.channel.value,
        "priority": message.priority.value,
        "recipient": str(message.recipient),
        "body": message.body,
        "gift": None if message.gift is None else gift_to_json(message.gift),
        "idempotency_key": message.idempotency_key,
        "fingerprint": message.fingerprint,
        "campaign_id": message.campaign_id,
        "tags": message.tags,
        "source": source,
        "due_at": as_text(message.due_at),
        "expires_at": as_text(message.expires_at),
        "max_attempts": message.max_attempts,
        "created_at": as_text(message.created_at),
    }


def gift_to_json(gift: GiftContent) -> dict[str, str]:
    """Write a gift as JSON; the amount stays a text, since JSON numbers are not exact."""
    return {name: str(value) for name, value in asdict(gift).items()}


def gift_from_json(value: object) -> GiftContent:
    """Read a gift back, exactly as it was written.

    What older rows may hold besides is read as nothing of it: an amount that is none as 0, a text that is missing as
    empty. The ledger refuses to write such a gift, and a claim leaves it out.
    """
    found = value if isinstance(value, dict) else {}
    texts = {name: each for name, each in found.items() if isinstance(each, str)}
    return GiftContent(
        sku=texts.get("sku", ""),
        amount=read_amount(texts.get("amount", "")),
        currency=texts.get("currency", ""),
        note=texts.get("note", ""),
    )


def read_amount(text: str | None) -> Decimal:
    """Read the amount of a gift's row; 0 if it is none."""
    return Decimal(text) if text is not None and _AMOUNT.fullmatch(text) else Decimal(0)


def _resolve(connection: Connection | Session, messages: Sequence[NewMessage], inserted: set[UUID]) -> list[Enqueued]:
    from dispatcher.ledger.tables import MESSAGES  # only duplicates read them

    keys = [m.idempotency_key for m in messages if m.id not in inserted and m.idempotency_key is not None]
    ids = [m.id for m in messages if m.id not in inserted]
    columns = select(MESSAGES.c.id, MESSAGES.c.state, MESSAGES.c.fingerprint, MESSAGES.c.idempotency_key)
    rows = connection.execute(columns.where(MESSAGES.c.idempotency_key.in_(keys) | MESSAGES.c.id.in_(ids))).all()
    by_key = {row.idempotency_key: row for row in rows if row.idempotency_key is not None}
    by_id = {row.id: row for row in rows}
    receipts = []
    for position, message in enumerate(messages):
        if message.id in inserted:
            receipts.append(Enqueued(id=message.id, state=State.QUEUED, duplicate=False))
            continue
        row = by_key.get(message.idempotency_key) if message.idempotency_key else None
        row = row or by_id.get(message.id)
        if row is None:
            raise LedgerUnavailable(
                "an idempotency key is being used by a transaction that this one cannot see yet; try once more"
            )
        if row.fingerprint != message.fingerprint:
            raise IdempotencyConflict(message.idempotency_key or str(message.id), row.id, position=position)
        receipts.append(Enqueued(id=MessageId(row.id), state=State(row.state), duplicate=True))
    return receipts
