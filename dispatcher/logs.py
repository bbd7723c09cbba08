"""Events with fields, given to Python's own logging: an application that embeds this decides what becomes of them.

Our own processes print them as JSON or in colours (``dispatcher.telemetry``). Under any other formatter an event reads
``bell_unheard reason=ConnectionError``. The events are those of structlog, made without it: with its terminal support
it is a tenth of what an application loads that only enqueues.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

_UNSAID = ("event", "level", "timestamp", "exc_info")
"""What a formatter says in its own way."""
_FRAMES = 3
"""Calls between the line that logs and Python's logging, so that a record names that line."""


class Event(dict[str, Any]):
    """The message of a log record: fields for who can read them, a line for who cannot."""

    def __str__(self) -> str:
        fields = (f"{name}={value}" for name, value in self.items() if name not in _UNSAID)
        return " ".join([str(self["event"]), *fields])


class EventLogger:
    """Logs events with fields through one of Python's loggers."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: object) -> None:
        """Log an event that matters to developers only."""
        self._log(logging.DEBUG, "debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log an ordinary event."""
        self._log(logging.INFO, "info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log an event that may need a person later."""
        self._log(logging.WARNING, "warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log an event that needs a person."""
        self._log(logging.ERROR, "error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log an error with the trace of the exception that is being handled."""
        self._log(logging.ERROR, "error", event, fields, exc_info=True)

    def _log(
        self, level: int, named: str, event: str, fields: dict[str, object], *, exc_info: bool | None = None
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        entry = Event(_bound_by_the_application() | fields, event=event)
        if exc_info:
            entry["exc_info"] = True
        entry.update(level=named, timestamp=f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z")
        # The two marks by which structlog's formatter knows its events.
        marks = {"_logger": self._logger, "_name": named}
        self._logger.log(level, entry, extra=marks, exc_info=exc_info, stacklevel=_FRAMES)


def get_logger(name: str) -> EventLogger:
    """Return what a module logs events to, by its ``__name__``."""
    return EventLogger(logging.getLogger(name))


def _bound_by_the_application() -> dict[str, Any]:
    """Return what an application that uses structlog has bound to this context, e.g. the id of its request."""
    contextvars = sys.modules.get("structlog.contextvars")
    return {} if contextvars is None else contextvars.get_contextvars()
