"""Logs as events: JSON lines for machines, coloured ones for a terminal; libraries' logs in the same form."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SILENT = ("urllib3", "requests", "kombu", "celery", "sqlalchemy", "alembic")
"""Libraries that tell too much (addresses, headers, statements) or too little; only their warnings are kept."""


def configure_logs(level: str, *, stream: Any = None) -> None:
    """Send every log to stderr from ``level`` up; JSON unless stderr is a terminal."""
    out = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_arguments,
    ]
    renderer: Any = structlog.processors.JSONRenderer()
    if out.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    else:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # the hot path logs once for a batch; a later configuration must hold
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _SILENT:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _without_arguments(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what no log needs: positional arguments of foreign records may hold anything."""
    event.pop("positional_args", None)
    return event
