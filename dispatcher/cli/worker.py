"""`dispatcher worker`: send what is due, until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.options import MetricsPort


def worker(
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", help="Processes; instead of DISPATCHER_PROCESSES.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", metavar="N", help="Requests in flight for each; instead of DISPATCHER_CONCURRENCY."
        ),
    ] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Send what is due, until told to stop.

    At SIGTERM nothing more is claimed and what is in flight lands. Start as many as you like, on as many machines; a
    clock must run too. Logs go to stderr, as JSON unless it is a terminal.
    """
    from dispatcher.serving import serve_worker
    from dispatcher.settings import load_settings

    given = {"processes": processes, "concurrency": concurrency, "metrics_port": metrics_port}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    raise typer.Exit(serve_worker(settings))
