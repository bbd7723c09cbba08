"""The state of the whole, as a page for people and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dispatcher.admin import ChannelStatus, Status, read_status
from dispatcher.cli import screen
from dispatcher.cli.when import at, in_words, roughly
from dispatcher.domain.errors import SettingsError
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.domain.suspicion import WITNESSES
from dispatcher.ledger import Pause
from dispatcher.ports import LimitState, TokenState
from dispatcher.spool_files import SpoolCounts, count
from dispatcher.wiring import Services, spool_folder

_COLUMNS = (
    ("queued", State.QUEUED),
    ("in flight", State.SENDING),
    ("accepted", State.ACCEPTED),
    ("in doubt", State.IN_DOUBT),
    ("dead", State.DEAD),
    ("expired", State.EXPIRED),
)
_ALARMING = {State.IN_DOUBT: "bold yellow", State.DEAD: "bold red", State.EXPIRED: "red"}
_NONE = "·"
_CALM = Text("Nothing needs a person.")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The status, and why there is no token where no API is configured."""

    status: Status
    api_problem: str | None
    spool: SpoolCounts
    """Of this host."""


def read(services: Services) -> View:
    """Ask every part how it stands; without the API's settings all but the token can be told."""
    services.clock.keep_in_step()
    try:
        tokens, problem = services.tokens, None
    except SettingsError as unset:
        tokens, problem = None, str(unset)
    return View(
        status=read_status(
            services.books,
            services.campaign_books,
            services.limiter,
            tokens,
            clock=services.clock,
            duties=services.duties.read,
        ),
        api_problem=problem,
        spool=count(spool_folder(services.settings)),
    )


def document(view: View) -> dict[str, Any]:
    """Return the status for JSON. Durations are in seconds (``…_s``)."""
    status = view.status
    return {
        "at": status.at,
        "needs_a_person": {
            "in_doubt": status.total(State.IN_DOUBT),
            "money_in_doubt": status.money_in_doubt,
            "dead": status.total(State.DEAD),
            "expired": status.total(State.EXPIRED),
            "paused": sorted(status.pauses),
            "clock": [
                {"duty": each.duty, "failures": each.failures, "since": each.since, "reason": each.reason}
                for each in status.failing
            ],
            "quarantined": view.spool.quarantined,
        },
        "queues": [
            {
                "channel": each.channel,
                "priority": each.priority,
                **{state.value: each.counts.get(state, 0) for state in State},
                "oldest_wait_s": each.oldest_wait,
            }
            for each in status.channels
        ],
        "channels": [_channel_document(status, channel) for channel in Channel],
        "closed_campaigns": [
            {"id": each.campaign, "name": each.name, "closed_until": each.until} for each in status.closed
        ],
        "token": None if status.token is None else _fields(status.token),
        "spool": {"waiting": view.spool.waiting, "quarantined": view.spool.quarantined},
        "api_problem": view.api_problem,
        "redis_problem": status.redis_problem,
    }


def _channel_document(status: Status, channel: Channel) -> dict[str, Any]:
    limits, pause = status.limits.get(channel), status.pauses.get(channel)
    return {
        "channel": channel,
        "pause": None
        if pause is None
        else {"since": pause.since, "until": pause.until, "by": pause.by, "reason": pause.reason},
        "limits": None
        if limits is None
        else {
            "configured_rate": limits.configured_rate,
            "effective_rate": limits.effective_rate,
            "blocked_for_s": limits.blocked_for,
            "breaker": limits.breaker,
            "breaker_wait_s": limits.breaker_wait,
        },
        "suspicion": None
        if limits is None or limits.suspect_since is None
        else {
            "since": limits.suspect_since,
            "messages": limits.suspicion.witnesses,
            "of": WITNESSES,
            "answer": limits.suspect_answer,
            "test_call_failed": limits.suspicion.canary_failed,
        },
    }


def _fields(token: TokenState) -> dict[str, Any]:
    return {
        "generation": token.generation,
        "age_s": token.age,
        "refresh_in_s": token.refresh_in,
        "expires_in_s": token.expires_in,
        "scopes": token.scopes,
        "cooling_for_s": token.cooling_for,
        "problem": token.problem,
    }


