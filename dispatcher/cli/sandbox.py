"""`dispatcher sandbox`: a stand-in for the provider's API on this machine."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.cli.exits import WrongUsage
from dispatcher.cli.options import AsJson
from dispatcher.installation import loading

if TYPE_CHECKING:
    from dispatcher.sandbox import FaultRule, SandboxSettings

_PORT = 8025
_SECRET = "SANDBOX_CLIENT_SECRET"  # noqa: S105 - the variable's name


def sandbox(
    *,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Its controls ask for no password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes any that is free.")] = _PORT,
    client_id: Annotated[str, typer.Option("--client-id", help="The client id that gets tokens.")] = "sandbox-client",
    latency_ms: Annotated[float, typer.Option("--latency-ms", help="How long each call takes.")] = 0,
    rate_limit: Annotated[
        str | None, typer.Option("--rate-limit", metavar="N/s", help="Calls allowed per s, m or h: 50/s.")
    ] = None,
    token_expires_in: Annotated[
        int, typer.Option("--token-expires-in", metavar="S", help="How long tokens live, in seconds.")
    ] = 3600,
    journal: Annotated[
        Path | None, typer.Option("--journal", metavar="FILE", help="Keep what reached it in this file.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="JSON", help="A fault rule; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a stand-in for the provider's API, until told to stop.

    It has faults on demand, a page to try every call by hand, and a journal of what reached it. The client secret is
    `sandbox-secret`, or what SANDBOX_CLIENT_SECRET says.

    Examples:
      dispatcher sandbox --rate-limit 50/s --latency-ms 50
      dispatcher sandbox --fault '{"path": "/sendSMS", "action": "cut"}'
    """
    from dispatcher.sandbox import SandboxSettings, SettingRefused, parse_rule, serve
    from dispatcher.sandbox.journal_file import JournalUnreadable

    with loading("dispatcher sandbox"):
        from dispatcher.sandbox.server import CannotListen
    try:
        settings = SandboxSettings(
            host=host,
            port=port,
            client_id=client_id,
            latency_ms=latency_ms,
            rate_limit=rate_limit,
            token_expires_in=token_expires_in,
            journal=journal,
        )
        if secret := os.environ.get(_SECRET):
            settings = replace(settings, client_secret=secret)
        rules: tuple[FaultRule, ...] = tuple(parse_rule(_json(each)) for each in fault or ())
        serve(settings, rules=rules, ready=lambda url: _announce(url, settings, as_json=as_json))
    except (SettingRefused, JournalUnreadable, CannotListen) as refused:
        raise WrongUsage(str(refused)) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise WrongUsage('--fault: wants JSON such as {"path": "/sendSMS", "action": "cut"}') from None


def _announce(url: str, settings: SandboxSettings, *, as_json: bool) -> None:
    from dispatcher.cli import screen

    if as_json:
        screen.print_json({"url": url, "docs_url": f"{url}/docs", "client_id": settings.client_id, "pid": os.getpid()})
    else:
        own = bool(os.environ.get(_SECRET))
        screen.show(
            screen.facts(
                [
                    ("sandbox", url),
                    ("try it", f"{url}/docs"),
                    ("client id", settings.client_id),
                    ("secret", f"as {_SECRET} says" if own else f"{settings.client_secret} (public, for play only)"),
                ]
            )
        )
        for line in (
            "",
            "In the terminal that sends:",
            f"  export DISPATCHER_API_BASE_URL={url} DISPATCHER_CLIENT_ID={settings.client_id}",
            f"  export DISPATCHER_CLIENT_SECRET={'…' if own else settings.client_secret}",
            "",
            "Ctrl-C stops it.",
        ):
            screen.say(line)
    # A program that started this waits for the address: it must not stay in a buffer.
    sys.stdout.flush()
