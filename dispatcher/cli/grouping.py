"""Failure groups on the screen and in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dispatcher.admin.grouping import query_of
from dispatcher.cli import screen
from dispatcher.cli.when import roughly
from dispatcher.ledger import Group


def document(group: Group) -> dict[str, Any]:
    """Return a group for JSON, with the query that finds it."""
    return {
        "channel": group.channel,
        "outcome": group.outcome,
        "status": group.status,
        "failure": group.failure,
        "messages": group.count,
        "recipients": group.recipients,
        "campaigns": group.campaigns,
        "first_at": group.first_at,
        "last_at": group.last_at,
        "query": query_of(group),
    }


def show(groups: Sequence[Group], *, now: datetime) -> None:
    """Print groups, each with its query below."""
    heads = ("messages", "channel", "status", "last", "recipients", "why")
    table = screen.listing(*heads, right=("messages", "last", "recipients"))
    for each in groups:
        table.add_row(
            f"{each.count:,}",
            each.channel.value,
            "·" if each.status is None else str(each.status),
            f"{roughly(now - each.last_at)} ago",
            f"{each.recipients:,}",
            screen.inert(each.failure or each.outcome or "unknown"),
        )
    screen.show(table)
    screen.say("")
    screen.say("To act on a group, give its query to dead list, dead replay or dead discard:")
    for each in groups[:5]:
        screen.say(f"  --query '{query_of(each)}'")
