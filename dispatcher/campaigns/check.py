"""One row of the file: a checked entry of the campaign, or the reason why it is none."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dispatcher.campaigns.layout import Layout
from dispatcher.domain.campaign import RECIPIENT, Terms
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel, Gift, check_body, check_gift, fingerprint
from dispatcher.domain.recipient import mask, parse_recipient
from dispatcher.domain.segments import Segments
from dispatcher.domain.template import EmptyField
from dispatcher.domain.window import SendWindow
from dispatcher.domain.zones import zones_of

_QUOTED = re.compile(r"""^(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+") """)
"""The value that a complaint begins with, as ``repr`` writes it."""


class Invalid(NamedTuple):
    """A row that is left out."""

    line: int
    value: str
    """The number, masked."""
    reason: str
    """Without the value, so that rows with the same reason can be counted together."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Checks rows of one campaign."""

    terms: Terms
    layout: Layout

    def row(self, line: int, cells: Sequence[str]) -> Candidate | Invalid:
        """Return the entry that a row asks for, or what is wrong with it."""
        layout, terms = self.layout, self.terms
        if len(cells) != layout.width:
            cell = cells[layout.recipient] if layout.recipient < len(cells) else ""
            return Invalid(line, hidden(cell), f"has {len(cells)} cells where the header has {layout.width}")
        number = cells[layout.recipient]
        try:
            recipient = parse_recipient(number, region=terms.region)
            zones = self._zones(recipient, terms.window)
            text = None if layout.text is None else layout.text.filled(cells)
            if terms.channel is Channel.SMS:
                assert text is not None  # noqa: S101 - an SMS campaign has a template
                counted = check_body(text, max_parts=terms.max_parts)
                print_ = fingerprint(Channel.SMS, [recipient, text])
                return Candidate(line, recipient, text, None, None, None, print_, zones, counted)
            gift = check_gift(self._gift(cells, recipient, text))
        except InvalidMessage as wrong:
            return Invalid(line, hidden(number), reason_of(wrong))
        except EmptyField as empty:
            return Invalid(line, hidden(number), str(empty))
        amount = str(gift.amount)
        content = {"sku": gift.sku, "amount": amount, "currency": gift.currency, "note": gift.note}
        print_ = fingerprint(Channel.GIFT, [recipient, *content.values()])
        written = json.dumps(content, ensure_ascii=False)
        return Candidate(line, recipient, None, written, amount, gift.currency, print_, zones, None)

    def _gift(self, cells: Sequence[str], recipient: str, note: str | None) -> Gift:
        fixed, places = self.terms.gift, self.layout.gift
        assert fixed is not None  # noqa: S101 - a gift campaign has gift terms

        def said(name: str, value: str | None) -> str:
            return value if value is not None else cells[places[name]].strip() if name in places else ""

        return Gift(
            recipient=recipient,
            sku=said("sku", fixed.sku),
            amount=said("amount", fixed.amount),
            currency=said("currency", fixed.currency),
            note=said("note", note),
            idempotency_key="",
        )

    @staticmethod
    def _zones(recipient: str, window: SendWindow | None) -> str:
        if window is None or window.zone is not None:
            return ""
        zones = zones_of(recipient)
        if not zones:
            raise InvalidMessage("recipient", "has no time zone of its own; give the window a fixed one")
        return " ".join(zones)


def reason_of(wrong: InvalidMessage) -> str:
    """Return the complaint without the value, which may be anything, a number in the wrong column too.

    >>> reason_of(InvalidMessage("amount", "'+61491570006' is above 1000000, the most that one gift may be"))
    'amount is above 1000000, the most that one gift may be'
    """
    field = "number" if wrong.field == RECIPIENT else wrong.field
    return f"{field} {_QUOTED.sub('', wrong.problem)}"


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
