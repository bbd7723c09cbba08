"""Opt-outs from a file, a page a transaction. A line that cannot be read never costs another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from dispatcher.campaigns.cells import original_cell
from dispatcher.campaigns.check import Invalid, hidden, reason_of
from dispatcher.campaigns.intake import Loading
from dispatcher.campaigns.layout import places_of
from dispatcher.campaigns.source import Source
from dispatcher.campaigns.survey import Group
from dispatcher.domain.campaign import RECIPIENT
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel
from dispatcher.domain.mobiles import calling_code
from dispatcher.domain.recipient import read_recipient
from dispatcher.domain.written_number import Form
from dispatcher.ledger import By, CampaignBooks, OptOut

LISTED = 100
"""Lines that cannot be read and are listed each for itself."""
AT = "opted_out_at"
_AT_ONCE = 2000


@dataclass(slots=True)
class Imported:
    """The result of an import."""

    rows: int = 0
    new: int = 0
    invalid: int = 0
    """Lines whose opt-out could not be read, so that it is not recorded."""
    reasons: dict[str, Group] = field(default_factory=dict)
    first_invalid: list[Invalid] = field(default_factory=list)
    rewritten: Counter[Form] = field(default_factory=Counter)
    """How many recorded numbers were written in another form than the canonical one."""
    calling_code: str | None = None
    """Of the country that national numbers were read for."""
    undated: Group = field(default_factory=Group)
    """Lines whose opt-out is recorded with the present time, because its own cannot be read."""

    @property
    def complete(self) -> bool:
        """Whether every line is recorded with its own date."""
        return not self.invalid and not self.undated.count


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
    """Record every valid number of a file as opted out, with the date and the reason that its line gives.

    :param channel: of all rows; if None, the value of a column ``channel``, else SMS.
    :raises InvalidCampaign: no column holds the numbers.
    """
    places = places_of(source.columns, columns, also=("channel", "reason", AT))
    rows, done = iter(source.rows), Imported(calling_code=None if region is None else calling_code(region))
    while chunk := list(islice(rows, _AT_ONCE)):
        found: list[OptOut] = []
        invalid: list[Invalid] = []
        for line, cells in chunk:
            row = {name: cells[place] for name, place in places.items() if place < len(cells)}
            try:
                read, form = _opt_out(row, channel, by, region)
                found.append(read)
                done.rewritten.update([form] if form is not None else [])
                if read.opted_out_at is by.now and row.get(AT, "").strip():
                    done.undated.add(line)
            except InvalidMessage as wrong:
                invalid.append(Invalid(line, hidden(row.get(RECIPIENT, "")), reason_of(wrong), wrong.detail))
        done.rows += len(chunk)
        done.new += books.record_opt_outs(found, by)
        done.invalid += len(invalid)
        done.first_invalid += invalid[: LISTED - len(done.first_invalid)]
        for each in invalid:
            done.reasons.setdefault(each.reason, Group()).add(each.line, each.detail)
        on_invalid(invalid)
        on_progress(Loading(rows=done.rows, of=source.count, recipients=done.new))
    return done


def _opt_out(row: Mapping[str, str], channel: Channel | None, by: By, region: str | None) -> tuple[OptOut, Form | None]:
    """Read a row, and the form of its number. Its moment is ``by.now`` itself if the row has none that can be read."""
    recipient, form = read_recipient(row.get(RECIPIENT, ""), region=region)
    at = _moment(row.get(AT, "").strip())
    opt_out = OptOut(
        channel=channel or _channel(row.get("channel", "").strip()),
        recipient=recipient,
        reason=original_cell(row.get("reason", "")).strip() or by.reason,
        opted_out_at=by.now if at is None or at > by.now else at,
    )
    return opt_out, form


def _moment(written: str) -> datetime | None:
    """Read a date or a moment as ISO 8601 has it; without a zone it is in UTC."""
    try:
        moment = datetime.fromisoformat(written)
        return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _channel(text: str) -> Channel:
    try:
        return Channel(text.lower()) if text else Channel.SMS
    except ValueError:
        raise InvalidMessage("channel", f"{text!r} is not one of sms, gift") from None
