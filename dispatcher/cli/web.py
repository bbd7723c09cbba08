"""`dispatcher web`: the operator's pages, health and metrics."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.installation import loading


def web(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")] = 8080,
    make_hash: Annotated[
        bool, typer.Option("--hash", help="Ask for a password and print its hash, for DISPATCHER_WEB_USERS.")
    ] = False,
) -> None:
    """Serve the pages: overview, messages, dead letters, in doubt, campaigns, operations, audit; and /metrics.

    On this machine's own address nobody signs in. On any other, people must be named in DISPATCHER_WEB_USERS.

    Example:
      dispatcher web --port 8080
    """
    from dispatcher.cli import screen
    from dispatcher.settings import load_settings

    with loading("dispatcher web"):
        from dispatcher import web as pages

    if make_hash:
        screen.say(pages.make_hash(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)))
        return
    code = pages.serve_web(
        load_settings(), host=host, port=port, on_ready=lambda url: screen.say(f"The pages are at {url}")
    )
    raise typer.Exit(code)
