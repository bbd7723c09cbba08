"""The demo's course: the burst in by the public door, a one-time code or two amid it, and both books at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from dispatcher.client import Dispatcher
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.embedded.demo.glance import Glance, Watch
from dispatcher.embedded.demo.recipients import Burst
from dispatcher.embedded.reconcile import Balance, reconcile
from dispatcher.embedded.stack import Stack
from dispatcher.ledger import Filter, Message
from dispatcher.sandbox import SandboxControl
from dispatcher.wiring import Services

LONGEST_S = 150
"""A run that has not settled everything by then is compared as it stands, and does not balance."""
_LOOK_EVERY_S = 0.25
_CODES_AT = (0.3, 0.6)
"""At which part of the burst a one-time code comes in between."""
_REVOKE_AT = 0.75
_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A transactional SMS that was sent amid the burst."""

    id: UUID
    waited: timedelta
    """For its turn: until its first call began."""
    went: timedelta
    """Until its last call began: longer where the API did not take the first one."""
    first: str | None
    """What the first call met, where it was not the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to."""

    balance: Balance
    took_s: float
    codes: tuple[Code, ...]
    by_status: dict[str, int]
    """Answers of the API to sends, by HTTP status; `none` where it gave no answer."""
    tokens: int
    """How many tokens it gave out."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of the demo on a stack that has a sandbox."""

    stack: Stack
    burst: Burst
    services: Services
    dispatcher: Dispatcher
    news: list[tuple[float, str]] = field(default_factory=list)
    """What happened, with the second at which it was seen."""
    _receipts: list[UUID] = field(default_factory=list, init=False)
    _codes: list[UUID] = field(default_factory=list, init=False)
    _told: set[UUID] = field(default_factory=set, init=False)
    _revoked: bool = field(default=False, init=False)
    _took_s: float = field(default=0.0, init=False)

    @classmethod
    def on(cls, stack: Stack, burst: Burst) -> Run:
        """Make ready on a running stack."""
        services = Services(stack.settings)
        return cls(
            stack=stack, burst=burst, services=services, dispatcher=Dispatcher(stack.settings, services=services)
        )

    def spoil(self, rules: Iterable[dict[str, Any]]) -> None:
        """Tell the sandbox what is to go wrong."""
        for rule in rules:
            self._sandbox.fault(**rule)

    def glances(self) -> Iterator[Glance]:
        """Send everything and look until all of it is settled.

        :raises ChildEnded: a part of the stack died.
        """
        watch = Watch(services=self.services, sandbox=self._sandbox)
        self._enqueue()
        self._tell(time.monotonic() - watch.began, f"{len(self._receipts):,} messages are safe in the ledger")
        before: Glance | None = None
        while True:
            self.stack.check()
            try:
                glance = watch.look()
            except LedgerUnavailable:  # busy for a moment: the next look will do
                time.sleep(_LOOK_EVERY_S)
                continue
            self._note(glance, before)
            self._took_s = glance.elapsed
            yield glance
            if glance.over or glance.elapsed > LONGEST_S:
                return
            self._act(glance)
            before = glance
            time.sleep(_LOOK_EVERY_S)

    def result(self) -> Result:
        """Compare the books."""
        books = self.services.books
        messages: list[Message] = []
        while page := books.messages(Filter(), limit=_PAGE, before=messages[-1].id if messages else None):
            messages += page
        journal = self._sandbox.journal()
        balance = reconcile(
            enqueued=self._receipts,
            messages=messages[::-1],
            journal=journal,
            calls_of=lambda id_: books.story(id_)[1],
        )
        statuses = Counter(str(entry.status or "none") for entry in journal if entry.kind in ("sms", "gift"))
        return Result(
            balance=balance,
            took_s=self._took_s,
            codes=tuple(self._code(id_) for id_ in self._codes),
            by_status=dict(sorted(statuses.items())),
            tokens=sum(entry.kind == "token" and entry.carried_out for entry in journal),
        )

    def close(self) -> None:
        """Give up connections."""
        self.services.close()

    @property
    def _sandbox(self) -> SandboxControl:
        assert self.stack.sandbox is not None, "the demo's plan starts one"  # noqa: S101
        return self.stack.sandbox

    def _enqueue(self) -> None:
        send = self.dispatcher
        self._receipts += [receipt.id for receipt in send.send_many(self.burst.sms)]
        for gift in self.burst.gifts:
            receipt = send.send_gift(
                gift.recipient,
                sku=gift.sku,
                amount=gift.amount,
                currency=gift.currency,
                idempotency_key=gift.idempotency_key,
                note=gift.note,
            )
            self._receipts.append(receipt.id)

    def _act(self, glance: Glance) -> None:
        """Do what the script has for this part of the burst."""
        through = glance.settled / glance.total
        # A pause that the API asks for holds everybody: what a code waits for then says nothing about its priority.
        flowing = not glance.blocked_for
        if flowing and len(self._codes) < len(_CODES_AT) and through >= _CODES_AT[len(self._codes)]:
            recipient = self.burst.sms[len(self._codes)].recipient
            receipt = self.dispatcher.send_sms(recipient, "Your code is 481 516. It is good for ten minutes.")
            self._codes.append(receipt.id)
            self._receipts.append(receipt.id)
        if not self._revoked and through >= _REVOKE_AT:
            self._sandbox.revoke()
            self._revoked = True
            self._tell(glance.elapsed, "the API revokes the token")

    def _note(self, glance: Glance, before: Glance | None) -> None:
        """Tell what has changed since the last look."""
        if before is not None and glance.throttled > before.throttled:
            self._tell(glance.elapsed, "429, slow down: the channel waits as long as the API asks")
        if before is not None and glance.tokens > max(1, before.tokens):
            self._tell(glance.elapsed, f"token {glance.tokens - 1} was refused, token {glance.tokens} took over")
        for channel, reason in glance.pauses.items():
            if before is not None and channel not in before.pauses:
                self._tell(glance.elapsed, f"{channel.value} is paused for a moment: {reason}")
        for id_ in self._codes:
            if id_ not in self._told and self.services.books.message(id_).state.settled:
                self._told.add(id_)
                waited = self._code(id_).waited.total_seconds()
                self._tell(glance.elapsed, f"a one-time code overtook the burst: its turn came after {waited:.2f} s")

    def _code(self, id_: UUID) -> Code:
        message, calls, _ = self.services.books.story(id_)
        began = [call.started_at for call in calls] or [message.updated_at]
        first = str(calls[0].http_status or calls[0].error) if len(calls) > 1 else None
        created = message.created_at
        return Code(id=id_, waited=began[0] - created, went=began[-1] - created, first=first)

    def _tell(self, elapsed: float, what: str) -> None:
        self.news.append((elapsed, what))
