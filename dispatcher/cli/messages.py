"""`dispatcher messages`: find messages, read one's story, call one off."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.exits import Exit
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, Limit, MessageIdText, QueryText, Reveal, Why
from dispatcher.cli.session import actor, open_ledger, open_operator
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.state import State

messages = noun("Find messages, read the story of one, call one off.")


@messages.command("list")
def list_(
    *,
    query: QueryText = "",
    channel: Annotated[Channel | None, typer.Option("--channel", help="Only of this channel.")] = None,
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only in this state; may be repeated.", case_sensitive=False)
    ] = None,
    priority: Annotated[Priority | None, typer.Option("--priority", help="Only of this priority.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="NUMBER", help="Only to this number.")] = None,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="The page after: older than this message.")
    ] = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List messages, newest first.

    Examples:
      dispatcher messages list --channel gift --state in_doubt
      dispatcher messages list --to +61491570006 --limit 5
      dispatcher messages list --query "campaign:spring state:dead attempts>=3"
    """
    from dispatcher.cli import lists
    from dispatcher.client import as_id
    from dispatcher.domain.recipient import parse_recipient

    with open_ledger() as services:
        words = [query]
        words += [f"channel:{channel.value}"] if channel else []
        words += [f"priority:{priority.value}"] if priority else []
        words += [f"state:{','.join(each.value for each in state)}"] if state else []
        words += [f"to:{parse_recipient(to, region=services.intake.region)}"] if to else []
        older = None if before is None else as_id(before)
        found = services.operator(actor()).search(" ".join(words), limit=limit + 1, before=older)
        page = lists.Page.cut(found, limit)
        if as_json:
            lists.print_page(page, reveal=reveal)
        else:
            lists.show_messages(page, now=services.clock.now(), reveal=reveal)
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@messages.command()
def show(id: MessageIdText, as_json: AsJson = False, reveal: Reveal = False) -> None:
    """Tell the story of one message.

    Each call, what the API said, what people did, and the reason for each wait. Numbers and texts are masked unless
    --reveal shows them.
    """
    show_story(id, as_json=as_json, reveal=reveal)


@messages.command()
def cancel(id: MessageIdText, reason: Why = None, as_json: AsJson = False) -> None:
    """Call off a message that is still queued.

    What is under way or has been sent cannot be called back: that is refused (exit code 4).
    """
    from dispatcher.cli import screen, shown
    from dispatcher.client import as_id

    with open_operator() as operator:
        message = operator.cancel(as_id(id), reason=reason)
    if as_json:
        screen.print_json(shown.document(message, reveal=False))
    else:
        screen.say(f"{shown.what(message, reveal=False)} is cancelled: it will not be sent.")


def show_story(id: str, *, as_json: bool, reveal: bool) -> None:
    """Tell the story of one message, here and in `dispatcher dead show`."""
    from dispatcher.cli import screen, timeline
    from dispatcher.client import as_id

    with open_ledger() as services:
        message, attempts, audit = services.books.story(as_id(id))
        now = services.clock.now()
        hold = services.books.hold(message.id, now=now)
        story = timeline.Story(message=message, attempts=attempts, audit=audit, now=now, hold=hold)
    if as_json:
        screen.print_json(timeline.document(story, reveal=reveal))
    else:
        timeline.show(story, reveal=reveal)
