"""`dispatcher migrate`: bring the ledger to the schema that this version works with."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from dispatcher.cli.exits import Refused
from dispatcher.cli.options import AsJson
from dispatcher.cli.session import open_services


def migrate(
    to: Annotated[str, typer.Option("--to", metavar="REV", help="A revision, or `head`: the newest.")] = "head",
    yes: Annotated[bool, typer.Option("--yes", help="Go to `base` although that deletes every message.")] = False,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="Try again for so long while others use the tables."),
    ] = 300,
    as_json: AsJson = False,
) -> None:
    """Create or upgrade the ledger's tables.

    Run it before workers of a new version start; they never do it by themselves. Running it twice is harmless. It needs
    the tables for itself: while another session has them open it waits for one second at a time, so that what is
    enqueued meanwhile is not held up, and says so.
    """
    from dispatcher.cli import screen
    from dispatcher.ledger import HEAD, MigrationWait, migrate

    def say_wait(waiting: MigrationWait) -> None:
        holder = f" ({waiting.holder})" if waiting.holder else ""
        pause = f"{waiting.again_in.total_seconds():g} s"
        screen.remark(f"another session uses the ledger's tables{holder}; try {waiting.tries + 1} follows in {pause}")

    if to == "base" and not yes:
        raise Refused("--to base deletes every message and the audit trail; add --yes if you mean it")
    with open_services() as services:
        before, after = migrate(services.engine, target=to, patience=timedelta(seconds=wait), on_wait=say_wait)
    if as_json:
        screen.print_json({"before": before, "after": after, "head": HEAD, "changed": before != after})
    elif before == after:
        screen.say(f"The ledger is at revision {after or 'none'} already.")
    else:
        screen.say(f"The ledger went from revision {before or 'none'} to {after or 'none'}.")
