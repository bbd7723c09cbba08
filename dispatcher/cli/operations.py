"""`dispatcher operations`: bulk replays and discards: how they stand, and stopping them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from dispatcher.cli.exits import Exit
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, Limit, Why
from dispatcher.cli.session import by, open_ledger
from dispatcher.domain.errors import OperationNotFound

operations = noun("See how bulk replays and discards stand, pause and end them.")

_Which = Annotated[str, typer.Argument(metavar="ID", help="The operation's id.", show_default=False)]


@operations.command("list")
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """List bulk operations, newest first."""
    from dispatcher.cli import operating, screen
    from dispatcher.cli.when import roughly

    with open_ledger() as services:
        desk = services.desk("cli")
        found = services.inspection_books.operations(limit=limit)
        standings = [desk.standing(each.id) for each in found] if as_json else []
        now = services.clock.now()
    if as_json:
        screen.print_json({"operations": [operating.document(each) for each in standings]})
    elif found:
        table = screen.listing("id", "deed", "state", "age", "done", "by", "query", right=("age", "done"))
        for each in found:
            done = f"{each.done:,} of {each.total:,}"
            age = roughly(now - each.created_at)
            query = screen.inert(each.query)
            table.add_row(str(each.id), each.kind.value, each.state.value, age, done, screen.inert(each.actor), query)
        screen.show(table)
    else:
        screen.say("There has been no bulk operation.")
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@operations.command()
def show(id: _Which, as_json: AsJson = False) -> None:
    """Show how an operation stands, and what became of its messages."""
    from dispatcher.cli import operating, screen

    with open_ledger() as services:
        standing = services.desk("cli").standing(_id(id))
    if as_json:
        screen.print_json(operating.document(standing))
    else:
        operating.show(standing)


@operations.command()
def pause(id: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """Stop an operation before its next step."""
    with open_ledger() as services:
        services.inspection_books.pause_operation(_id(id), by(services, reason))
    show(id, as_json=as_json)


@operations.command()
def resume(id: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """Let a paused operation go on."""
    with open_ledger() as services:
        services.inspection_books.resume_operation(_id(id), by(services, reason))
    show(id, as_json=as_json)


@operations.command()
def abort(id: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """End an operation. What it has done stays done."""
    with open_ledger() as services:
        services.inspection_books.abort_operation(_id(id), by(services, reason))
    show(id, as_json=as_json)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise OperationNotFound(repr(text)) from None
