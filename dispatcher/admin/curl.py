"""A message's call as a command that an operator can run by hand, without the secret that it needs."""

from __future__ import annotations

import shlex
from dataclasses import replace

from dispatcher.domain.attempt import Claimed, Trigger
from dispatcher.domain.identity import LeaseToken, MessageId
from dispatcher.domain.message import GiftContent
from dispatcher.domain.recipient import Recipient
from dispatcher.gateway.endpoints import Endpoint, send_request
from dispatcher.ledger import Message
from dispatcher.ports import Token

_TOKEN = Token(value="TOKEN", generation=0, scopes=frozenset())
_SHOWN = ("Idempotency-Key", "Content-Type", "Accept")


def as_curl(message: Message, endpoint: Endpoint, *, base_url: str, reveal: bool) -> str:
    """Return the call as a shell command; the token is taken from the shell's ``$TOKEN``.

    :param reveal: with the number and the text; else with what masks them.
    """
    request = send_request(endpoint, _claimed(message, reveal=reveal), _TOKEN)
    parts = [f"curl -X {request.method} {shlex.quote(base_url + request.path)}", '-H "Authorization: Bearer $TOKEN"']
    parts += [f"-H {shlex.quote(f'{name}: {request.headers[name]}')}" for name in _SHOWN]
    parts.append(f"--data {shlex.quote((request.body or b'').decode())}")
    return " \\\n  ".join(parts)


def _without_note(gift: GiftContent) -> GiftContent:
    return replace(gift, note="…" if gift.note else "")


def _claimed(message: Message, *, reveal: bool) -> Claimed:
    """Return the message as the gateway takes it. It is held by nobody: this is only looked at."""
    return Claimed(
        id=MessageId(message.id),
        channel=message.channel,
        priority=message.priority,
        recipient=message.recipient if reveal else Recipient(message.recipient.masked),
        body=message.body if reveal or message.body is None else "…",
        gift=message.gift if reveal or message.gift is None else _without_note(message.gift),
        campaign_id=message.campaign_id,
        lease=LeaseToken(message.id),
        lease_expires_at=message.updated_at,
        attempts_made=message.attempts_made,
        max_attempts=message.max_attempts,
        calls_made=message.calls_made,
        doubtful_sends=message.doubtful_sends,
        refused_generation=None,
        trigger=Trigger.AUTO,
        revision=message.revision,
    )
