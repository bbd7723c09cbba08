"""`dispatcher dead`: what was given up, why, in groups; sending it again, or putting it away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.confirm import confirm
from dispatcher.cli.exits import Exit, WrongUsage
from dispatcher.cli.messages import show_story
from dispatcher.cli.noun import noun
from dispatcher.cli.options import MOMENT, AsJson, Limit, MessageIdText, QueryText, RequiredWhy, Reveal, Why
from dispatcher.cli.session import actor, open_ledger, stated
from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Deed

if TYPE_CHECKING:
    from dispatcher.admin import NamedReplay

dead = noun("See what was given up (dead or expired) and why, send it again, or put it away.")

_OfChannel = Annotated[Channel | None, typer.Option("--channel", help="Only of this channel.")]
_Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The messages' ids.", show_default=False)]
_Everything = Annotated[bool, typer.Option("--all", help="All that is dead or expired, instead of ids.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can be asked.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")]
_USAGE = "give the ids of messages, or --query TEXT, or --all; --channel goes with the last two"


@dead.command("list")
def list_(
    *,
    query: QueryText = "",
    channel: _OfChannel = None,
    limit: Limit = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="The page after: older than this message.")
    ] = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List messages that were given up, newest first, each with the reason.

    Example:
      dispatcher dead list --query "status:5xx dead:<2h"
    """
    from dispatcher.admin import GIVEN_UP
    from dispatcher.cli import lists, screen
    from dispatcher.client import as_id

    with open_ledger() as services:
        older = None if before is None else as_id(before)
        found = services.operator(actor()).search(
            _narrowed(f"{query} {GIVEN_UP}", channel), limit=limit + 1, before=older
        )
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
def groups(*, query: QueryText = "", channel: _OfChannel = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Count what was given up by its reason: forty thousand messages become five decisions.

    Each group has the query that finds it, for `dead list`, `dead replay` and `dead discard`.
    """
    from dispatcher.cli import grouping, screen

    with open_ledger() as services:
        found = services.operator(actor()).groups(_narrowed(query, channel), limit=limit)
        now = services.clock.now()
    if as_json:
        screen.print_json({"groups": [grouping.document(each) for each in found]})
    elif found:
        grouping.show(found, now=now)
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
    ids: _Ids = None,
    query: QueryText = "",
    everything: _Everything = False,
    channel: _OfChannel = None,
    at: Annotated[str | None, typer.Option("--at", metavar="WHEN", help=f"Not before: {MOMENT}")] = None,
    spread: Annotated[
        str | None, typer.Option("--spread", metavar="SPAN", help="Many: evenly over so long: 30m, 2h.")
    ] = None,
    rate: Annotated[str | None, typer.Option("--rate", metavar="RATE", help="Many: no faster than 20/s.")] = None,
    canary: Annotated[
        int, typer.Option("--canary", metavar="N", min=0, help="Many: N first; stop if a fifth of them fails again.")
    ] = 0,
    detach: Annotated[bool, typer.Option("--detach", help="Many: leave it to the clock and return at once.")] = False,
    reason: Why = None,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send messages again, after showing the plan.

    More than one is asked about first. Attempts start afresh; earlier ones stay recorded. Many become a durable
    operation: ended here, the clock goes on with it. Never a gift that may have been carried out: only a person can
    say that it was not, with `in-doubt resolve`.

    Examples:
      dispatcher dead replay ID
      dispatcher dead replay --query "status:5xx dead:<1d" --canary 20 --yes --reason "the outage is over"
      dispatcher dead replay --all --channel sms --dry-run
    """
    from dispatcher.cli import operating, screen

    if _names(ids, query, channel, everything=everything):
        if spread or rate or canary or detach:
            raise WrongUsage("--spread, --rate, --canary and --detach go with --query or --all, not with ids")
        _replay_named(ids or [], at=at, reason=reason, yes=yes, dry_run=dry_run, as_json=as_json)
        return
    with open_ledger() as services:
        operator = services.operator(actor())
        pace = operating.pace(operator, at=at, spread=spread, rate=rate, canary=canary)
        plan = operator.plan(Deed.REPLAY, _narrowed(query, channel))
        if not as_json:
            operating.show_plan(plan)
        progress = None
        if plan.forecast.total and not dry_run:
            operating.confirm_plan(plan, yes=yes, as_json=as_json)
            begun = operator.begin(plan, reason=reason, pace=pace)
            progress = operating.carry_out(operator, begun, detach=detach, as_json=as_json)
    if as_json:
        operation = None if progress is None else operating.document(progress)
        replayed = 0 if progress is None else progress.operation.done
        screen.print_json(
            {**operating.plan_document(plan), "dry_run": dry_run, "replayed": replayed, "operation": operation}
        )
    elif progress is not None:
        screen.say(operating.told(progress))
    if not plan.forecast.total:
        if not plan.forecast.left_out:
            screen.remark("No message was given up, so there is nothing to replay.")
        raise typer.Exit(Exit.REFUSED if plan.forecast.left_out else Exit.NOTHING_MATCHED)


@dead.command()
def edit(
    *,
    id: MessageIdText,
    to: Annotated[str | None, typer.Option("--to", metavar="NUMBER", help="The right number.")] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="SMS: the right text.")] = None,
    sku: Annotated[str | None, typer.Option("--sku", metavar="SKU", help="Gift: the right one.")] = None,
    amount: Annotated[str | None, typer.Option("--amount", metavar="AMOUNT", help="Gift: what it is worth.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", metavar="CODE", help="Gift: in which money.")] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Gift: the words with it.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="WHEN", help=f"Not before: {MOMENT}")] = None,
    reason: RequiredWhy,
    as_json: AsJson = False,
) -> None:
    """Put a message right and send it again.

    It is checked as it was when it was enqueued. What it was before stays in the audit trail; its earlier calls stay in
    its story. Never a gift that may have been carried out.

    Examples:
      dispatcher dead edit ID --to +61491570006 --reason "a digit was missing"
      dispatcher dead edit ID --text "Parcel 7 is here" --reason "the template was broken"
    """
    from dispatcher.admin import MessageEdit
    from dispatcher.cli import screen, shown
    from dispatcher.cli.when import parse_moment
    from dispatcher.client import as_id

    changes = MessageEdit(recipient=to, body=text, sku=sku, amount=amount, currency=currency, note=note)
    if not changes.any:
        raise WrongUsage("say what is to be otherwise, e.g. with --to or --text; as it is, `dead replay` sends it")
    why = stated(reason)
    with open_ledger() as services:
        moment = parse_moment(at, field="at", now=services.clock.now())
        message = services.operator(actor()).replay(as_id(id), reason=why, at=moment, changes=changes)
    if as_json:
        screen.print_json(shown.document(message, reveal=False))
    else:
        screen.say(f"{shown.what(message, reveal=False)} is put right and queued again.")


