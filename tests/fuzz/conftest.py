"""The table of what was tried, at the end of a run."""

from __future__ import annotations

import pytest

from tests.fuzz.tally import TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was tried and what came of it."""
    if TALLY.counts:
        terminalreporter.section("inputs tried")
        terminalreporter.write_line(TALLY.table())
