"""Who got it, who did not and why, as CSV that a spreadsheet can open and will not run."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from dispatcher.campaigns.cells import inert_cell
from dispatcher.ledger import Delivery

_HEAD = ("recipient", "state", "reason", "attempts", "may_be_a_duplicate", "accepted_at", "provider_id", "message_id")


def write(deliveries: Iterable[Delivery], file: Path | None) -> int:
    """Write to a file, or to standard output, and return how many there were."""
    if file is None:
        out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
        count = _write(deliveries, out)
        out.detach()
        return count
    with file.open("w", newline="", encoding="utf-8-sig") as opened:  # with its mark, or Excel takes it for ANSI
        return _write(deliveries, opened)


def _write(deliveries: Iterable[Delivery], out: TextIO) -> int:
    writer = csv.writer(out)
    writer.writerow(_HEAD)
    count = 0
    for count, each in enumerate(deliveries, start=1):  # noqa: B007 - counted for what comes after
        accepted_at = "" if each.accepted_at is None else each.accepted_at.isoformat().replace("+00:00", "Z")
        writer.writerow(
            [
                inert_cell(str(each.recipient)),
                each.state.value,
                inert_cell(each.reason or ""),
                each.attempts_made,
                "yes" if each.doubtful_sends else "no",
                accepted_at,
                inert_cell(each.provider_id or ""),
                each.id,
            ]
        )
    return count
