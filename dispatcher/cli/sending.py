"""What `sms` and `gift` do alike: enqueue through the client, say what came of it, and follow it if asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from dispatcher.cli.exits import Exit
from dispatcher.cli.session import open_ledger
from dispatcher.cli.when import at, parse_moment
from dispatcher.domain.state import State

if TYPE_CHECKING:
    from dispatcher.client import Dispatcher
    from dispatcher.domain.receipt import Receipt
    from dispatcher.ledger import Message
    from dispatcher.wiring import Services

_LOOK_EVERY = 0.2
"""Seconds between two looks at a message that is being followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client with the services behind it."""

    dispatcher: Dispatcher
    services: Services

    def moment(self, text: str | None, field: str) -> datetime | None:
        """Read a moment that an option gives."""
        return parse_moment(text, field=field, now=self.services.clock.now())


@contextmanager
def open_client() -> Iterator[Client]:
    """Give a client whose ledger is ready."""
    with open_ledger() as services:
        from dispatcher.client import Dispatcher

        yield Client(
            dispatcher=Dispatcher(services.settings, services=services, source="command line"), services=services
        )


def report(client: Client, receipt: Receipt, *, wait: float | None, as_json: bool, reveal: bool) -> None:
    """Say where the message went, follow it if asked, and end with the exit code that its state deserves."""
    message = client.dispatcher.message(receipt.id)
    if wait is not None:
        message = _follow(client, message, until=time.monotonic() + wait)
    # A message that left the queue had a worker; else this asks whether Redis is reachable now, not when it was sent.
    heard = message.state is not State.QUEUED or client.services.bell.ring()
    if as_json:
        from dispatcher.cli import screen, shown

        screen.print_json(
            {**shown.document(message, reveal=reveal), "duplicate": receipt.duplicate, "bell_heard": heard}
        )
    else:
        _tell(message, receipt, heard=heard, followed=wait is not None, reveal=reveal)
    if wait is not None and message.state not in (State.ACCEPTED, State.DELIVERED):
        raise typer.Exit(Exit.FAILED)


def _follow(client: Client, message: Message, *, until: float) -> Message:
    while not message.state.settled and time.monotonic() < until:
        time.sleep(_LOOK_EVERY)
        message = client.dispatcher.message(message.id)
    return message


def _tell(message: Message, receipt: Receipt, *, heard: bool, followed: bool, reveal: bool) -> None:
    from rich.text import Text

    from dispatcher.cli import screen, shown

    was = "had been enqueued before with this key" if receipt.duplicate else "is safe in the ledger"
    screen.show(Text(f"{shown.what(message, reveal=reveal)} {was}: ").append_text(shown.named(message.state)))
    screen.show(Text.assemble("  id      ", (str(message.id), "bold")))
    if message.state is State.QUEUED and message.due_at > message.created_at:
        screen.say(f"  due     {at(message.due_at)}")
    if followed and message.last_error and message.state is not State.ACCEPTED:
        screen.say(f"  why     {message.last_error}")
    screen.say(f"  follow  dispatcher messages show {message.id}")
    if followed and not message.state.settled:
        screen.remark("It is not settled yet; it stays in the ledger and goes out without this command.")
    if not heard:
        screen.remark("Redis cannot be reached: it waits in the ledger until workers can be woken again.")
