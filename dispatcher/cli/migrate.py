"""`dispatcher migrate`: bring the ledger to the schema that this version works with."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.exits import Refused
from dispatcher.cli.options import AsJson
from dispatcher.cli.session import open_services


def migrate(
    to: Annotated[str, typer.Option("--to", metavar="REV", help="A revision, or `head`: the newest.")] = "head",
    yes: Annotated[bool, typer.Option("--yes", help="Go to `base` although that deletes every message.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create or upgrade the ledger's tables.

    Run it before workers of a new version start; they never do it by themselves. Running it twice is harmless.
    """
    from dispatcher.cli import screen
    from dispatcher.ledger import HEAD, migrate

    if to == "base" and not yes:
        raise Refused("--to base deletes every message and the audit trail; add --yes if you mean it")
    with open_services() as services:
        before, after = migrate(services.engine, target=to)
    if as_json:
        screen.print_json({"before": before, "after": after, "head": HEAD, "changed": before != after})
    elif before == after:
        screen.say(f"The ledger is at revision {after or 'none'} already.")
    else:
        screen.say(f"The ledger went from revision {before or 'none'} to {after or 'none'}.")
