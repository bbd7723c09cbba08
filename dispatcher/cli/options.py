"""Options that many commands share, so that they are named and explained alike everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show numbers and texts whole instead of masked.")]
MessageIdText = Annotated[str, typer.Argument(metavar="ID", help="The message's id.", show_default=False)]
Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the audit trail.")]
RequiredWhy = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the audit trail.")]
QueryText = Annotated[
    str, typer.Option("--query", metavar="TEXT", help="Which messages, e.g. 'status:5xx dead:<2h to:+614*'.")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="N",
        min=0,
        max=65535,
        help="Port of its own numbers for Prometheus; instead of DISPATCHER_METRICS_PORT.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Show so many at the most.")]

MOMENT = "ISO 8601 with its zone (2026-11-24T09:00:00+10:00), or from now on as +10m, +1h30m, +2d."
