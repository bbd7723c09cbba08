"""`python -m tests.faults.chaos.summary [PAGE]`: what the runs under `test-output/chaos` came to, as a table."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.figures import show

RESULTS = Path("test-output/chaos")
_COLUMNS = {
    "messages": "messages",
    "lost": "lost",
    "gifts carried out": "gifts carried out",
    "gifts carried out twice": "twice",
    "sms carried out": "SMS carried out",
    "sms carried out again, each marked": "again, each marked",
}


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Write one row for each run, and how often each fault struck in all of them."""
    lines = [
        "| ledger | seed | faults | " + " | ".join(_COLUMNS.values()) + " | in doubt at the end | books |",
        "|---|---|---|" + "---|" * (len(_COLUMNS) + 2),
    ]
    for result in sorted(results, key=lambda each: (each["stack"], each["seed"])):
        figures = result["figures"]
        cells = [
            "PostgreSQL, Redis" if result["stack"] == "postgresql" else "SQLite, Valkey",
            str(result["seed"]),
            str(sum(result["faults"].values())),
            *(f"{figures[name]:,}" for name in _COLUMNS),
            f"{figures['states'].get('in_doubt', 0):,}",
            "balance" if not result["problems"] else "**do not balance**",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    faults = sum((Counter(result["faults"]) for result in results), Counter[str]())
    return "\n".join([*lines, "", f"{faults.total():,} faults of {len(faults)} kinds:", "", *_told(faults.items())])


def _told(faults: Iterable[tuple[str, int]]) -> list[str]:
    """Tell faults with their counts, those of one area in one line."""
    areas: dict[str, list[str]] = {}
    for name, count in sorted(faults):
        area, _, what = name.partition(": ")
        areas.setdefault(area, []).append(f"{what} {count}")
    return [f"- *{area}*: {', '.join(told)}" for area, told in areas.items()]


if __name__ == "__main__":
    show(summary([json.loads(path.read_text()) for path in RESULTS.glob("*.json")]), "chaos", sys.argv[1:])
