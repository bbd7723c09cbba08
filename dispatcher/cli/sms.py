"""`dispatcher sms`: enqueue one SMS."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dispatcher.cli import sending
from dispatcher.cli.options import MOMENT, AsJson, Reveal
from dispatcher.domain.message import Priority
from dispatcher.domain.texts import with_newlines


def sms(
    *,
    to: Annotated[
        str, typer.Argument(metavar="TO", help="A mobile's number in E.164: +61491570006.", show_default=False)
    ],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The text, or - to read it from standard input.", show_default=False)
    ],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="Idempotency key: sending the same again with it changes nothing."),
    ] = None,
    priority: Annotated[
        Priority, typer.Option("--priority", help="Transactional goes first; bulk keeps a share.")
    ] = Priority.TRANSACTIONAL,
    due_at: Annotated[str | None, typer.Option("--due-at", metavar="WHEN", help=f"Not before: {MOMENT}")] = None,
    expires_at: Annotated[
        str | None,
        typer.Option("--expires-at", metavar="WHEN", help="Not after; 72 hours after it is due if left out."),
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="WORD", help="A word to find it by; may be repeated.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="SECONDS", min=0, help="Follow it until it is settled, for so long."),
    ] = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Enqueue an SMS. It is safe once this returns.

    Examples:
      dispatcher sms +61491570006 "Your code is 123456" --expires-at +5m
      dispatcher sms +61491570006 "Parcel 7 is here" --key parcel-7 --wait 10
      echo "Not in the shell's history" | dispatcher sms +61491570006 -

    The exit code is 0 once it is in the ledger; with --wait, once the API accepted it (1 if it did not in time).
    """
    body = with_newlines(sys.stdin.read()).rstrip("\n") if text == "-" else text
    with sending.open_client() as client:
        receipt = client.dispatcher.send_sms(
            to,
            body,
            idempotency_key=key,
            priority=priority.value,
            due_at=client.moment(due_at, "due_at"),
            expires_at=client.moment(expires_at, "expires_at"),
            tags=tags or (),
        )
        sending.report(client, receipt, wait=wait, as_json=as_json, reveal=reveal)
