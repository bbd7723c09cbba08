"""What a benchmark found: a table for the terminal, JSON for programs, a picture for the docs."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from benchmarks.measuring import Figure

PACKAGES = ("dispatcher", "aiohttp", "requests", "sqlalchemy", "psycopg", "celery", "dramatiq", "taskiq", "arq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The rounds of one row together."""

    name: str
    rate: float
    rate_least: float
    rate_most: float
    cpu_ms: float
    memory_mb: float
    wait_ms: float | None
    wait_ms_p99: float | None
    burst_wait_s: float | None
    burst_wait_s_p99: float | None
    rounds: int

    @classmethod
    def of(cls, name: str, figures: Sequence[Figure]) -> Self:
        """Take medians over rounds; waits are those of all rounds together."""
        rates = [each.rate for each in figures]
        waits = sorted(wait for each in figures for wait in each.waits_ms)
        bursts = [each.burst_waits_s for each in figures if each.burst_waits_s is not None]
        return cls(
            name=name,
            rate=statistics.median(rates),
            rate_least=min(rates),
            rate_most=max(rates),
            cpu_ms=statistics.median(each.cpu_ms for each in figures),
            memory_mb=statistics.median(each.memory_mb for each in figures),
            wait_ms=statistics.median(waits) if waits else None,
            wait_ms_p99=waits[len(waits) * 99 // 100] if waits else None,
            burst_wait_s=statistics.median(each for each, _ in bursts) if bursts else None,
            burst_wait_s_p99=statistics.median(each for _, each in bursts) if bursts else None,
            rounds=len(figures),
        )


def table(summaries: Sequence[Summary]) -> str:
    """Return lines for a terminal."""
    head = (
        f"{'':34} {'a second':>9} {'least-most':>13} {'CPU ms':>7} {'MB':>5} {'wait ms, p99':>13} {'burst s, p99':>13}"
    )
    lines = [head, "-" * len(head)]
    for each in summaries:
        spread = f"{each.rate_least:,.0f}-{each.rate_most:,.0f}"
        idle = "" if each.wait_ms is None else f"{each.wait_ms:.1f}, {each.wait_ms_p99:.0f}"
        burst = "" if each.burst_wait_s is None else f"{each.burst_wait_s:.1f}, {each.burst_wait_s_p99:.1f}"
        lines.append(
            f"{each.name:34} {each.rate:9,.0f} {spread:>13} {each.cpu_ms:7.3f} {each.memory_mb:5.0f}"
            f" {idle:>13} {burst:>13}"
        )
    return "\n".join(lines)


def ratios(summaries: Sequence[Summary], wanted: Sequence[tuple[str, str, str, float]]) -> str:
    """Return a line for each comparison: figure of one row over that of another, and what it should come to.

    :param wanted: row, other row, ``rate`` (at least) or ``cpu_ms`` (at most), bound.
    """
    found = {each.name: each for each in summaries}
    lines = []
    for one, other, what, bound in wanted:
        if one in found and other in found:
            ratio = getattr(found[one], what) / getattr(found[other], what)
            holds = ratio >= bound if what == "rate" else ratio <= bound
            sign, named = (">=", "messages a second") if what == "rate" else ("<=", "CPU a message")
            mark = "holds" if holds else "DOES NOT HOLD"
            lines.append(f"{one} / {other}, {named}: {ratio:.2f} (wanted {sign} {bound:g}) {mark}")
    return "\n".join(lines)


def as_json(summaries: Sequence[Summary], given: Mapping[str, Any]) -> str:
    """Return all of it with what it was measured on."""
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    rows = [{name: _rounded(getattr(each, name)) for name in Summary.__dataclass_fields__} for each in summaries]
    measured = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", **given, "machine": machine, "rows": rows}
    return json.dumps(measured, indent=2) + "\n"


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def picture(summaries: Sequence[Summary], *, title: str) -> str:
    """Return bars as SVG, in colours that read on light and dark ground."""
    height, left, width, most = 26, 250, 420, max(each.rate for each in summaries)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 {len(summaries) * height + 44}" role="img"'
        f' aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13">',
        "<style>text{fill:#1f2328}.ours{fill:#2f6f4f}.bare{fill:#b4bac2}.peer{fill:#8594a8}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#57ab7f}.bare{fill:#545d68}"
        ".peer{fill:#768390}}</style>",
        f'<text x="10" y="20" font-weight="600">{escape(title)}</text>',
    ]
    for place, each in enumerate(summaries):
        y, kind = 34 + place * height, each.name.split(",")[0].split()[0]
        bar = max(1.0, each.rate / most * width)
        name = {"dispatcher": "ours", "bare": "bare"}.get(kind, "peer")
        lines += [
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(each.name)}</text>',
            f'<rect class="{name}" x="{left}" y="{y + 3}" width="{bar:.0f}" height="16" rx="2"/>',
            f'<text x="{left + bar + 8:.0f}" y="{y + 15}">{each.rate:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def write(path: Path, content: str) -> None:
    """Write a file and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    print(f"wrote {path}")
