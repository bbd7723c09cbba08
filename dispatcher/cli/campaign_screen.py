"""Campaigns on the screen and in JSON: lists, one with its progress, and following it until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dispatcher.campaigns.progress import Progress
from dispatcher.cli import screen, shown
from dispatcher.cli.when import at, in_words, roughly
from dispatcher.domain.budget import in_units
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import Campaign, Closed

_STYLES = {
    CampaignState.RUNNING: "cyan",
    CampaignState.PAUSED: "bold yellow",
    CampaignState.FINISHED: "green",
    CampaignState.CANCELLED: "dim",
}
_LOOK_EVERY = 1.0
_SHARE = 5
"""A look at a large ledger may take its time: following it spends no more than a fifth of the time looking."""


def document(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign for JSON."""
    budget = campaign.parsed_budget
    return {
        "id": campaign.id,
        "name": campaign.name,
        "channel": campaign.channel,
        "state": campaign.state,
        "template": campaign.template,
        "gift": campaign.gift,
        "starts_at": campaign.starts_at,
        "expires_at": campaign.expires_at,
        "window": campaign.send_window,
        "rate": campaign.rate,
        "budget": campaign.budget,
        "spent": None if budget is None else in_units(campaign.spent, budget.currency),
        "region": campaign.region,
        "source": campaign.source,
        "created_by": campaign.created_by,
        "total": campaign.total,
        "rows_read": campaign.rows_read,
        "invalid": campaign.invalid,
        "duplicates": campaign.duplicates,
        "opted_out": campaign.opted_out,
        "parts": campaign.parts,
        "loaded_at": campaign.loaded_at,
        "created_at": campaign.created_at,
        "started_at": campaign.started_at,
        "finished_at": campaign.finished_at,
        "paused_at": campaign.paused_at,
        "paused_until": campaign.paused_until,
        "paused_by": campaign.paused_by,
        "pause_reason": campaign.pause_reason,
    }


def progress_document(progress: Progress) -> dict[str, Any]:
    """Return a campaign with its progress for JSON."""
    return {
        **document(progress.campaign),
        "at": progress.at,
        "counts": {state.value: progress.counts.get(state, 0) for state in State},
        "rate_now": round(progress.rate_now, 2),
        "finishes_at": progress.finishes_at,
        **_window_document(progress.closed),
        "failures": [
            {"state": group.state, "outcome": group.outcome, "error": group.error, "messages": group.count}
            for group in progress.failures
        ],
    }


def list_document(campaigns: Sequence[Campaign], closed: Mapping[UUID, Closed]) -> dict[str, Any]:
    """Return campaigns for JSON.

    :param closed: those that send nothing now, since their window is closed.
    """
    return {"campaigns": [{**document(each), **_window_document(closed.get(each.id))} for each in campaigns]}


def _window_document(closed: Closed | None) -> dict[str, Any]:
    return {"window_closed": closed is not None, "closed_until": None if closed is None else closed.until}


def show_list(campaigns: Sequence[Campaign], closed: Mapping[UUID, Closed], *, now: datetime) -> None:
    """Print campaigns, one line each.

    :param closed: those that send nothing now, since their window is closed.
    """
    wide = screen.paper().width >= screen.WIDE
    heads = ["id", "state", "age", "channel", "recipients", *(["starts"] if wide else []), "name"]
    table = screen.listing(*heads, right=("age", "recipients"))
    for each in campaigns:
        table.add_row(
            str(each.id),
            _named(each.state) if each.id not in closed else Text(closed[each.id].in_words, style="bold yellow"),
            roughly(now - each.created_at),
            each.channel.value,
            f"{each.total:,}",
            *([_starts(each)] if wide else []),
            screen.inert(each.name),
        )
    screen.show(table)


def what_next(campaign: Campaign, *, now: datetime) -> None:
    """Say what the next command is."""
    match campaign.state:
        case CampaignState.SCHEDULED if campaign.starts_at is not None:
            screen.say(f"It starts by itself at {at(campaign.starts_at)}, in {in_words(campaign.starts_at - now)}.")
            screen.say(f"  follow  dispatcher campaign show {campaign.id} --follow")
        case CampaignState.DRAFT:
            screen.say(f"  start   dispatcher campaign start {campaign.id}")
        case _:
            screen.say(f"It is {campaign.state.value}.")


def show(progress: Progress) -> None:
    """Print how far a campaign is."""
    screen.show(page(progress))


