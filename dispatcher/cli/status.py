"""`dispatcher status`: how the whole stands, what needs a person first."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dispatcher.cli.exits import WrongUsage
from dispatcher.cli.options import AsJson
from dispatcher.cli.session import open_ledger
from dispatcher.domain.errors import DispatcherError


def status(
    watch: Annotated[
        float | None, typer.Option("--watch", metavar="SECONDS", min=0.2, help="Show it again every so often.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what stands where, and what needs a person.

    Per channel and priority what is queued, in flight and settled; each channel's rate, breaker and pause; the token.
    What needs a person comes first: gifts in doubt, dead letters, paused channels. Works without Redis and without the
    API's settings; what cannot be known then is named.
    """
    from dispatcher.cli import screen, statuses

    if watch is not None and as_json:
        raise WrongUsage("--watch: shows a screen; leave it out with --json")
    with open_ledger() as services:
        if watch is None:
            view = statuses.read(services)
            if as_json:
                screen.print_json(statuses.document(view))
            else:
                screen.show(statuses.page(view, wide=screen.paper().width >= screen.WIDE))
            return
        from rich.live import Live
        from rich.text import Text

        paper = screen.paper()
        with Live(console=paper, screen=paper.is_terminal, auto_refresh=False) as live:
            while True:
                try:
                    shown = statuses.page(statuses.read(services), wide=paper.width >= screen.WIDE)
                    live.update(shown, refresh=True)
                except DispatcherError as away:
                    live.update(Text(f"error: {screen.inert(str(away))}"), refresh=True)
                time.sleep(watch)
