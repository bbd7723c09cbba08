"""Events with fields, handed to Python's own logging: an application that embeds this decides what becomes of them.

Our own processes print them as JSON or in colours (``dispatcher.telemetry``). Under any other formatter an event reads
``bell_unheard reason=ConnectionError``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.stdlib import BoundLogger

_UNSAID = ("event", "level", "timestamp", "exc_info")
"""What a formatter says in its own way."""
_FRAMES = 4
"""How many calls lie between the line that logs and Python's logging; so that a record names that line."""


class Event(dict[str, Any]):
    """The message of a log record: fields for who can read them, a line for who cannot."""

    def __str__(self) -> str:
        fields = (f"{name}={value}" for name, value in self.items() if name not in _UNSAID)
        return " ".join([str(self["event"]), *fields])


def get_logger(name: str) -> BoundLogger:
    """Return what a module logs events to, by its ``__name__``."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _record,
        ],
        wrapper_class=BoundLogger,
    )
    return logger


def _record(
    logger: logging.Logger, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Event], Mapping[str, Any]]:
    """Make the arguments of a logging call, with the two marks by which structlog's formatter knows its events."""
    marks = {"_logger": logger, "_name": method}
    return (Event(event),), {"extra": marks, "exc_info": event.get("exc_info"), "stacklevel": _FRAMES}
