"""Prints the table of what was tried at the end of a run, added up over the processes of pytest-xdist."""

from __future__ import annotations

import sys
from typing import Any

import pytest

KEY = "fuzz"


class TallyReport:
    """A plugin for the controller and for each worker."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send a worker's counts to the controller."""
        output = getattr(session.config, "workeroutput", None)
        module = sys.modules.get("tests.fuzz.tally")
        if output is not None and module is not None:
            output[KEY] = {
                surface: {fate.value: count for fate, count in fates.items()}
                for surface, fates in module.TALLY.counts.items()
            }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the counts of a worker that has ended."""
        from tests.fuzz.tally import TALLY

        TALLY.add(getattr(node, "workeroutput", {}).get(KEY, {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, if anything was tried."""
        module = sys.modules.get("tests.fuzz.tally")
        if module is not None and module.TALLY.counts:
            terminalreporter.section("inputs tried")
            terminalreporter.write_line(module.TALLY.table())
