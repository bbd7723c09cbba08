"""What operators do meanwhile: they open channels, replay dead letters, resolve doubt by the provider's own books."""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from dispatcher.domain.errors import LedgerUnavailable, OperationRefused, TransitionRefused
from dispatcher.domain.message import DEFAULT_LIFE, Channel
from dispatcher.domain.operation import Deed, Pace
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State
from dispatcher.ledger import By, Filter, InspectionBooks, Resolution
from tests.faults.chaos.world import World

ATTEMPTS = 5
_SURE = timedelta(seconds=10)
"""A call that is in doubt for so long is not under way any more, whatever became of it."""


def by(reason: str) -> By:
    """Say who acts."""
    return By(actor="olga", reason=reason, now=datetime.now(UTC))


def open_channels(world: World) -> list[subprocess.Popen[bytes]]:
    """Open both channels, as after a configuration fault that was put right; nobody waits for these commands.

    The ledger or Redis may be away: then they fail, and the pauses end by themselves.
    """
    return [world.command("channel", "resume", channel.value) for channel in Channel]


def send_neighbours(world: World) -> None:
    """Send one good message on each channel, as any application does all day: neighbours show that a channel works."""
    key = f"neighbour-{time.monotonic_ns()}"
    world.command("sms", "+61491570006", "all is well", "--key", key)
    gift = ("--sku", "CARD", "--amount", "10", "--currency", "AUD", "--key", f"{key}-gift")
    world.command("gift", "+61491570006", *gift)


def replay_all(world: World, _: random.Random) -> None:
    """Replay all dead letters, as one durable operation that the clocks carry out."""
    with suppress(LedgerUnavailable, OperationRefused):
        InspectionBooks(engine=world.engine).begin(
            Deed.REPLAY,
            parse_query("", now=datetime.now(UTC)),
            by("the trouble is over"),
            ids=(),
            pace=Pace(),
            budget=ATTEMPTS,
            life=DEFAULT_LIFE,
        )


def resolve_in_doubt(world: World, dice: random.Random, *, most: int = 40) -> None:
    """Ask the provider which gifts it carried out, and resolve accordingly."""
    with suppress(LedgerUnavailable):
        doubtful = world.books.messages(Filter(states=(State.IN_DOUBT,)), limit=most)
        sure = [each for each in doubtful if datetime.now(UTC) - each.updated_at > _SURE]
        carried = world.carried_out()
        for message in sure:
            answer = Resolution.SENT if carried[str(message.id)] else Resolution.NOT_SENT
            if answer is Resolution.NOT_SENT and dice.random() < 0.2:
                answer = Resolution.GIVE_UP
            with suppress(TransitionRefused):
                world.books.resolve(message.id, answer, by("by their books"), budget=ATTEMPTS, life=DEFAULT_LIFE)


def pause_a_channel(world: World, dice: random.Random) -> None:
    """Pause a channel; it opens again by itself."""
    with suppress(LedgerUnavailable):
        until = datetime.now(UTC) + timedelta(seconds=2)
        world.books.pause(dice.choice(list(Channel)), by("a look at the catalogue"), until=until)


def cancel_some(world: World, _: random.Random) -> None:
    """Call off a few messages that still wait."""
    with suppress(LedgerUnavailable):
        for message in world.books.messages(Filter(states=(State.QUEUED,)), limit=5):
            with suppress(TransitionRefused):
                world.books.cancel(message.id, by("changed my mind"))
