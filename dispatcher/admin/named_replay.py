"""Replays messages that are named by their ids: which would be sent, which not and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from dispatcher.admin.service import OperatorService
from dispatcher.domain.errors import LedgerUnavailable, MessageNotFound, TransitionRefused
from dispatcher.domain.identity import parse_id
from dispatcher.domain.message import Channel, worth
from dispatcher.ledger import Books, Message
from dispatcher.ledger.operations import CONTENT_IS_GONE, REPLAYABLE

_BATCH = 1000
_MAY_HAVE_BEEN_SENT = "a gift that may have been carried out; only a person can say that it was not"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A message that will not be replayed."""

    id: str
    why: str
    unknown: bool = False
    """There is no such message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedReplay:
    """The messages that a replay sends, and those that it leaves out."""

    go: tuple[Message, ...]
    left_out: tuple[LeftOut, ...]

    def of(self, channel: Channel) -> list[Message]:
        """Return the messages of one channel that are sent."""
        return [message for message in self.go if message.channel is channel]

    @property
    def money(self) -> dict[str, Decimal]:
        """The value of the gifts among them, by currency."""
        return worth(message.gift for message in self.go)


def plan_named_replay(operator: OperatorService, ids: Iterable[str]) -> NamedReplay:
    """Return what a replay of these messages does; changes nothing."""
    found: dict[UUID, Message] = {}
    left_out = []
    for text in dict.fromkeys(ids):
        try:
            message = operator.messages.message(parse_id(text, missing=MessageNotFound))
            found[message.id] = message
        except MessageNotFound:
            left_out.append(LeftOut(id=text, why="there is no such message", unknown=True))
    guarded = _guarded(operator.messages, [each.id for each in found.values() if each.channel is Channel.GIFT])
    go = []
    for message in found.values():
        why = _hindrance(message, guarded)
        if why is None:
            go.append(message)
        else:
            left_out.append(LeftOut(id=str(message.id), why=why))
    return NamedReplay(go=tuple(go), left_out=tuple(left_out))


def run_named_replay(
    operator: OperatorService, plan: NamedReplay, *, reason: str | None, at: datetime | None
) -> NamedReplay:
    """Queue the planned messages, the oldest first; return which were queued.

    A message that somebody else changed since the plan was made is left out.

    :param at: not before this moment; None: now.
    :raises NotPermitted: there is a gift among them, and the actor's role is not payments.
    :raises LedgerUnavailable: with the number of messages that had been queued before.
    """
    for message in plan.go:
        operator.actor.require_for(message.channel)
    queued: list[Message] = []
    left_out = list(plan.left_out)
    try:
        for message in reversed(plan.go):
            try:
                operator.replay(message.id, reason=reason, at=at, notify=False)
                queued.append(message)
            except (TransitionRefused, MessageNotFound) as changed:
                left_out.append(LeftOut(id=str(message.id), why=str(changed)))
    except LedgerUnavailable as away:
        raise LedgerUnavailable(f"{away} ({len(queued)} of {len(plan.go)} had been queued again)") from None
    finally:
        if queued:
            operator.bell.ring()
    return replace(plan, go=tuple(queued), left_out=tuple(left_out))


def _guarded(books: Books, gifts: Sequence[UUID]) -> set[UUID]:
    guarded: set[UUID] = set()
    for start in range(0, len(gifts), _BATCH):
        guarded |= books.guarded_among(gifts[start : start + _BATCH])
    return guarded


def _hindrance(message: Message, guarded: set[UUID]) -> str | None:
    if message.state not in REPLAYABLE:
        state = message.state.value.replace("_", " ")
        return f"is {state}; only dead, expired and cancelled messages can be sent again"
    if message.redacted_at is not None:
        return CONTENT_IS_GONE
    return _MAY_HAVE_BEEN_SENT if message.id in guarded else None