def page(view: View, *, wide: bool) -> Group:
    """Lay the status out for people; what is not wide has 80 columns."""
    status = view.status
    urgent = list(_needs_a_person(view))
    parts: list[RenderableType] = [Text(f"Status at {at(status.at)}", style="dim"), ""]
    parts += [screen.headline("Needs a person"), _indented(screen.facts(urgent))] if urgent else [_CALM]
    parts += ["", _queues(status, gap=2 if wide else 1), "", _channels(status), ""]
    if status.closed:
        closed = [(screen.inert(each.name), each.in_words) for each in status.closed]
        parts += [screen.headline("Campaigns outside their send window"), _indented(screen.facts(closed)), ""]
    parts += [screen.headline("Token"), _indented(_token(view))]
    if status.redis_problem is not None:
        parts += ["", Text(screen.inert(status.redis_problem), style="bold")]
        parts += [Text("Messages are safe in the ledger; limits and token cannot be told from here.")]
    return Group(*parts)


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def _needs_a_person(view: View) -> Iterator[tuple[str, Text]]:
    status = view.status
    if doubtful := status.total(State.IN_DOUBT):
        stake = " + ".join(f"{currency} {amount}" for currency, amount in sorted(status.money_in_doubt.items()))
        said = Text(f"{doubtful} in doubt", style="bold yellow")
        yield "!", said.append(f"{f', {stake} at stake' if stake else ''}: dispatcher in-doubt list", style="default")
    if dead := status.total(State.DEAD):
        yield "!", Text(f"{dead} dead", style="bold red").append(": dispatcher dead list", style="default")
    if expired := status.total(State.EXPIRED):
        yield "!", Text(f"{expired} expired", style="red").append(": dispatcher dead list", style="default")
    if view.spool.quarantined:
        said = Text(f"{view.spool.quarantined} in quarantine on this host", style="bold red")
        yield "!", said.append(": dispatcher spool list", style="default")
    for duty in status.failing:
        said = Text(f"the clock's duty {duty.duty.value!r} keeps failing", style="bold red")
        yield (
            "!",
            said.append(
                f": {duty.failures} times since {at(duty.since)}: {screen.inert(duty.reason)}", style="default"
            ),
        )
    for channel, limits in status.limits.items():
        if limits.suspect_since is not None and channel not in status.pauses:
            said = Text(f"{channel.value} is suspect", style="bold yellow")
            yield "!", said.append(f" {screen.inert(suspicion_in_words(limits))}", style="default")
    for channel, pause in status.pauses.items():
        said = Text(f"{channel.value} is paused", style="bold yellow")
        yield "!", said.append(f": {screen.inert(pause.reason)}", style="default")


def _queues(status: Status, *, gap: int) -> Table:
    heads = [name for name, _ in _COLUMNS]
    table = screen.listing("Messages", *heads, "oldest wait", right=(*heads, "oldest wait"), gap=gap)
    for each in status.channels:
        cells = [_count(each, state) for _, state in _COLUMNS]
        waits = Text(_NONE, style="dim") if each.oldest_wait is None else Text(roughly(each.oldest_wait))
        table.add_row(f"{each.channel.value} {each.priority.value}", *cells, waits)
    return table


def _count(each: ChannelStatus, state: State) -> Text:
    """Count a state; what receipts said later still was accepted."""
    count = each.counts.get(state, 0)
    if state is State.ACCEPTED:
        count += each.counts.get(State.DELIVERED, 0) + each.counts.get(State.UNDELIVERED, 0)
    return Text(f"{count:,}", style=_ALARMING.get(state, "")) if count else Text(_NONE, style="dim")


def _channels(status: Status) -> Table:
    table = screen.listing("Channels", "rate", "429 wait", "breaker", "pause")
    for channel in Channel:
        limits = status.limits.get(channel)
        cells = ("unknown", "unknown", "unknown") if limits is None else _limits(limits)
        table.add_row(channel.value, *cells, _pause(status.pauses.get(channel), status.at))
    return table


def _limits(limits: LimitState) -> tuple[str, str, str]:
    rate = f"{limits.effective_rate:.4g}/s"
    if limits.effective_rate < limits.configured_rate:
        rate += f" of {limits.configured_rate:.4g}/s"
    blocked = in_words(limits.blocked_for) if limits.blocked_for > timedelta(0) else _NONE
    breaker = limits.breaker.replace("_", " ")
    if limits.breaker_wait > timedelta(0):
        breaker += f", probes in {in_words(limits.breaker_wait)}"
    return rate, blocked, breaker


def suspicion_in_words(limits: LimitState) -> str:
    """Say since when and why a channel is suspect."""
    assert limits.suspect_since is not None  # noqa: S101 - asked of suspect channels alone
    count = min(limits.suspicion.witnesses, WITNESSES)
    drew = f"{count} of {WITNESSES} messages drew {limits.suspect_answer}"
    return f"since {at(limits.suspect_since)}: {drew}; one message at a time until one is accepted"


def _pause(pause: Pause | None, now: datetime) -> Text:
    if pause is None:
        return Text("open")
    until = "until resumed" if pause.until is None else f"for {in_words(pause.until - now)} more"
    return Text("paused", style="bold yellow").append(f" {until}, by {screen.inert(pause.by)}", style="default")


def _token(view: View) -> Text:
    token = view.status.token
    if view.api_problem is not None:
        return Text(view.api_problem)
    if token is None:
        return Text("unknown")
    lines = [*_life(token), *_trouble(token)]
    return Text("\n").join(lines) if lines else Text("none yet: the first worker that needs one fetches it")


def _life(token: TokenState) -> Iterator[Text]:
    if token.generation is not None and token.age is not None and token.expires_in is not None:
        refresh = "" if token.refresh_in is None else f", next refresh in {in_words(token.refresh_in)}"
        age, left = in_words(token.age), in_words(token.expires_in)
        yield Text(f"generation {token.generation}, {age} old{refresh}, expires in {left}")
        yield Text(f"scopes {screen.inert(' '.join(sorted(token.scopes)) or 'none')}")


def _trouble(token: TokenState) -> Iterator[Text]:
    if token.problem is not None:
        cooling = f"cooling down for {in_words(token.cooling_for)}" if token.cooling_for else "in trouble"
        yield Text(f"{cooling}: ", style="bold yellow").append(screen.inert(token.problem), style="default")