@dead.command()
def discard(
    *,
    ids: _Ids = None,
    query: QueryText = "",
    everything: _Everything = False,
    channel: _OfChannel = None,
    reason: RequiredWhy,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put dead and expired messages away: they stay recorded and are listed and counted no more.

    Never a gift that may have been carried out. One that was put away can still be replayed by its id.

    Example:
      dispatcher dead discard --query "code:invalid_recipient" --reason "numbers of the old list" --yes
    """
    from dispatcher.cli import operating, screen
    from dispatcher.client import as_id

    why = stated(reason)
    named = _names(ids, query, channel, everything=everything)
    with open_ledger() as services:
        operator = services.operator(actor())
        wanted = [as_id(each) for each in ids or []] if named else []
        plan = operator.plan(Deed.DISCARD, _narrowed(query, channel), wanted)
        if not as_json:
            operating.show_plan(plan)
        progress = None
        if plan.forecast.total and not dry_run:
            operating.confirm_plan(plan, yes=yes, as_json=as_json)
            begun = operator.begin(plan, reason=why)
            progress = operating.carry_out(operator, begun, detach=False, as_json=as_json)
    if as_json:
        discarded = 0 if progress is None else progress.operation.done
        screen.print_json({**operating.plan_document(plan), "dry_run": dry_run, "discarded": discarded})
    elif progress is not None:
        screen.say(operating.told(progress))
    if not plan.forecast.total:
        screen.remark("Nothing of this is dead or expired and can be put away.")
        raise typer.Exit(Exit.REFUSED if plan.forecast.left_out else Exit.NOTHING_MATCHED)


def _names(ids: list[str] | None, query: str, channel: Channel | None, *, everything: bool) -> bool:
    """Say whether messages are named; else a query or all of them."""
    if sum((bool(ids), bool(query), everything)) != 1 or (channel is not None and ids):
        raise WrongUsage(_USAGE)
    return bool(ids)


def _narrowed(query: str, channel: Channel | None) -> str:
    return query if channel is None else f"{query} channel:{channel.value}"


def _replay_named(
    ids: list[str], *, at: str | None, reason: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    from dispatcher.admin import plan_named_replay, run_named_replay
    from dispatcher.cli import replaying, screen
    from dispatcher.cli.when import parse_moment

    with open_ledger() as services:
        moment = parse_moment(at, field="at", now=services.clock.now())
        operator = services.operator(actor())
        plan = plan_named_replay(operator, ids)
        if not as_json:
            replaying.show(plan)
        replayed = 0
        if not dry_run and plan.go:
            confirm(
                f"Send these {len(plan.go)} again?",
                yes=yes or len(plan.go) == 1,
                as_json=as_json,
                declined="nothing was replayed",
            )
            plan = run_named_replay(operator, plan, reason=reason, at=moment)
            replayed = len(plan.go)
        if as_json:
            screen.print_json(replaying.document(plan, replayed=replayed, dry_run=dry_run))
        elif replayed:
            screen.say(f"{replayed} queued again.")
    raise typer.Exit(_ending(plan))


def _ending(plan: NamedReplay) -> Exit:
    """Of messages that were named, each one counts."""
    if any(not each.unknown for each in plan.left_out):
        return Exit.REFUSED
    if any(each.unknown for each in plan.left_out):
        return Exit.NOTHING_MATCHED
    return Exit.DONE
