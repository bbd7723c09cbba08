"""One row of the file: a checked entry of the campaign, or the reason why it is none."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from dispatcher.campaigns.layout import Layout
from dispatcher.campaigns.missing import DecimalText, is_placeholder
from dispatcher.domain.campaign import RECIPIENT, Terms
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel, Gift, check_body, check_gift, fingerprint
from dispatcher.domain.opening import Opening, first_opening
from dispatcher.domain.recipient import mask, read_recipient
from dispatcher.domain.segments import Segments
from dispatcher.domain.template import EmptyField
from dispatcher.domain.texts import composed, with_newlines
from dispatcher.domain.words import at
from dispatcher.domain.written_number import Form
from dispatcher.domain.zones import by_clock, zones_of

_QUOTED = re.compile(r"""^(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+") """)
"""The value that a complaint begins with, as ``repr`` writes it."""

NEVER_OPEN = "is never open"
"""How the complaint about a window begins that does not open for a number."""


class Invalid(NamedTuple):
    """A row that is left out."""

    line: int
    value: str
    """The number, masked."""
    reason: str
    """Without the value, so that rows with the same reason can be counted together."""
    detail: str = ""
    """The part that belongs to this row: a place in the value, the form that would be right."""

    @property
    def sentence(self) -> str:
        """The reason with its detail."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Candidate(NamedTuple):
    """A row that is right in itself; whether it is a duplicate or opted out is still to be seen."""

    line: int
    recipient: str
    body: str | None
    gift: str | None
    """As JSON, the form in which the ledger keeps it."""
    amount: str | None
    currency: str | None
    fingerprint: str
    zones: str
    segments: Segments | None
    form: Form | None
    """How the number was written, if not in canonical form."""
    placeholders: tuple[tuple[str, str], ...] = ()
    """Columns and their cells that say "no value" in some program's words, and are sent as text."""
    composed: bool = False
    """Whether the text was put into Unicode's composed form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """When a campaign sends, and the form of its texts."""

    starts_at: datetime
    expires_at: datetime
    normalize: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Checks rows of one campaign."""

    terms: Terms
    layout: Layout
    sending: Sending
    openings: dict[str, Opening] = field(default_factory=dict)
    """When the window first opens, by the zones of candidates; filled as rows are checked."""
    _of_range: dict[tuple[str, ...], Opening | None] = field(default_factory=dict)

    def row(self, line: int, cells: Sequence[str]) -> Candidate | Invalid:
        """Return the entry that a row asks for, or what is wrong with it."""
        layout, terms = self.layout, self.terms
        if len(cells) != layout.width:
            cell = cells[layout.recipient] if layout.recipient < len(cells) else ""
            why = f"has {len(cells)} cells where the header has {layout.width}"
            return Invalid(line, hidden(cell), why)
        number = cells[layout.recipient]
        try:
            recipient, form = read_recipient(number, region=terms.region)
            zones = self._zones(recipient)
            written = None if layout.text is None else with_newlines(layout.text.filled(cells))
            text = composed(written) if written is not None and self.sending.normalize else written
            told = self._placeholders(cells)
            if terms.channel is Channel.SMS:
                assert text is not None  # noqa: S101 - an SMS campaign has a template
                counted = check_body(text, max_parts=terms.max_parts)
                print_ = fingerprint(Channel.SMS, [recipient, text])
                row = Candidate(line, recipient, text, None, None, None, print_, zones, counted, form)
                return (
                    row if text == written and not told else row._replace(placeholders=told, composed=text != written)
                )
            asked = self._gift(cells, recipient, text)
            note = composed(asked.note) if self.sending.normalize else asked.note
            changed = (note, text) != (asked.note, written)
            gift = check_gift(replace(asked, note=note))
        except InvalidMessage as wrong:
            return Invalid(line, hidden(number), reason_of(wrong), wrong.detail)
        except EmptyField as empty:
            return Invalid(line, hidden(number), str(empty))
        amount = str(gift.amount)
        content = {"sku": gift.sku, "amount": amount, "currency": gift.currency, "note": gift.note}
        print_ = fingerprint(Channel.GIFT, [recipient, *content.values()])
        as_json = json.dumps(content, ensure_ascii=False)
        return Candidate(
            line,
            recipient,
            None,
            as_json,
            amount,
            gift.currency,
            print_,
            zones,
            None,
            form,
            placeholders=told,
            composed=changed,
        )

    def _gift(self, cells: Sequence[str], recipient: str, note: str | None) -> Gift:
        fixed, places = self.terms.gift, self.layout.gift
        assert fixed is not None  # noqa: S101 - a gift campaign has gift terms

        def said(name: str, value: str | None) -> str:
            return value if value is not None else cells[places[name]].strip() if name in places else ""

        cell = cells[places["amount"]] if fixed.amount is None and "amount" in places else None
        return Gift(
            recipient=recipient,
            sku=said("sku", fixed.sku),
            amount=cell.number if isinstance(cell, DecimalText) else said("amount", fixed.amount),
            currency=said("currency", fixed.currency),
            note=said("note", note),
            idempotency_key="",
        )

    def _placeholders(self, cells: Sequence[str]) -> tuple[tuple[str, str], ...]:
        found: tuple[tuple[str, str], ...] = ()
        for column, place in self.layout.sent:  # a loop, since there are millions of rows and few of them have one
            if is_placeholder(cells[place]):
                found = (*found, (column, cells[place].strip()))
        return found

    def _zones(self, recipient: str) -> str:
        """Return the zones by which the window opens for a number, names with blanks between.

        :raises InvalidMessage: it does not open for this number while the campaign sends.
        """
        window = self.terms.window
        if window is None or window.zone is not None:
            return ""
        zones = zones_of(recipient)
        if not zones:
            raise InvalidMessage("recipient", "has no time zone of its own; give the window a fixed one")
        if zones not in self._of_range:
            self._of_range[zones] = first_opening(
                window, zones, start=self.sending.starts_at, end=self.sending.expires_at
            )
        opening = self._of_range[zones]
        if opening is None:
            raise InvalidMessage("window", self._never(zones))
        named = " ".join(opening.zones)
        self.openings[named] = opening
        return named

    def _never(self, zones: tuple[str, ...]) -> str:
        """Say why the window never opens: the days on which it could do, or places with too little time in common."""
        ordered = by_clock(zones, self.sending.starts_at)
        span = f"{NEVER_OPEN} before the messages expire, {at(self.sending.expires_at)},"
        if len(zones) == 1:
            return f"{span} in {zones[0]}; give other days or hours"
        return (
            f"{span} in all zones that the number may be in, {ordered[0]} to {ordered[-1]}; "
            f"end it with one zone, such as {ordered[0]}, or give longer hours"
        )


def reason_of(wrong: InvalidMessage) -> str:
    """Return the complaint without the value, which may be anything, a number in the wrong column too.

    >>> reason_of(InvalidMessage("amount", "'+61491570006' is above 1000000, the most that one gift may be"))
    'amount is above 1000000, the most that one gift may be'
    """
    field = "number" if wrong.field == RECIPIENT else wrong.field
    return f"{field} {_QUOTED.sub('', wrong.fault)}"


def gift_key(campaign: str, recipient: str) -> str:
    """Derive a gift's idempotency key from campaign and recipient, without telling the number.

    >>> gift_key("spring", "+61491570006")
    'campaign:spring:8c48beddb54e5060'
    """
    return f"campaign:{campaign}:{hashlib.sha256(f'{campaign} {recipient}'.encode()).hexdigest()[:16]}"


def hidden(value: str) -> str:
    """Mask what should have been a number, whatever it is.

    >>> hidden("+61491570006"), hidden("abc"), hidden("")
    ('+61•••••••06', '•••', '')
    """
    return mask(value.strip()[:20])
