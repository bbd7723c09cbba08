"""A way in for producers that reach the broker but not the ledger: a message sealed into one opaque text.

The seal is Fernet (AES-128-CBC with HMAC-SHA256; any language has it) with the key of ``DISPATCHER_ENQUEUE_KEY``, so
that the broker still carries no content. The id is fixed when it is sealed, so a text that Celery delivers twice makes
one message. Inside is JSON: ``kind`` (``sms`` or ``gift``), ``id`` (a UUIDv7) and the fields of ``Sms`` or ``Gift``.

Whoever can write to Redis can publish a text again that was taken before. So a text is good for three days after the
time that Fernet signs into it, and the ledger remembers its id for longer, even if the message is pruned by then.
"""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken

from dispatcher.domain.errors import InvalidMessage, SettingsError
from dispatcher.domain.message import DEFAULT_LIFE, Channel, Gift, Sms

LIFE = DEFAULT_LIFE
"""How long after it was sealed a message may be enqueued: as long as one that was enqueued directly may wait."""
AHEAD = timedelta(hours=24)
"""How far the clock of a producer may be ahead of the ledger's."""
REMEMBERED = LIFE + timedelta(hours=24)
"""How long after it was sealed a message's id is remembered."""


def seal(request: Sms | Gift, *, id: UUID, key: str) -> str:
    """Seal a message; publish the result as the only argument of the task ``dispatcher.enqueue``.

    :raises SettingsError: the key is not a Fernet key.
    """
    kind = Channel.SMS if isinstance(request, Sms) else Channel.GIFT
    content: dict[str, Any] = {"kind": kind.value, "id": str(id)}
    for each in fields(request):
        value = getattr(request, each.name)
        if each.name == "tags":
            value = list(value)
        elif isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, Decimal):  # a number keeps its value; its exponent and zeros would be read as text
            value = f"{value.normalize():f}"
        elif isinstance(value, str):
            value = str(value)
        content[each.name] = value
    return _fernet(key).encrypt(json.dumps(content).encode()).decode()


def unseal(text: str, *, key: str) -> tuple[UUID, Sms | Gift]:
    """Open a sealed message; its fields are still to be checked.

    :raises InvalidMessage: it was sealed with another key, or holds no message.
    :raises SettingsError: no key is set, or it is not a Fernet key.
    """
    try:
        content = json.loads(_fernet(key).decrypt(text.encode()))
        kind, id_ = Channel(content.pop("kind")), UUID(content.pop("id"))
        for name in ("due_at", "expires_at"):
            if content.get(name):
                content[name] = datetime.fromisoformat(content[name])
        return id_, (Sms if kind is Channel.SMS else Gift)(**content)
    except InvalidToken:
        raise InvalidMessage("sealed", "was not sealed with this DISPATCHER_ENQUEUE_KEY; use the same key") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InvalidMessage("sealed", "holds no message; seal it with dispatcher.broker.sealed.seal") from None


def sealed_at(text: str, *, key: str, now: datetime) -> datetime:
    """Return when a message was sealed, by the clock of the host that sealed it.

    :raises InvalidMessage: that was more than three days ago, or is more than a day ahead; or the key is another.
    """
    try:
        moment = datetime.fromtimestamp(_fernet(key).extract_timestamp(text.encode()), UTC)
    except InvalidToken:
        raise InvalidMessage("sealed", "was not sealed with this DISPATCHER_ENQUEUE_KEY; use the same key") from None
    except (ValueError, OverflowError, OSError):
        raise InvalidMessage("sealed", "has no time that exists; set the producer's clock") from None
    if now - moment > LIFE:
        raise InvalidMessage("sealed", "was sealed more than 72 hours ago; seal the message again, with the same id")
    if moment - now > AHEAD:
        raise InvalidMessage("sealed", "was sealed more than 24 hours in the future; set the producer's clock")
    return moment


def check_key(key: str) -> None:
    """Refuse a key that can open nothing.

    :raises SettingsError: it is not a Fernet key.
    """
    _fernet(key)


def _fernet(key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise SettingsError(
            "DISPATCHER_ENQUEUE_KEY: is not a Fernet key; make one with "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from None
