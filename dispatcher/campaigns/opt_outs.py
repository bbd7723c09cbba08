"""Opt-outs from a file, a page a transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from dispatcher.campaigns.check import Invalid, hidden
from dispatcher.campaigns.intake import Loading
from dispatcher.campaigns.layout import recipient_place
from dispatcher.campaigns.source import Source
from dispatcher.campaigns.survey import Group
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel
from dispatcher.domain.recipient import Recipient, parse_recipient
from dispatcher.ledger import By, CampaignBooks

_AT_ONCE = 2000
_QUOTED = re.compile(r"^'[^']*' ")


@dataclass(slots=True)
class Imported:
    """What a file of opt-outs came to."""

    rows: int = 0
    new: int = 0
    invalid: int = 0
    reasons: dict[str, Group] = field(default_factory=dict)


def import_opt_outs(
    source: Source,
    books: CampaignBooks,
    channel: Channel,
    by: By,
    *,
    columns: Mapping[str, str],
    region: str | None,
    on_progress: Callable[[Loading], None] = lambda _: None,
    on_invalid: Callable[[Sequence[Invalid]], None] = lambda _: None,
) -> Imported:
    """Note every valid number of a file as opted out.

    :raises InvalidCampaign: no column holds the numbers.
    """
    place = recipient_place(source.columns, columns)
    rows, done = iter(source.rows), Imported()
    while chunk := list(islice(rows, _AT_ONCE)):
        numbers: dict[Recipient, None] = {}
        invalid = []
        for line, cells in chunk:
            value = cells[place] if place < len(cells) else ""
            try:
                numbers[parse_recipient(value, region=region)] = None
            except InvalidMessage as wrong:
                invalid.append(Invalid(line, hidden(value), f"number {_QUOTED.sub('', wrong.problem)}"))
        for each in invalid:
            done.reasons.setdefault(each.reason, Group()).add(each.line)
        done.rows += len(chunk)
        done.invalid += len(invalid)
        done.new += books.suppress(channel, list(numbers), by)
        on_invalid(invalid)
        on_progress(Loading(rows=done.rows, of=source.count, recipients=done.new))
    return done
