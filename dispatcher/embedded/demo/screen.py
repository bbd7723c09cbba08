"""What the demo shows while it runs: one calm screen on a terminal, a line every second or two where it is piped."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dispatcher.domain.message import Channel
from dispatcher.embedded.demo.glance import Glance, Standing

_NAMES = {Channel.SMS: "SMS", Channel.GIFT: "Gifts"}
_NEWS = 5
_COLUMNS = ("queued", "in flight", "accepted", "to retry", "in doubt", "dead")


def draw(glance: Glance, news: Sequence[tuple[float, str]]) -> RenderableType:
    """Draw one look at the whole."""
    return Group(
        Text(),
        _bars(glance),
        Text(),
        _standings(glance),
        Text(),
        _figures(glance),
        Text(),
        _news(news),
    )


def line(glance: Glance) -> str:
    """Write one look at the whole as a line."""
    sums = {
        name: sum(_cells(standing)[place] for standing in glance.standings.values())
        for place, name in enumerate(_COLUMNS)
    }
    counts = " · ".join(f"{count:,} {name}" for name, count in sums.items() if count or name == "accepted")
    token = f"token {glance.tokens}" + (f" (generation {glance.generation})" if glance.generation else "")
    paused = "".join(f", {_NAMES[channel]} paused" for channel in glance.pauses)
    return f"{glance.elapsed:5.1f} s  {counts} | {glance.rate:.0f}/s, {token}, {glance.throttled} × 429{paused}"


def news_line(seen: tuple[float, str]) -> str:
    """Write one piece of news as a line."""
    return f"{seen[0]:5.1f} s  {seen[1]}"


def _bars(glance: Glance) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=6)
    grid.add_column(width=48)
    grid.add_column(justify="right")
    for channel, standing in glance.standings.items():
        bar = ProgressBar(total=max(1, standing.total), completed=standing.settled, complete_style="cyan")
        grid.add_row(f" {_NAMES[channel]}", bar, f"{standing.settled:,} of {standing.total:,}")
    return grid


def _standings(glance: Glance) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=6)
    for name in _COLUMNS:
        grid.add_column(justify="right", width=max(8, len(name)))
    grid.add_row("", *(Text(name, style="dim") for name in _COLUMNS))
    styles = ("", "cyan", "green", "yellow", "magenta", "red")
    for channel, standing in glance.standings.items():
        cells = zip(_cells(standing), styles, strict=True)
        grid.add_row(f" {_NAMES[channel]}", *(Text(f"{n:,}", style=style if n else "dim") for n, style in cells))
    return grid


def _cells(standing: Standing) -> tuple[int, ...]:
    return (
        standing.queued,
        standing.in_flight,
        standing.accepted,
        standing.to_retry,
        standing.in_doubt,
        standing.dead,
    )


def _figures(glance: Glance) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=8, style="dim")
    grid.add_column()
    blocked = glance.blocked_for.total_seconds()
    waits = f", waits {blocked:.1f} s" if blocked else ""
    allowed = f"allowed {glance.effective:.0f} of {glance.ceiling:.0f} a second{waits}"
    grid.add_row(" rate", f"{glance.rate:.0f} a second, {allowed}")
    paused = ", ".join(f"{_NAMES[channel]} ({reason})" for channel, reason in glance.pauses.items())
    grid.add_row(" 429s", f"{glance.throttled}")
    grid.add_row(" paused", Text(paused or "no channel", no_wrap=True, overflow="ellipsis"))
    generation = f"generation {glance.generation}" if glance.generation else "none good now: one is being fetched"
    grid.add_row(" token", f"number {glance.tokens}, {generation}")
    grid.add_row(" elapsed", f"{glance.elapsed:.0f} s")
    return grid


def _news(news: Sequence[tuple[float, str]]) -> Group:
    shown = [Text(f" {news_line(each)}", style="dim", no_wrap=True, overflow="ellipsis") for each in news[-_NEWS:]]
    return Group(*shown, *(Text() for _ in range(_NEWS - len(shown))))
