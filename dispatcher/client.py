"""What application code calls. A message is safe once its row has committed; everything after that is ours to do."""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from dispatcher.domain.errors import IdempotencyConflict, InvalidMessage, MessageNotFound
from dispatcher.domain.identity import ENTROPY_BITS, parse_id, uuid7
from dispatcher.domain.message import Gift, NewMessage, Priority, Sms, check_message
from dispatcher.domain.receipt import Receipt, Receipts
from dispatcher.settings import Settings, load_settings
from dispatcher.wiring import APPLICATION_WAITS, Services

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from dispatcher.campaigns import Campaigns
    from dispatcher.ledger import Enqueued, Message

PAGE = 1000
"""How many messages of a stream share a transaction."""


class Dispatcher:
    """Enqueues messages, looks them up and calls them off. One per process is enough; it may be shared by threads.

    ::

        dispatcher = Dispatcher.from_env()
        receipt = dispatcher.send_sms("+61491570006", "Your code is 123456")
    """

    def __init__(self, settings: Settings, *, services: Services | None = None, source: str = "application") -> None:
        """Take the settings; connections open at first use.

        :param source: who enqueues, at most 16 characters; each message's story begins with it.
        """
        self._services = services or Services(settings, redis_wait=APPLICATION_WAITS)
        self._source = source

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Build it from ``DISPATCHER_…`` variables, ``.env``, or a running ``dispatcher up``.

        :param overrides: settings by their lower-case name, e.g. ``ledger_url=…``; they win over the environment.
        :raises SettingsError: a setting is missing, unknown or contradicts another; an argument that names no setting
            is never ignored.
        """
        return cls(load_settings(**overrides))

    def send_sms(
        self,
        recipient: str,
        body: str,
        *,
        idempotency_key: str | None = None,
        priority: str = "transactional",
        due_at: datetime | None = None,
        expires_at: datetime | None = None,
        tags: Iterable[str] = (),
        session: Session | None = None,
    ) -> Receipt:
        """Enqueue an SMS and return at once.

        :param recipient: a mobile number in E.164, e.g. ``+61491570006``.
        :param body: the text, at most ten SMS parts.
        :param idempotency_key: makes a repeated call harmless; the same key with the same content gives the first
            receipt again.
        :param priority: ``transactional`` (sent first) or ``bulk``.
        :param due_at: aware datetime before which it is not sent; now if left out.
        :param expires_at: aware datetime after which it is not sent any more; 72 hours after it is due if left out.
        :param tags: words to find it by, at most twenty.
        :param session: your SQLAlchemy session: the message then commits or rolls back with your own work.
        :raises InvalidMessage: a field is wrong; nothing was written.
        :raises IdempotencyConflict: the key belongs to other content; nothing was written.
        :raises LedgerUnavailable: the ledger cannot be used now; nothing was written.
        """
        request = Sms(
            recipient=recipient,
            body=body,
            idempotency_key=idempotency_key,
            priority=priority,
            due_at=due_at,
            expires_at=expires_at,
            tags=tags,
        )
        return self._send(request, session)

    def send_gift(
        self,
        recipient: str,
        *,
        sku: str,
        amount: Decimal | str,
        currency: str,
        idempotency_key: str,
        note: str = "",
        priority: str = "transactional",
        due_at: datetime | None = None,
        expires_at: datetime | None = None,
        tags: Iterable[str] = (),
        session: Session | None = None,
    ) -> Receipt:
        """Enqueue a gift card and return at once. The key is required: it is money.

        :param sku: the card's name in the provider's catalogue.
        :param amount: a ``Decimal`` or its text, more than zero, with no more decimals than the currency has.
        :param currency: ISO 4217, e.g. ``AUD``.
        :param idempotency_key: one for each gift that you mean to give, e.g. your order's number.
        :param note: a text for the recipient, at most 500 characters.

        The other parameters and the errors are those of ``send_sms``.
        """
        request = Gift(
            recipient=recipient,
            sku=sku,
            amount=amount,
            currency=currency,
            idempotency_key=idempotency_key,
            note=note,
            priority=priority,
            due_at=due_at,
            expires_at=expires_at,
            tags=tags,
        )
        return self._send(request, session)

    def send_many(self, messages: Iterable[Sms | Gift], *, session: Session | None = None) -> Receipts:
        """Enqueue a stream of messages, a page of 1,000 at a time, and return their receipts in order.

        The stream is never held in memory as a whole. Priority is ``bulk`` unless a message says otherwise. Without
        ``session`` each page is one transaction: when a message is wrong, the pages before its page are in the
        ledger and nothing of its page is; keys make it safe to send the whole stream again.

        :return: a sequence of receipts; its ``counts`` tells how many were new and how many duplicates.
        :raises InvalidMessage: with the ``position`` (from 0) of the message in the stream.
        :raises IdempotencyConflict: likewise.
        """
        receipts = Receipts()
        for page in _pages(messages, PAGE):
            self._services.clock.keep_in_step(session)
            start = len(receipts)
            checked = [self._check(each, Priority.BULK, start + place) for place, each in enumerate(page)]
            try:
                enqueued = self._enqueue(checked, session)
            except IdempotencyConflict as conflict:
                raise IdempotencyConflict(
                    conflict.key, conflict.existing, position=start + (conflict.position or 0)
                ) from None
            for each in enqueued:
                receipts.append(_receipt(each))
        return receipts

    def message(self, id: UUID | str) -> Message:
        """Return a message as it stands in the ledger.

        :raises MessageNotFound: no message has this id.
        """
        return self._services.books.message(as_id(id))

    def cancel(self, id: UUID | str, *, reason: str | None = None) -> Message:
        """Call off a message that has not been claimed yet, and return it.

        :raises MessageNotFound: no message has this id.
        :raises TransitionRefused: it is under way, sent or settled otherwise.
        """
        from dispatcher.ledger import By

        by = By(actor=acting_as("application"), reason=reason, now=self._services.clock.now())
        self._services.books.cancel(as_id(id), by)
        return self._services.books.message(as_id(id))

    @property
    def campaigns(self) -> Campaigns:
        """Bursts: ``create``, ``dry_run``, ``start``, ``pause``, ``resume``, ``cancel``, ``progress`` and more."""
        return self._services.campaigns(acting_as("application"))

    def enqueue_sealed(self, sealed: str) -> Receipt:
        """Enqueue a message that came sealed through the broker, once however often it comes.

        :raises InvalidMessage: it cannot be opened, was sealed too long ago, was removed from the ledger since it came
            first, or a field of it is wrong; nothing was written.
        :raises IdempotencyConflict: its key belongs to other content; nothing was written.
        :raises LedgerUnavailable: the ledger cannot be used now, or another transaction holds its key for longer than a
            second; nothing was written, so it may be delivered again.
        """
        from dispatcher.broker import sealed_at, unseal
        from dispatcher.broker.sealed import REMEMBERED

        services = self._services
        bell = services.bell
        key = services.settings.enqueue_key.get_secret_value()
        id_, request = unseal(sealed, key=key)
        services.clock.keep_in_step()
        now = services.clock.now()
        moment = sealed_at(sealed, key=key, now=now)
        checked = check_message(request, id=id_, now=now, intake=services.intake)
        enqueued = services.broker_intake.enqueue(checked, remember_until=moment + REMEMBERED)
        bell.ring()
        return _receipt(enqueued)

    def close(self) -> None:
        """Give up connections; the ledger keeps what was enqueued."""
        self._services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, request: Sms | Gift, session: Session | None) -> Receipt:
        self._services.clock.keep_in_step(session)
        return _receipt(self._enqueue([self._check(request, Priority.TRANSACTIONAL, None)], session)[0])

    def _check(self, request: Sms | Gift, priority: Priority, position: int | None) -> NewMessage:
        now = self._services.clock.now()
        id_ = uuid7(int(now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS))
        try:
            return check_message(request, id=id_, now=now, intake=self._services.intake, priority=priority)
        except InvalidMessage as wrong:
            if position is None:
                raise
            raise wrong.at(position) from None

    def _enqueue(self, messages: list[NewMessage], session: Session | None) -> list[Enqueued]:
        services = self._services
        bell = services.bell  # what is wrong with its settings is raised before anything is written
        if session is None:
            enqueued = services.outbox.enqueue(messages, source=self._source)
            bell.ring()
        else:
            from dispatcher.ledger import after_commit

            enqueued = services.outbox.enqueue_within(session, messages, source=self._source)
            after_commit(session, bell.ring)
        return enqueued


def as_id(value: UUID | str) -> UUID:
    """Return a message's id.

    :raises MessageNotFound: the text is no id.
    """
    return parse_id(value, missing=MessageNotFound)


def acting_as(what: str) -> str:
    """Return who acts, for the audit trail: ``application:mona``, or ``cli:uid 10001`` where that user has no name."""
    try:
        user = getpass.getuser()
    except (
        KeyError,
        OSError,
    ):  # a container may run under an id that no passwd file has; which error depends on Python
        user = f"uid {os.getuid()}"
    return f"{what}:{user}".encode("utf-8", "replace").decode()[:100]  # $USER may be any bytes


def _pages(messages: Iterable[Sms | Gift], size: int) -> Iterator[list[Sms | Gift]]:
    stream = iter(messages)
    while page := list(islice(stream, size)):
        yield page


def _receipt(enqueued: Enqueued) -> Receipt:
    return Receipt(id=enqueued.id, state=enqueued.state, duplicate=enqueued.duplicate)
