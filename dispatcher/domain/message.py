"""What may be asked for (``Sms``, ``Gift``) and what becomes of it once it is checked (``NewMessage``)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.identity import MessageId
from dispatcher.domain.money import parse_amount, parse_currency
from dispatcher.domain.recipient import Recipient, parse_recipient
from dispatcher.domain.segments import MAX_PARTS, Segments, segments
from dispatcher.domain.texts import composed, with_newlines

FARTHEST = timedelta(days=3653)
"""What is due or expires later than this is taken for a slip of the keyboard."""
DEFAULT_LIFE = timedelta(hours=72)
"""How long a message waits at the most unless the caller says otherwise."""
UNKEPT = re.compile("[\x00\ud800-\udfff]")
"""What no API takes and no database keeps: a NUL, half a surrogate pair."""


class Channel(StrEnum):
    """What is sent: its endpoint, scope, rate, policy and pause."""

    SMS = "sms"
    GIFT = "gift"


class Priority(StrEnum):
    """How urgent it is. Transactional is claimed first; bulk keeps a reserved share."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sms:
    """An SMS to enqueue. The fields mean what they mean for ``Dispatcher.send_sms``."""

    recipient: str = field(repr=False)
    body: str = field(repr=False)
    idempotency_key: str | None = None
    priority: str | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    tags: Iterable[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """A gift card to enqueue. The fields mean what they mean for ``Dispatcher.send_gift``."""

    recipient: str = field(repr=False)
    sku: str
    amount: Decimal | str
    currency: str
    idempotency_key: str
    note: str = field(default="", repr=False)
    priority: str | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    tags: Iterable[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftContent:
    """A checked gift: ``amount`` has exactly the decimals of its currency."""

    sku: str
    amount: Decimal
    currency: str
    note: str = field(default="", repr=False)


def worth(gifts: Iterable[GiftContent | None]) -> dict[str, Decimal]:
    """Sum gifts by currency; None is no gift."""
    sums: dict[str, Decimal] = {}
    for gift in gifts:
        if gift is not None:
            sums[gift.currency] = sums.get(gift.currency, Decimal(0)) + gift.amount
    return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A checked message, ready to become a row. Exactly one of ``body`` and ``gift`` is set."""

    id: MessageId
    channel: Channel
    priority: Priority
    recipient: Recipient
    body: str | None = field(repr=False)
    gift: GiftContent | None
    idempotency_key: str | None
    fingerprint: str
    tags: tuple[str, ...]
    due_at: datetime
    expires_at: datetime
    max_attempts: int
    created_at: datetime
    campaign_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What every message gets that its caller does not say."""

    max_attempts: int = 5
    life: timedelta = DEFAULT_LIFE
    region: str | None = None
    max_parts: int = MAX_PARTS
    """SMS parts that a text may take."""
    normalize: bool = True
    """Whether texts are put into Unicode's composed form (NFC)."""


def check_message(
    request: Sms | Gift, *, id: UUID, now: datetime, intake: Intake, priority: Priority = Priority.TRANSACTIONAL
) -> NewMessage:
    """Check every field of a request and return the message that it asks for.

    :param now: aware UTC; the message is due now unless ``due_at`` says later.
    :param priority: what it gets when the request names none.
    :raises InvalidMessage: the first field that is wrong, and what would be right.
    """
    request = _composed(request) if intake.normalize else request
    recipient = parse_recipient(request.recipient, region=intake.region)
    due_at, expires_at = _schedule(request.due_at, request.expires_at, now=now, life=intake.life)
    body: str | None
    gift: GiftContent | None
    content: list[str]
    match request:
        case Sms(body=text):
            body = with_newlines(text) if isinstance(text, str) else text
            check_body(body, max_parts=intake.max_parts)
            channel, gift, content = Channel.SMS, None, [recipient, body]
        case Gift():
            gift = check_gift(request)
            channel, body = Channel.GIFT, None
            content = [recipient, gift.sku, str(gift.amount), gift.currency, gift.note]
        case _:
            assert_never(request)
    return NewMessage(
        id=MessageId(id),
        channel=channel,
        priority=_priority(request.priority, priority),
        recipient=recipient,
        body=body,
        gift=gift,
        idempotency_key=_key(request.idempotency_key, required=channel is Channel.GIFT),
        fingerprint=fingerprint(channel, content),
        tags=_tags(request.tags),
        due_at=due_at,
        expires_at=expires_at,
        max_attempts=intake.max_attempts,
        created_at=now,
    )


def _composed(request: Sms | Gift) -> Sms | Gift:
    """Return a request with its text in composed form, before it is counted, digested and kept."""
    match request:
        case Sms(body=str() as text) if text != (body := composed(text)):
            return replace(request, body=body)
        case Gift(note=str() as text) if text != (note := composed(text)):
            return replace(request, note=note)
        case _:
            return request


def fingerprint(channel: Channel, content: list[str]) -> str:
    """Digest what the recipient gets, so that a reused key with other content is seen.

    Schedule, priority and tags are not content: sending the same thing at another time is the same thing.
    """
    return hashlib.sha256(json.dumps([channel.value, *content], ensure_ascii=True).encode()).hexdigest()


def check_body(text: str, *, max_parts: int = MAX_PARTS) -> Segments:
    """Check the text of an SMS, and return what it costs.

    :raises InvalidMessage: it is empty, too long, or holds what no API takes.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidMessage("body", "is empty; give the text of the SMS")
    _check_text("body", text)
    counted = segments(text)
    if counted.parts > max_parts:
        raise InvalidMessage(
            "body", f"takes {counted.parts} SMS parts in {counted.encoding.value}; shorten it to {max_parts} or fewer"
        )
    return counted


def check_gift(request: Gift) -> GiftContent:
    """Check what a gift is worth and says.

    :raises InvalidMessage: the first of its fields that is wrong.
    """
    if not isinstance(request.sku, str) or not re.fullmatch(r"[\x21-\x7e]{1,64}", request.sku):
        raise InvalidMessage("sku", "is not 1 to 64 printable ASCII characters without spaces; see the catalogue")
    if not isinstance(request.note, str) or len(request.note) > 500:
        raise InvalidMessage("note", "is longer than 500 characters; shorten it")
    note = with_newlines(request.note)
    _check_text("note", note)
    currency = parse_currency(request.currency)
    return GiftContent(sku=request.sku, amount=parse_amount(request.amount, currency), currency=currency, note=note)


def _check_text(name: str, text: str) -> None:
    if UNKEPT.search(text):
        raise InvalidMessage(name, "holds a NUL or half a surrogate pair, which no API takes; remove it")


def _key(key: str | None, *, required: bool) -> str | None:
    if key is None and not required:
        return None
    if not isinstance(key, str) or not re.fullmatch(r"[\x20-\x7e]{1,200}", key) or not key.strip():
        why = "a gift is money, so it needs one: " if required else ""
        raise InvalidMessage("idempotency_key", f"{why}give 1 to 200 printable ASCII characters, e.g. 'order-4711'")
    return key


def _priority(value: str | None, default: Priority) -> Priority:
    try:
        return default if value is None else Priority(value)
    except ValueError:
        raise InvalidMessage("priority", f"{value!r} is not one of transactional, bulk") from None


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise InvalidMessage("tags", f"is one text; give a list of texts, e.g. [{tags!r}]")
    if not isinstance(tags, Iterable):
        raise InvalidMessage("tags", f"is a {type(tags).__name__}; give a list of texts, e.g. ['vip']")
    given = list(tags)
    for tag in given:
        if not isinstance(tag, str) or not re.fullmatch(r"[\w.:/-]{1,64}", tag):
            raise InvalidMessage("tags", f"{tag!r} is not 1 to 64 letters, digits or any of . : / _ -")
    kept = tuple(dict.fromkeys(given))
    if len(kept) > 20:
        raise InvalidMessage("tags", f"has {len(kept)} tags; 20 are the most")
    return kept


def _schedule(
    due_at: datetime | None, expires_at: datetime | None, *, now: datetime, life: timedelta
) -> tuple[datetime, datetime]:
    for name, moment in (("due_at", due_at), ("expires_at", expires_at)):
        if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
            raise InvalidMessage(name, f"{moment} has no time zone; give an aware datetime, e.g. datetime.now(UTC)")
        if moment is not None and moment.replace(tzinfo=now.tzinfo) > now + FARTHEST:
            raise InvalidMessage(name, f"{moment} is more than ten years away; give a nearer moment")
    due = now if due_at is None else max(now, _in_utc("due_at", due_at))
    expires = due + life if expires_at is None else _in_utc("expires_at", expires_at)
    if expires <= now:
        raise InvalidMessage("expires_at", f"{expires:%Y-%m-%d %H:%M:%S %Z} is past; give a moment to come")
    if due >= expires:
        raise InvalidMessage("due_at", f"{due:%Y-%m-%d %H:%M:%S %Z} is not before expires_at: it could never be sent")
    return due, expires


def _in_utc(name: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidMessage(name, f"{moment} is out of range; check the year") from None
