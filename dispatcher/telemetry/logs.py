"""Logs as events: JSON lines for machines, coloured ones for a terminal; libraries' logs in the same form."""

from __future__ import annotations

import logging
import sys
from typing import Any

_SILENT = ("urllib3", "requests", "kombu", "celery", "sqlalchemy", "alembic")
"""Libraries that tell too much (addresses, headers, statements) or too little; only their warnings are kept."""


def configure_logs(level: str, *, stream: Any = None) -> None:
    """Send every log to stderr from ``level`` up; JSON unless stderr is a terminal."""
    import structlog  # with its terminal support it takes as long to load as Celery

    out = stream or sys.stderr
    foreign: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if out.isatty():
        rendering = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=foreign,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _SILENT:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def silence_logs() -> None:
    """Keep every log back: a command itself says what went wrong."""
    root = logging.getLogger()
    root.handlers[:] = [logging.StreamHandler(sys.stderr)]
    root.setLevel(logging.CRITICAL)