def follow(read: Callable[[], Progress]) -> None:
    """Show a campaign again and again until it is over; where nobody looks, a line for each change."""
    console = screen.paper()
    if not console.is_terminal:
        _follow_lines(read)
        return
    progress = read()
    with Live(page(progress), console=console, auto_refresh=False) as live:
        while not progress.campaign.state.over:
            began = time.monotonic()
            progress = read()
            live.update(page(progress), refresh=True)
            time.sleep(max(_LOOK_EVERY, _SHARE * (time.monotonic() - began)))


def _follow_lines(read: Callable[[], Progress]) -> None:
    last = ""
    while True:
        began = time.monotonic()
        progress = read()
        state = progress.closed_in_words or progress.campaign.state.value
        line = f"{state}: {progress.settled:,} of {progress.campaign.total:,}"
        if line != last:
            screen.say(f"{at(progress.at)}  {line}")
            last = line
        if progress.campaign.state.over:
            return
        time.sleep(max(_LOOK_EVERY, _SHARE * (time.monotonic() - began)))


def page(progress: Progress) -> RenderableType:
    """Lay a campaign out for people."""
    campaign = progress.campaign
    head = Text(screen.inert(campaign.name), style="bold")
    head.append("  ", style="default").append_text(_named(campaign.state))
    parts: list[RenderableType] = [head, _bar(progress), screen.facts(list(_facts(progress)), indent=1)]
    if progress.failures:
        parts += ["", _failures(progress)]
    return Group(*parts)


def _bar(progress: Progress) -> RenderableType:
    total = max(1, progress.campaign.total)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        ProgressBar(total=total, completed=progress.settled, width=40),
        f"{progress.settled / total:.0%}",
        f"{progress.settled:,} of {progress.campaign.total:,}",
    )
    return grid


def _facts(progress: Progress) -> Iterator[tuple[str, str | Text]]:
    campaign = progress.campaign
    if campaign.loaded_at is None:
        yield "intake", f"up to row {campaign.rows_read:,}; the same `campaign create` goes on where it was"
    for state in State:
        if count := progress.counts.get(state, 0):
            yield state.value.replace("_", " "), Text(f"{count:,}", style=shown.named(state).style)
    if campaign.state is CampaignState.RUNNING:
        ends = "" if progress.finishes_at is None else f", over at about {at(progress.finishes_at)}"
        yield "rate now", f"{progress.rate_now:,.1f}/s{ends}"
        if progress.closed_in_words is not None:
            yield "window", Text(progress.closed_in_words, style="bold yellow")
    if campaign.state is CampaignState.PAUSED:
        until = f", until {at(campaign.paused_until)}" if campaign.paused_until else ""
        why = Text(f"by {screen.inert(campaign.paused_by or '?')}{until}: {screen.inert(campaign.pause_reason or '')}")
        yield "paused", why
    budget = campaign.parsed_budget
    if budget is not None:
        yield "spent", f"{budget.currency} {in_units(campaign.spent, budget.currency)} of {budget}"
    yield from _terms(campaign)
    yield "id", str(campaign.id)


def _terms(campaign: Campaign) -> Iterator[tuple[str, str]]:
    moments = (
        ("starts", campaign.starts_at if campaign.started_at is None else None),
        ("started", campaign.started_at),
        ("finished", campaign.finished_at),
    )
    yield from ((name, at(moment)) for name, moment in moments if moment is not None)
    texts = (("window", campaign.send_window), ("rate", campaign.rate), ("text", campaign.template))
    yield from ((name, screen.inert(text)) for name, text in texts if text)
    left = (("invalid", campaign.invalid), ("duplicates", campaign.duplicates), ("opted out", campaign.opted_out))
    out = ", ".join(f"{count:,} {name}" for name, count in left if count)
    yield "from", f"{screen.inert(campaign.source or '')}{f', without {out}' if out else ''}"


def _failures(progress: Progress) -> Table:
    table = screen.listing("messages", "state", "why", right=("messages",))
    for group in progress.failures:
        why = group.error or group.outcome or "unknown"
        table.add_row(f"{group.count:,}", shown.named(group.state), screen.inert(why))
    return table


def _starts(campaign: Campaign) -> str:
    moment = campaign.started_at or campaign.starts_at
    return "·" if moment is None else at(moment)


def _named(state: CampaignState) -> Text:
    return Text(state.value, style=_STYLES.get(state, ""))
