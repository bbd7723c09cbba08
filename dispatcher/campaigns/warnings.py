"""Warnings about a campaign that is right in form: texts that are hardly meant, hours that a short window misses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dispatcher.campaigns.source import Source
from dispatcher.campaigns.survey import Tally
from dispatcher.domain.campaign import Terms
from dispatcher.domain.template import literal_fields
from dispatcher.domain.words import counted
from dispatcher.domain.zones import share_of

_SHOWN = 6


def text_warnings(source: Source, terms: Terms, tally: Tally) -> Iterator[str]:
    """Yield what would be sent as it stands: fields of another program, cells that say that there is no value."""
    if terms.template is not None:
        for text in literal_fields(terms.template, source.columns):
            name = text.strip("{}[]<>%*|#\u00ab\u00bb\uff5b\uff5d ").partition("|")[0].strip()
            written = f"{{{text}}}" if text.startswith("{") else text
            yield f"{written} is sent literally, as {text}; to send the cell of a column write {{{name}}}"
    columns: dict[str, Counter[str]] = {}
    for (column, cell), count in tally.placeholders.items():
        columns.setdefault(column, Counter())[cell] += count
    for column, cells in columns.items():
        shown = ", ".join(f"{cell} ({count:,})" for cell, count in cells.most_common(_SHOWN))
        more = f" and {len(cells) - _SHOWN} others" if len(cells) > _SHOWN else ""
        yield (
            f"column {column!r} says in {counted(cells.total(), 'message')} that it has no value, and that is sent as "
            f"text: {shown}{more}; empty such cells"
        )


def window_warnings(terms: Terms, tally: Tally) -> Iterator[str]:
    """Yield for which recipients the window goes by some of the zones that their numbers may be in."""
    for zones, count in tally.zones.most_common():
        opening = tally.openings.get(zones)
        if opening is None or not opening.left_out:
            continue
        every = tuple(sorted((*opening.zones, *opening.left_out)))
        share = share_of(every, opening.left_out)
        yield (
            f"{terms.window} is at no moment in all zones of {counted(count, 'recipient')}: it goes by "
            f"{', '.join(opening.zones)}, not by {', '.join(opening.left_out)}, where about {share:.0%} of such "
            "numbers are; give longer hours, or end the window with one zone"
        )
