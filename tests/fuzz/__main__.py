"""`python -m tests.fuzz [PAGE]`: run the fuzz suites; what was tried goes to the screen, or into a page of the docs.

`make fuzz TIMES=5` tries fifty times as many inputs as `make test` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.figures import show
from tests.fuzz.tally import TALLY


def main() -> int:
    """Run, and return pytest's exit code."""
    code = int(pytest.main(["-q", "-o", "timeout=0", str(Path(__file__).parent)]))
    if len(sys.argv) > 1:
        show(TALLY.table(), "bad input", sys.argv[1:])
    return code


if __name__ == "__main__":
    raise SystemExit(main())
