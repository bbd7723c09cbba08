"""``python -m tests.fuzz [FILE]``: run the fuzz suites and write the table of what was tried, to FILE or the screen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.tally import TALLY


def main() -> int:
    """Run, write, and return pytest's exit code."""
    code = int(pytest.main(["-q", str(Path(__file__).parent)]))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(TALLY.table() + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
