"""`dispatcher check`: walk the chain from the settings to the API, and say for each fault what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.exits import Exit
from dispatcher.cli.options import AsJson

WithoutApi = Annotated[bool, typer.Option("--without-api", help="Leave out what calls the API.")]


def check(as_json: AsJson = False, without_api: WithoutApi = False) -> None:
    """Check that sending can work, and say what to do if not.

    Settings, ledger, Redis, token, scopes and the API's test call, one after the other. No message is sent. The exit
    code is 1 if anything is at fault.
    """
    from dispatcher.cli import checkup, links, screen
    from dispatcher.telemetry import silence_logs

    silence_logs()
    steps = links.walk_all(without_api=without_api)
    faults = sum(step.mark is checkup.Mark.FAULT for step in steps)
    warnings = sum(step.mark is checkup.Mark.WARNING for step in steps)
    if as_json:
        screen.print_json(
            {
                "ok": faults == 0,
                "faults": faults,
                "warnings": warnings,
                "steps": [
                    {"name": step.name, "mark": step.mark, "found": step.found, "advice": step.advice} for step in steps
                ],
            }
        )
    else:
        screen.show(checkup.table(steps), "", checkup.summary(faults, warnings))
    if faults:
        raise typer.Exit(Exit.FAILED)
