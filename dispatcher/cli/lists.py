"""Lists of messages: one line each where the screen is wide enough, else what fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from rich.table import Table
from rich.text import Text

from dispatcher.cli import screen, shown
from dispatcher.cli.when import roughly
from dispatcher.ledger import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The messages that are shown, and whether there are more."""

    messages: tuple[Message, ...]
    more: bool

    @classmethod
    def cut(cls, found: Sequence[Message], limit: int) -> Self:
        """Keep ``limit`` of what was found; one more than that tells that there are more."""
        return cls(messages=tuple(found[:limit]), more=len(found) > limit)


def print_page(page: Page, *, reveal: bool, **about: object) -> None:
    """Print a page as JSON; ``next_before`` is what ``--before`` takes for the page after, null at the end."""
    last = page.messages[-1].id if page.more else None
    messages = [shown.document(message, reveal=reveal) for message in page.messages]
    screen.print_json({**about, "messages": messages, "next_before": last})


def show_messages(page: Page, *, now: datetime, reveal: bool) -> None:
    """Print messages, whatever their state."""
    if not page.messages:
        screen.say("No message matches.")
        return
    wide = screen.paper().width >= screen.WIDE
    heads = ["id", "state", "age", "channel", "to"] + (["calls", "last trouble"] if wide else [])
    table = screen.listing(*heads, right=("age",))
    for message in page.messages:
        cells: list[str | Text] = [
            str(message.id),
            shown.named(message.state),
            roughly(now - message.created_at),
            message.channel.value,
            shown.recipient(message, reveal=reveal),
        ]
        table.add_row(*cells, *([_attempts(message), shown.trouble(message)] if wide else []))
    screen.show(table)
    _mention_more(page)


def show_troubled(page: Page, *, now: datetime, reveal: bool) -> None:
    """Print messages that went wrong, each with how long ago that was and the reason."""
    if screen.paper().width >= screen.WIDE:
        table = screen.listing("id", "state", "ago", "what", "calls", "why", right=("ago",))
        for message in page.messages:
            table.add_row(
                str(message.id),
                shown.named(message.state),
                roughly(now - message.updated_at),
                shown.what(message, reveal=reveal),
                _attempts(message),
                shown.trouble(message),
            )
    else:
        table = _cards(page, now=now, reveal=reveal)
    screen.show(table)
    _mention_more(page)


def _cards(page: Page, *, now: datetime, reveal: bool) -> Table:
    """Lay out two or three lines for each message, for screens of 80 columns."""
    table = screen.listing("id", "what and why")
    for message in page.messages:
        place = Text.assemble("  ", shown.named(message.state), f", {roughly(now - message.updated_at)} ago")
        story = Text(shown.what(message, reveal=reveal))
        if message.last_error:
            story.append(f"\n{shown.trouble(message)}", style="dim")
        table.add_row(Text(str(message.id)).append("\n").append_text(place), story)
    return table


def _attempts(message: Message) -> str:
    return f"{message.attempts_made}/{message.max_attempts}"


def _mention_more(page: Page) -> None:
    if page.more:
        screen.remark(f"There are more: add --before {page.messages[-1].id}, or a larger --limit.")
