"""Cells that a spreadsheet will not run: what an export writes."""

from __future__ import annotations

import re

_HARMLESS = re.compile(r"[+-]?\d+(\.\d+)?\Z", re.ASCII)
"""A number, a phone's too."""
_DANGEROUS = re.compile(r"'*(?:[\s\ufeff\u200b]*[=+\-@＝＋－＠]|[\t\r\n])")
"""Wide forms and invisible characters count too: an apostrophe too many is harmless.

Cells that have an apostrophe already get another, so that ``original_cell`` knows which one to remove.
"""


def inert_cell(text: str) -> str:
    """Put an apostrophe before what would be a formula (OWASP, "CSV injection").

    >>> inert_cell("=HYPERLINK(1)"), inert_cell(" @SUM(A1)"), inert_cell("+61491570006"), inert_cell("-12.50")
    ("'=HYPERLINK(1)", "' @SUM(A1)", '+61491570006', '-12.50')
    """
    if _DANGEROUS.match(text):
        return text if _HARMLESS.match(text) else f"'{text}"
    return text


def original_cell(cell: str) -> str:
    """Return the text that ``inert_cell`` made a cell of.

    >>> original_cell("'=HYPERLINK(1)"), original_cell("'tis"), original_cell("-12.50")
    ('=HYPERLINK(1)', "'tis", '-12.50')
    """
    return cell[1:] if cell.startswith("'") and inert_cell(cell[1:]) == cell else cell
