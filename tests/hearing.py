"""What was logged while a test ran."""

from __future__ import annotations

import pytest

from dispatcher.logs import Event


def events(caplog: pytest.LogCaptureFixture) -> list[Event]:
    """Return our own events, in their order."""
    return [record.msg for record in caplog.records if isinstance(record.msg, Event)]
