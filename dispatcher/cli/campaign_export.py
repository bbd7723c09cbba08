"""Who got it, who did not and why, into a file or to standard output."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from dispatcher.campaigns.export import rows
from dispatcher.ledger import Delivery
from dispatcher.private_files import opener


def write(deliveries: Iterable[Delivery], file: Path | None) -> int:
    """Write to a file, or to standard output, and return how many there were."""
    if file is None:
        out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
        count = _write(deliveries, out)
        out.detach()
        return count
    with open(
        file, "w", newline="", encoding="utf-8-sig", opener=opener
    ) as opened:  # with its mark, or Excel takes it for ANSI
        return _write(deliveries, opened)


def _write(deliveries: Iterable[Delivery], out: TextIO) -> int:
    writer = csv.writer(out)
    count = -1  # the head is none of them
    for row in rows(deliveries):
        writer.writerow(row)
        count += 1
    return count
