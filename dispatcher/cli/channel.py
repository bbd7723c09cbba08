"""`dispatcher channel`: stop a channel everywhere, and open it again."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli.noun import noun
from dispatcher.cli.options import AsJson, RequiredWhy, Why
from dispatcher.cli.session import open_operator, stated
from dispatcher.cli.when import at, parse_moment
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
    with open_operator() as operator:
        end = parse_moment(until, field="until", now=operator.clock.now())
        paused = operator.pause_channel(channel, reason=why, until=end)
    if as_json:
        screen.print_json(
            {
                "channel": channel,
                "paused": True,
                "since": paused.since,
                "until": paused.until,
                "by": paused.by,
                "reason": paused.reason,
            }
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

    with open_operator() as operator:
        resumed = operator.resume_channel(channel, reason=reason)
    problem = resumed.limits_problem
    if as_json:
        screen.print_json(
            {
                "channel": channel,
                "paused": False,
                "was_paused": resumed.was_paused,
                "limits_cleared": problem is None,
            }
        )
    else:
        limits = "its limits are as configured" if problem is None else "its limits are as they were"
        screen.say(f"{channel.value} {'is open again' if resumed.was_paused else 'was not paused'}; {limits}.")
    if problem is not None:
        screen.remark(problem)
        screen.remark("A 429's wait and an open breaker end by themselves; or run this again once Redis is back.")
