"""`dispatcher dead`: what was given up, why, and sending it again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.exits import Exit, Refused, WrongUsage
from dispatcher.cli.messages import show_story
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, Limit, MessageIdText, Reveal, Why
from dispatcher.cli.session import by, open_ledger
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State

if TYPE_CHECKING:
    from dispatcher.cli.replaying import Plan

dead = noun("See what was given up (dead or expired), and send it again.")

_GIVEN_UP = (State.DEAD, State.EXPIRED)
_OfChannel = Annotated[Channel | None, typer.Option("--channel", help="Only of this channel.")]


@dead.command("list")
def list_(
    *,
    channel: _OfChannel = None,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="The page after: older than this message.")
    ] = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List messages that were given up, newest first, each with the reason."""
    from dispatcher.cli import lists, screen
    from dispatcher.client import as_id
    from dispatcher.ledger import Filter

    with open_ledger() as services:
        older = None if before is None else as_id(before)
        found = services.books.messages(Filter(channel=channel, states=_GIVEN_UP), limit=limit + 1, before=older)
        page = lists.Page.cut(found, limit)
        if as_json:
            lists.print_page(page, reveal=reveal)
        elif found:
            lists.show_troubled(page, now=services.clock.now(), reveal=reveal)
        else:
            screen.say("No message was given up.")
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@dead.command()
def show(id: MessageIdText, as_json: AsJson = False, reveal: Reveal = False) -> None:
    """Tell the story of one message: the same as `dispatcher messages show`."""
    show_story(id, as_json=as_json, reveal=reveal)


@dead.command()
def replay(
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="The messages' ids.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is dead or expired, instead of ids.")] = False,
    channel: Annotated[Channel | None, typer.Option("--channel", help="With --all: only of this channel.")] = None,
    reason: Why = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can be asked.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send messages again, after showing the plan.

    More than one is asked about first. Attempts start afresh. Never a gift that may have been carried out: only a
    person can say that it was not, with `in-doubt resolve`.

    Examples:
      dispatcher dead replay ID
      dispatcher dead replay --all --channel sms --dry-run
      dispatcher dead replay --all --yes --reason "the provider's outage is over"
    """
    from dispatcher.cli import replaying, screen
    from dispatcher.ledger import Filter

    if everything == bool(ids) or (channel is not None and not everything):
        raise WrongUsage("give the ids of messages, or --all with or without --channel")
    with open_ledger() as services:
        books = services.books
        if everything:
            plan = replaying.plan_all(books, Filter(channel=channel, states=_GIVEN_UP))
        else:
            plan = replaying.plan_named(books, ids or [])
        if not plan.go and not plan.left_out:
            screen.remark("No message was given up, so there is nothing to replay.")
        if not as_json:
            replaying.show(plan)
        replayed = 0
        if not dry_run and plan.go:
            _agree(plan, yes=yes, as_json=as_json)
            plan, replayed = replaying.carry_out(plan, services, by(services, reason))
            services.bell.ring()
        if as_json:
            screen.print_json(replaying.document(plan, replayed=replayed, dry_run=dry_run))
        elif replayed:
            screen.say(f"{replayed} queued again.")
    raise typer.Exit(_ending(plan, everything=everything))


def _agree(plan: Plan, *, yes: bool, as_json: bool) -> None:
    count = len(plan.go)
    if yes or count == 1:
        return
    if as_json or not sys.stdin.isatty():
        raise Refused(f"{count} messages would be sent again and nobody can be asked here: add --yes if you mean it")
    if not typer.confirm(f"Send these {count} again?", err=True):
        raise Refused("nothing was replayed")


def _ending(plan: Plan, *, everything: bool) -> Exit:
    """With --all what must be left out is no surprise; of messages that were named, each one counts."""
    if not plan.go and not plan.left_out:
        return Exit.NOTHING_MATCHED
    if any(not each.unknown for each in plan.left_out) and not (everything and plan.go):
        return Exit.REFUSED
    if any(each.unknown for each in plan.left_out):
        return Exit.NOTHING_MATCHED
    return Exit.DONE
