"""`dispatcher gift`: enqueue one gift card."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli import sending
from dispatcher.cli.options import MOMENT, AsJson, Reveal
from dispatcher.domain.message import Priority


def gift(
    *,
    to: Annotated[
        str, typer.Argument(metavar="TO", help="A mobile's number in E.164: +61491570006.", show_default=False)
    ],
    sku: Annotated[str, typer.Option("--sku", metavar="SKU", help="The card's name in the provider's catalogue.")],
    amount: Annotated[str, typer.Option("--amount", metavar="AMOUNT", help="What it is worth: 25.00.")],
    currency: Annotated[str, typer.Option("--currency", metavar="CODE", help="ISO 4217: AUD.")],
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="KEY",
            help="Idempotency key, required since it is money: one for each gift that you mean to give.",
            show_default=False,
        ),
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="A text for the recipient.")] = "",
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
    r"""Enqueue a gift card. It is never sent twice.

    If nobody can tell whether it was carried out, it waits for a person in `dispatcher in-doubt list`.

    Example:
      dispatcher gift +61491570006 --sku COFFEE --amount 25 --currency AUD \
        --key order-4711

    The same key with the same content is the same gift, however often you run this; with other content it is refused.
    """
    with sending.open_client() as client:
        receipt = client.dispatcher.send_gift(
            to,
            sku=sku,
            amount=amount,
            currency=currency,
            idempotency_key=key,
            note=note,
            priority=priority.value,
            due_at=client.moment(due_at, "due_at"),
            expires_at=client.moment(expires_at, "expires_at"),
            tags=tags or (),
        )
        sending.report(client, receipt, wait=wait, as_json=as_json, reveal=reveal)
