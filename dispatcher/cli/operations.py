"""`dispatcher operations`: bulk replays and discards: how they stand, and stopping them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from dispatcher.cli.exits import Exit
from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, Limit, Why
from dispatcher.cli.session import open_operator
from dispatcher.domain.errors import OperationNotFound
from dispatcher.domain.identity import parse_id

if TYPE_CHECKING:
    from dispatcher.admin import OperationProgress

operations = noun("See how bulk replays and discards stand, pause and end them.")

_Which = Annotated[str, typer.Argument(metavar="ID", help="The operation's id.", show_default=False)]


@operations.command("list")
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """List bulk operations, newest first."""
    from dispatcher.cli import operating, screen
    from dispatcher.cli.when import roughly

    with open_operator() as operator:
        found = operator.operations(limit=limit)
        listed = [operator.progress(each.id) for each in found] if as_json else []
        now = operator.clock.now()
    if as_json:
        screen.print_json({"operations": [operating.document(each) for each in listed]})
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
    with open_operator() as operator:
        progress = operator.progress(_id(id))
    _show(progress, as_json=as_json)


@operations.command()
def pause(id: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """Stop an operation before its next step."""
    with open_operator() as operator:
        progress = operator.pause_operation(_id(id), reason=reason)
    _show(progress, as_json=as_json)


@operations.command()
def resume(id: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """Let a paused operation go on."""
    with open_operator() as operator:
        progress = operator.resume_operation(_id(id), reason=reason)
    _show(progress, as_json=as_json)


@operations.command()
def abort(id: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """End an operation. What it has done stays done."""
    with open_operator() as operator:
        progress = operator.abort_operation(_id(id), reason=reason)
    _show(progress, as_json=as_json)


def _show(progress: OperationProgress, *, as_json: bool) -> None:
    from dispatcher.cli import operating, screen

    if as_json:
        screen.print_json(operating.document(progress))
    else:
        operating.show(progress)


def _id(text: str) -> UUID:
    return parse_id(text, missing=OperationNotFound)
