"""`dispatcher audit`: who did what, when and why."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.exits import Exit, WrongUsage
from dispatcher.cli.options import AsJson, Limit
from dispatcher.cli.session import open_operator
from dispatcher.domain.identity import parse_id


def audit(
    *,
    about: Annotated[
        str | None,
        typer.Option("--about", metavar="SUBJECT", help="Only about a message's id, channel:gift, campaign:ID, …"),
    ] = None,
    limit: Limit = 50,
    before: Annotated[str | None, typer.Option("--before", metavar="ID", help="The page after.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what, newest first, with the reasons they gave."""
    from dispatcher.cli import screen
    from dispatcher.cli.when import at

    older = None if before is None else parse_id(before, missing=_no_entry)
    with open_operator() as operator:
        found = operator.audit(about=about, limit=limit + 1, before=older)
    entries, more = found[:limit], len(found) > limit
    if as_json:
        rows = [{name: getattr(each, name) for name in type(each).__dataclass_fields__} for each in entries]
        screen.print_json({"entries": rows, "next_before": entries[-1].id if more else None})
    elif entries:
        table = screen.listing("when", "who", "did", "to", "why")
        for each in entries:
            texts = (each.actor, each.action, each.subject, each.reason or "")
            table.add_row(at(each.at), *(screen.inert(text) for text in texts))
        screen.show(table)
        if more:
            screen.remark(f"There are more: add --before {entries[-1].id}, or a larger --limit.")
    else:
        screen.say("Nobody did anything yet.")
    if not entries:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def _no_entry(text: str) -> WrongUsage:
    return WrongUsage(f"--before: {text} is not the id of an entry; take it from the end of the page before")
