"""Cells that a spreadsheet will not run: what an export writes."""

from __future__ import annotations

import re

_HARMLESS = re.compile(r"[+-]?\d+(\.\d+)?\Z", re.ASCII)
"""A number, a phone's too."""
_DANGEROUS = re.compile(r"[\s\ufeff\u200b]*[=+\-@＝＋－＠]|[\t\r\n]")
"""Wide forms and marks that do not show are counted too: one apostrophe too many harms nobody."""


def inert_cell(text: str) -> str:
    """Put an apostrophe before what would be a formula (OWASP, "CSV injection").

    >>> inert_cell("=HYPERLINK(1)"), inert_cell(" @SUM(A1)"), inert_cell("+61491570006"), inert_cell("-12.50")
    ("'=HYPERLINK(1)", "' @SUM(A1)", '+61491570006', '-12.50')
    """
    if _DANGEROUS.match(text):
        return text if _HARMLESS.match(text) else f"'{text}"
    return text
