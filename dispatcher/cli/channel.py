"""`dispatcher channel`: stop a channel everywhere, and open it again."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, RequiredWhy, Why
from dispatcher.cli.session import by, open_ledger, stated
from dispatcher.cli.when import at, parse_moment
from dispatcher.domain.errors import BrokerUnavailable, InvalidMessage, SettingsError
from dispatcher.domain.message import Channel

channel = noun("Stop a channel everywhere at the next claim, and open it again.")

_Which = Annotated[Channel, typer.Argument(metavar="sms|gift", help="The channel.", show_default=False)]


@channel.command()
def pause(
    channel: _Which,
    reason: RequiredWhy,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="Open again by itself then, e.g. +10m; else at `channel resume`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stop a channel, everywhere, at the next claim.

    Its messages stay queued and spend no attempts; what is in flight lands.

    Example:
      dispatcher channel pause gift --reason "wrong amounts in the catalogue" --until +2h
    """
    from dispatcher.cli import screen

    why = stated(reason)
    with open_ledger() as services:
        actor = by(services, why)
        end = parse_moment(until, field="until", now=actor.now)
        if end is not None and end <= actor.now:
            raise InvalidMessage("until", f"{at(end)} is past; give a moment to come")
        services.books.pause(channel, actor, until=end)
    if as_json:
        screen.print_json(
            {"channel": channel, "paused": True, "since": actor.now, "until": end, "by": actor.actor, "reason": why}
        )
    else:
        ending = f"until {at(end)}" if end else f"until `dispatcher channel resume {channel.value}`"
        screen.say(f"{channel.value} is paused {ending}; its messages stay queued.")


@channel.command()
def resume(channel: _Which, reason: Why = None, as_json: AsJson = False) -> None:
    """Open a channel again.

    Lifts its pause and a 429's wait, closes its breaker, drops a suspicion, restores its configured rate, and asks for
    a token again at once if the API had refused one.
    """
    from dispatcher.cli import screen

    problem: str | None = None
    with open_ledger() as services:
        was_paused = services.books.resume(channel, by(services, reason))
        try:
            services.limiter.clear(channel)
            with suppress(SettingsError):  # without an API there is no token to try for
                services.tokens.try_again()
        except BrokerUnavailable as away:
            problem = str(away)
        services.bell.ring()
    if as_json:
        screen.print_json(
            {"channel": channel, "paused": False, "was_paused": was_paused, "limits_cleared": problem is None}
        )
    else:
        limits = "its limits are as configured" if problem is None else "its limits are as they were"
        screen.say(f"{channel.value} {'is open again' if was_paused else 'was not paused'}; {limits}.")
    if problem is not None:
        screen.remark(problem)
        screen.remark("A 429's wait and an open breaker end by themselves; or run this again once Redis is back.")
