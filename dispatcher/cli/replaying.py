"""A replay of messages that were named, on the screen and in JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dispatcher.admin import NamedReplay
from dispatcher.cli import screen, shown
from dispatcher.domain.message import Channel
from dispatcher.ledger import Message

_IDS_SHOWN = 5


def document(plan: NamedReplay, *, replayed: int, dry_run: bool) -> dict[str, Any]:
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


def show(plan: NamedReplay) -> None:
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


def _remark(plan: NamedReplay, channel: Channel, messages: list[Message]) -> str:
    if channel is Channel.GIFT:
        return f", worth {' + '.join(f'{currency} {amount}' for currency, amount in sorted(plan.money.items()))}"
    if len(messages) == 1:
        return f" to {shown.recipient(messages[0], reveal=False)}{_twice(_doubtful(messages))}"
    return _twice(_doubtful(messages))


def _twice(doubtful: int) -> str:
    return f" ({doubtful} of them may have arrived already: a call got no answer)" if doubtful else ""


def _doubtful(messages: list[Message]) -> int:
    return sum(message.doubtful_sends > 0 for message in messages)
