"""`dispatcher clock`: the beat that wakes workers for what becomes due."""

from __future__ import annotations

import typer

from dispatcher.cli.options import MetricsPort


def clock(metrics_port: MetricsPort = None) -> None:
    """Wake the workers for what becomes due, until told to stop.

    Each second it also takes back the leases of workers that died, and gives up what is too late. Run at least one;
    several are harmless, since everything that a beat does may be done twice.
    """
    from dispatcher.serving import serve_clock
    from dispatcher.settings import load_settings

    given = {} if metrics_port is None else {"metrics_port": metrics_port}
    raise typer.Exit(serve_clock(load_settings(**given)))
