"""Charts as pictures: SVG drawn here, colours from the style sheet, every number in words for who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from dispatcher.domain.outcome import OutcomeKind
from dispatcher.ledger.minutes import Minute, minute_of

_WIDTH, _HEIGHT, _FOOT = 720, 120, 16
_BANDS = (
    ("accepted", "accepted", (OutcomeKind.ACCEPTED,)),
    (
        "again",
        "tried again",
        (OutcomeKind.NOT_SENT, OutcomeKind.THROTTLED, OutcomeKind.UNAUTHORIZED, OutcomeKind.FAILED),
    ),
    ("refused", "refused", (OutcomeKind.REJECTED, OutcomeKind.CONFLICT, OutcomeKind.MISCONFIGURED)),
    ("doubt", "no answer", (OutcomeKind.IN_DOUBT,)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One colour of the chart."""

    css: str
    name: str
    calls: int


def bands(minutes: Sequence[Minute]) -> list[Band]:
    """Sum calls by what they came to."""
    return [
        Band(css=css, name=name, calls=sum(each.calls for each in minutes if each.outcome in kinds))
        for css, name, kinds in _BANDS
    ]


def outcomes(minutes: Sequence[Minute], *, now: datetime, span: int = 60) -> Markup:
    """Draw the calls of the last minutes, stacked by what they came to."""
    names = [minute_of(now - timedelta(minutes=back)) for back in reversed(range(span))]
    heights: dict[str, list[int]] = {name: [0] * len(_BANDS) for name in names}
    for each in minutes:
        if each.minute in heights:
            for place, (_, _, kinds) in enumerate(_BANDS):
                heights[each.minute][place] += each.calls if each.outcome in kinds else 0
    most = max((sum(parts) for parts in heights.values()), default=0) or 1
    step, room = _WIDTH / span, _HEIGHT - _FOOT
    drawn = []
    for column, name in enumerate(names):
        y = float(room)
        for place, count in enumerate(heights[name]):
            if count:
                height = max(1.0, room * count / most)
                y -= height
                drawn.append(
                    f'<rect class="band-{_BANDS[place][0]}" x="{column * step + 1:.1f}" y="{max(0.0, y):.1f}" '
                    f'width="{step - 2:.1f}" height="{height:.1f}"/>'
                )
    told = ", ".join(f"{band.calls:,} {band.name}" for band in bands(minutes))
    return Markup(  # noqa: S704 - made of numbers and escaped texts
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Calls by the minute: {escape(told)}">'
        f'<line class="axis" x1="0" y1="{room}" x2="{_WIDTH}" y2="{room}"/>{"".join(drawn)}'
        f'<text class="tick" x="0" y="{_HEIGHT - 3}">{escape(names[0][-5:])} UTC</text>'
        f'<text class="tick end" x="{_WIDTH}" y="{_HEIGHT - 3}">now</text>'
        f'<text class="tick" x="0" y="10">{most:,} in a minute</text></svg>'
    )


def share(parts: Sequence[tuple[str, str, int]], total: int) -> Markup:
    """Draw how a whole is shared out: css class, name, count."""
    x, drawn = 0.0, []
    for css, _, count in parts:
        if count and total:
            width = 100 * count / total
            drawn.append(f'<rect class="{escape(css)}" x="{x:.3f}" y="0" width="{width:.3f}" height="6"/>')
            x += width
    told = ", ".join(f"{count:,} {name}" for _, name, count in parts if count) or "nothing yet"
    return Markup(  # noqa: S704 - made of numbers and escaped texts
        f'<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">'
        f'<rect class="share-rest" x="0" y="0" width="100" height="6"/>{"".join(drawn)}</svg>'
    )
