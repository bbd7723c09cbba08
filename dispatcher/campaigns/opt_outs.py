"""Opt-outs from a file, a page a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from dispatcher.campaigns.check import Invalid, hidden, reason_of
from dispatcher.campaigns.intake import Loading
from dispatcher.campaigns.layout import places_of
from dispatcher.campaigns.source import Source
from dispatcher.campaigns.survey import Group
from dispatcher.domain.campaign import RECIPIENT
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel
from dispatcher.domain.recipient import Recipient, parse_recipient
from dispatcher.ledger import By, CampaignBooks

_AT_ONCE = 2000


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
    channel: Channel | None,
    by: By,
    *,
    columns: Mapping[str, str],
    region: str | None,
    on_progress: Callable[[Loading], None] = lambda _: None,
    on_invalid: Callable[[Sequence[Invalid]], None] = lambda _: None,
) -> Imported:
    """Note every valid number of a file as opted out.

    :param channel: of all rows; if None, what a column ``channel`` says, else SMS.
    :raises InvalidCampaign: no column holds the numbers.
    """
    places = places_of(source.columns, columns, also=("channel", "reason"))
    place, of_channel, of_reason = places[RECIPIENT], places.get("channel"), places.get("reason")
    rows, done = iter(source.rows), Imported()
    while chunk := list(islice(rows, _AT_ONCE)):
        found: dict[tuple[Channel, str | None], dict[Recipient, None]] = {}
        invalid = []
        for line, cells in chunk:
            value = cells[place] if place < len(cells) else ""
            try:
                recipient = parse_recipient(value, region=region)
                said = channel or _channel(_cell(cells, of_channel))
                reason = _cell(cells, of_reason) or by.reason
                found.setdefault((said, reason), {})[recipient] = None
            except InvalidMessage as wrong:
                invalid.append(Invalid(line, hidden(value), reason_of(wrong)))
        for each in invalid:
            done.reasons.setdefault(each.reason, Group()).add(each.line)
        done.rows += len(chunk)
        done.invalid += len(invalid)
        for (said, reason), numbers in found.items():
            done.new += books.suppress(said, list(numbers), replace(by, reason=reason))
        on_invalid(invalid)
        on_progress(Loading(rows=done.rows, of=source.count, recipients=done.new))
    return done


def _cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place].strip() if place is not None and place < len(cells) else ""


def _channel(text: str) -> Channel:
    try:
        return Channel(text.lower()) if text else Channel.SMS
    except ValueError:
        raise InvalidMessage("channel", f"{text!r} is not one of sms, gift") from None
