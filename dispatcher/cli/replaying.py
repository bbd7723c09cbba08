"""The plan of a replay: what would be sent again, what it is worth, what is left out and why; and carrying it out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import typer

from dispatcher.cli import screen, shown
from dispatcher.cli.exits import Refused
from dispatcher.client import as_id
from dispatcher.domain.errors import LedgerUnavailable, MessageNotFound, TransitionRefused
from dispatcher.domain.message import DEFAULT_LIFE, Channel, worth
from dispatcher.ledger import Books, By, Message
from dispatcher.ledger.operations import CONTENT_IS_GONE, REPLAYABLE
from dispatcher.wiring import Services

_AT_ONCE = 1000
_IDS_SHOWN = 5
_MAY_HAVE_BEEN_SENT = "a gift that may have been carried out; only a person can say that it was not"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A message that will not be replayed."""

    id: str
    why: str
    unknown: bool = False
    """There is no such message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay comes to."""

    go: tuple[Message, ...]
    left_out: tuple[LeftOut, ...]

    def of(self, channel: Channel) -> list[Message]:
        """The messages of one channel that would go."""
        return [message for message in self.go if message.channel is channel]

    @property
    def money(self) -> dict[str, Decimal]:
        """What the gifts among them are worth, by currency."""
        return worth(message.gift for message in self.go)


def plan_named(books: Books, ids: Iterable[str]) -> Plan:
    """Plan to replay the messages that were named."""
    found: dict[UUID, Message] = {}
    missing = []
    for text in dict.fromkeys(ids):
        try:
            found[as_id(text)] = books.message(as_id(text))
        except MessageNotFound:
            missing.append(LeftOut(id=text, why="there is no such message", unknown=True))
    return _plan(books, list(found.values()), missing)


def carry_out(plan: Plan, services: Services, by: By, *, at: datetime | None) -> tuple[Plan, int]:
    """Queue the messages again, and return the plan as it came out and how many were queued.

    :raises LedgerUnavailable: saying how many had been queued before the ledger went away.
    """
    done, refused = [], list(plan.left_out)
    for message in reversed(plan.go):  # oldest first, as they were given up
        try:
            services.books.replay(message.id, by, budget=services.settings.max_attempts, life=DEFAULT_LIFE, at=at)
            done.append(message)
        except (TransitionRefused, MessageNotFound) as changed:  # somebody else was faster
            refused.append(LeftOut(id=str(message.id), why=str(changed)))
        except LedgerUnavailable as away:
            raise LedgerUnavailable(f"{away} ({len(done)} of {len(plan.go)} had been queued again)") from None
    return replace(plan, go=tuple(done), left_out=tuple(refused)), len(done)


def agree(count: int, *, yes: bool, as_json: bool) -> None:
    """Ask before more than one message is sent again.

    :raises Refused: the answer is no, or nobody can be asked.
    """
    if yes or count == 1:
        return
    if as_json or not sys.stdin.isatty():
        raise Refused(f"{count} messages would be sent again and nobody can be asked here: add --yes if you mean it")
    if not typer.confirm(f"Send these {count} again?", err=True):
        raise Refused("nothing was replayed")


def document(plan: Plan, *, replayed: int, dry_run: bool) -> dict[str, Any]:
    """Return the plan for JSON, and what came of it."""
    return {
        "dry_run": dry_run,
        "planned": len(plan.go),
        "replayed": replayed,
        "channels": {
            channel.value: {"messages": len(plan.of(channel)), "may_have_arrived": _doubtful(plan.of(channel))}
            for channel in Channel
        },
        "money": plan.money,
        "ids": [message.id for message in plan.go],
        "left_out": [{"id": each.id, "why": each.why} for each in plan.left_out],
    }


def show(plan: Plan) -> None:
    """Print the plan."""
    for channel in Channel:
        messages = plan.of(channel)
        if messages:
            screen.say(f"  send again  {len(messages)} {channel.value}{_remark(plan, channel, messages)}")
    for why, count in Counter(each.why for each in plan.left_out).most_common():
        screen.say(f"  leave out   {count}: {why}")
        ids = [each.id for each in plan.left_out if each.why == why]
        for id_ in ids[:_IDS_SHOWN]:
            screen.say(f"              {id_}")
        if len(ids) > _IDS_SHOWN:
            screen.say(f"              and {len(ids) - _IDS_SHOWN} more")


def _remark(plan: Plan, channel: Channel, messages: list[Message]) -> str:
    if channel is Channel.GIFT:
        return f", worth {' + '.join(f'{currency} {amount}' for currency, amount in sorted(plan.money.items()))}"
    if len(messages) == 1:
        return f" to {shown.recipient(messages[0], reveal=False)}{_twice(_doubtful(messages))}"
    return _twice(_doubtful(messages))


def _twice(doubtful: int) -> str:
    return f" ({doubtful} of them may have arrived already: a call got no answer)" if doubtful else ""


def _doubtful(messages: list[Message]) -> int:
    return sum(message.doubtful_sends > 0 for message in messages)


def _plan(books: Books, candidates: list[Message], missing: Iterable[LeftOut]) -> Plan:
    gifts = [message.id for message in candidates if message.channel is Channel.GIFT]
    guarded: set[UUID] = set()
    for start in range(0, len(gifts), _AT_ONCE):
        guarded |= books.guarded_among(gifts[start : start + _AT_ONCE])
    go, left_out = [], list(missing)
    for message in candidates:
        why = _hindrance(message, guarded)
        if why is None:
            go.append(message)
        else:
            left_out.append(LeftOut(id=str(message.id), why=why))
    return Plan(go=tuple(go), left_out=tuple(left_out))


def _hindrance(message: Message, guarded: set[UUID]) -> str | None:
    if message.state not in REPLAYABLE:
        state = message.state.value.replace("_", " ")
        return f"is {state}; only dead, expired and cancelled messages can be sent again"
    if message.redacted_at is not None:
        return CONTENT_IS_GONE
    return _MAY_HAVE_BEEN_SENT if message.id in guarded else None
