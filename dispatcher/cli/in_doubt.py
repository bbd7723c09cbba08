"""`dispatcher in-doubt`: messages of which nobody knows whether they were carried out, and answering for them."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.exits import Exit, WrongUsage
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, Limit, MessageIdText, QueryText, RequiredWhy, Reveal
from dispatcher.cli.session import open_operator, stated
from dispatcher.domain.message import Channel

in_doubt = noun("See what may or may not have been carried out, and answer for it.")


@in_doubt.command("list")
def list_(*, query: QueryText = "", limit: Limit = 50, as_json: AsJson = False, reveal: Reveal = False) -> None:
    """List what nobody knows about: gifts first, oldest first, the money at stake above.

    Example:
      dispatcher in-doubt list --query "campaign:spring in_doubt:>1d"
    """
    from rich.text import Text

    from dispatcher.cli import lists, screen

    with open_operator() as operator:
        now = operator.clock.now()
        found = operator.in_doubt(query, limit=limit)
    page = lists.Page(messages=found.rows, more=False)
    if as_json:
        lists.print_page(page, reveal=reveal, total=found.total, money_at_stake=found.money)
    elif found.total:
        gifts = found.counts[Channel.GIFT]
        stake = " + ".join(f"{currency} {amount}" for currency, amount in sorted(found.money.items()))
        head = f"{gifts} gift{'s' * (gifts != 1)}, {stake} at stake; " if gifts else ""
        screen.show(Text(f"In doubt: {head}{found.counts[Channel.SMS]} SMS", style="bold"), "")
        lists.show_troubled(page, now=now, reveal=reveal)
        screen.say("")
        if found.total > limit:
            screen.say(f"{found.total - limit} more: --limit {min(found.total, 10_000)} shows them.")
        screen.say("Ask the provider about each one, then answer for it:")
        screen.say("  dispatcher in-doubt resolve ID --sent|--not-sent|--give-up --reason TEXT")
    else:
        screen.say("Nothing is in doubt.")
    if not found.total:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@in_doubt.command()
def resolve(
    *,
    id: MessageIdText,
    reason: RequiredWhy,
    sent: Annotated[bool, typer.Option("--sent", help="It was carried out: it counts as accepted.")] = False,
    not_sent: Annotated[bool, typer.Option("--not-sent", help="It was not: send it.")] = False,
    give_up: Annotated[bool, typer.Option("--give-up", help="Nobody will know: let it be, as dead.")] = False,
    provider_id: Annotated[
        str | None, typer.Option("--provider-id", metavar="ID", help="With --sent: the provider's id for it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer for a message in doubt.

    The answer and its reason go to the audit trail under your name.

    Examples:
      dispatcher in-doubt resolve ID --sent --reason "seen in their console"
      dispatcher in-doubt resolve ID --not-sent --reason "it never arrived"
    """
    from dispatcher.cli import screen, shown
    from dispatcher.client import as_id
    from dispatcher.ledger import Resolution

    answers = [
        answer
        for answer, given in ((Resolution.SENT, sent), (Resolution.NOT_SENT, not_sent), (Resolution.GIVE_UP, give_up))
        if given
    ]
    if len(answers) != 1:
        raise WrongUsage("give one of --sent, --not-sent and --give-up: what do you know about it?")
    if provider_id is not None and not sent:
        raise WrongUsage("--provider-id: goes only with --sent")
    why = stated(reason)
    with open_operator() as operator:
        message = operator.resolve(as_id(id), answers[0], reason=why, provider_id=provider_id)
    if as_json:
        screen.print_json(shown.document(message, reveal=False))
        return
    came_to = {
        Resolution.SENT: "counts as accepted",
        Resolution.NOT_SENT: "is queued again",
        Resolution.GIVE_UP: "is given up",
    }
    screen.say(f"{shown.what(message, reveal=False)} {came_to[answers[0]]}.")
