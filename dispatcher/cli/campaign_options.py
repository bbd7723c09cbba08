"""The options that `campaign create` and `campaign dry-run` share, and what they come to."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.exits import WrongUsage
from dispatcher.cli.options import MOMENT
from dispatcher.cli.when import parse_moment
from dispatcher.domain.message import Channel

if TYPE_CHECKING:
    from dispatcher.domain.campaign import Wanted

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV with a header, or - for standard input.", show_default=False)
]
OfChannel = Annotated[Channel, typer.Option("--channel", help="What is sent.")]
TemplateText = Annotated[
    str | None,
    typer.Option("--template", metavar="TEXT", help="The text, with {field} or {field|stand-in}; of gifts the note."),
]
StartsAt = Annotated[str | None, typer.Option("--starts-at", metavar="WHEN", help=f"When it starts: {MOMENT}")]
ExpiresAt = Annotated[
    str | None,
    typer.Option(
        "--expires-at", metavar="WHEN", help="Not after; if left out 30 days after --starts-at, or after now."
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="WINDOW",
        help="When it may send: 09:00-20:00 or 'Mon-Fri 09:00-17:00 Australia/Sydney except holidays AU-NSW'. "
        "Without a zone in the recipient's own.",
    ),
]
RateText = Annotated[
    str | None, typer.Option("--rate", metavar="RATE", help="Its own ceiling, e.g. 50/s; never above the channel's.")
]
BudgetText = Annotated[
    str | None,
    typer.Option("--budget", metavar="MONEY", help="For gifts, in --currency: 12345.00, 500/day or both."),
]
Sku = Annotated[str | None, typer.Option("--sku", metavar="SKU", help="For gifts, unless there is a column sku.")]
Amount = Annotated[
    str | None, typer.Option("--amount", metavar="AMOUNT", help="For gifts, unless there is a column amount.")
]
Currency = Annotated[
    str | None, typer.Option("--currency", metavar="CODE", help="For gifts, unless there is a column currency.")
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="CODE", help="Country (ISO 3166) for numbers in national form, e.g. AU."),
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="What a column is, e.g. Mobile=recipient; may be repeated."),
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", metavar="NAME", help="Of the file, if it is not UTF-8: cp1252, latin-1.")
]
Delimiter = Annotated[
    str | None, typer.Option("--delimiter", metavar="CHAR", help="Of the file: comma, semicolon, tab, pipe.")
]
InvalidTo = Annotated[
    Path | None,
    typer.Option("--invalid-to", metavar="FILE", help="Write every invalid row (line, masked number, reason) there."),
]
Which = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its id or its name.", show_default=False)]


def wanted(
    now: datetime,
    *,
    channel: Channel,
    template: str | None,
    starts_at: str | None,
    expires_at: str | None,
    window: str | None,
    rate: str | None,
    budget: str | None,
    sku: str | None,
    amount: str | None,
    currency: str | None,
    region: str | None,
    columns: list[str] | None,
) -> Wanted:
    """Read the options as what the campaign is to be."""
    return {
        "channel": channel.value,
        "template": template,
        "starts_at": parse_moment(starts_at, field="starts_at", now=now),
        "expires_at": parse_moment(expires_at, field="expires_at", now=now),
        "window": window,
        "rate": rate,
        "budget": budget,
        "sku": sku,
        "amount": amount,
        "currency": currency,
        "region": region,
        "columns": dict(pair(each) for each in columns or ()),
    }


def pair(text: str) -> tuple[str, str]:
    """Read what a column is.

    :raises WrongUsage: it is not of the form ``COLUMN=FIELD``.
    """
    column, equals, field = text.rpartition("=")
    if not equals or not column.strip() or not field.strip():
        raise WrongUsage(f"--map: {text!r} is not COLUMN=FIELD, e.g. Mobile=recipient")
    return column.strip(), field.strip()
