"""The one way through a file of recipients: what the dry run counts is what the intake loads."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from dispatcher.campaigns.check import Candidate, Check, Invalid, Sending
from dispatcher.campaigns.layout import lay_out
from dispatcher.campaigns.seen import Seen
from dispatcher.campaigns.source import Source
from dispatcher.domain.campaign import Terms
from dispatcher.domain.opening import Opening
from dispatcher.domain.segments import Encoding
from dispatcher.domain.written_number import Form

FIRST_LINES = 3
"""How many line numbers are told with each reason."""
SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows of the file, checked."""

    before: int
    after: int
    """How many rows of the file have been read, invalid and doubled ones included."""
    entries: list[Candidate] = field(repr=False)
    invalid: list[Invalid]
    duplicates: list[int]
    """The lines of rows whose recipient was there before."""
    openings: Mapping[str, Opening] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """Rows that are left out for one reason."""

    count: int = 0
    lines: list[int] = field(default_factory=list)
    """The first of them."""

    detail: str = ""
    """What the first of them adds to the reason."""

    def add(self, line: int, detail: str = "") -> None:
        """Count a row."""
        self.count += 1
        self.detail = self.detail or detail
        if len(self.lines) < FIRST_LINES:
            self.lines.append(line)

    def explained(self, reason: str) -> str:
        """Return the reason with the detail of the first row.

        >>> Group(count=1, lines=[2], detail="write 15.00").explained("amount has a decimal comma")
        'amount has a decimal comma: write 15.00'
        """
        if not self.detail:
            return reason
        return f"{reason}: {self.detail}" if self.count == 1 else f"{reason} (line {self.lines[0]}: {self.detail})"


@dataclass(slots=True)
class Tally:
    """What a whole file comes to."""

    rows: int = 0
    recipients: int = 0
    invalid: int = 0
    reasons: dict[str, Group] = field(default_factory=dict)
    duplicates: Group = field(default_factory=Group)
    parts: Counter[tuple[Encoding, int]] = field(default_factory=Counter)
    """How many messages take so many parts in which encoding."""
    culprits: Counter[str] = field(default_factory=Counter)
    """In how many messages each character that forces UCS-2 stands."""
    money: dict[str, Decimal] = field(default_factory=dict)
    zones: Counter[str] = field(default_factory=Counter)
    samples: list[Candidate] = field(default_factory=list)
    rewritten: Counter[Form] = field(default_factory=Counter)
    """How many recipients' numbers were written in another form than the canonical one."""
    placeholders: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many messages hold a cell of a column that says "no value" in some program's words."""
    composed: int = 0
    """Messages whose text was put into Unicode's composed form."""
    openings: Mapping[str, Opening] = field(default_factory=dict)
    """When the window first opens, by the zones of recipients."""

    def add(self, page: Page) -> None:
        """Count a page that was checked; who opted out has been taken out of it."""
        self.rows, self.openings = page.after, page.openings
        self.invalid += len(page.invalid)
        for invalid in page.invalid:
            self.reasons.setdefault(invalid.reason, Group()).add(invalid.line, invalid.detail)
        for line in page.duplicates:
            self.duplicates.add(line)
        self._count(page.entries)

    def _count(self, entries: list[Candidate]) -> None:
        self.recipients += len(entries)
        if len(self.samples) < SAMPLES:
            self.samples += entries[: SAMPLES - len(self.samples)]
        self.zones.update([entry.zones for entry in entries])
        self.rewritten.update([entry.form for entry in entries if entry.form is not None])
        self.parts.update([(e.segments.encoding, e.segments.parts) for e in entries if e.segments is not None])
        self.composed += sum(entry.composed for entry in entries)
        for entry in entries:
            self.placeholders.update(entry.placeholders)
            if entry.segments is not None and entry.segments.culprits:
                self.culprits.update(entry.segments.culprits)
            if entry.amount is not None and entry.currency is not None:
                self.money[entry.currency] = self.money.get(entry.currency, Decimal(0)) + Decimal(entry.amount)

    @property
    def all_parts(self) -> int:
        """SMS parts of all messages."""
        return sum(parts * count for (_, parts), count in self.parts.items())


def survey(source: Source, terms: Terms, sending: Sending, *, size: int) -> Iterator[Page]:
    """Check a file row by row and yield it in pages.

    :param size: rows in a page.
    :raises InvalidCampaign: a column is missing.
    """
    check = Check(terms=terms, layout=lay_out(source.columns, terms), sending=sending)
    rows = iter(source.rows)
    read = 0
    with closing(Seen()) as seen:
        while chunk := list(islice(rows, size)):
            checked = [check.row(line, cells) for line, cells in chunk]
            candidates = [each for each in checked if isinstance(each, Candidate)]
            fresh = seen.add([each.recipient for each in candidates])
            yield Page(
                before=read,
                after=read + len(chunk),
                entries=[each for each, new in zip(candidates, fresh, strict=True) if new],
                invalid=[each for each in checked if isinstance(each, Invalid)],
                duplicates=[each.line for each, new in zip(candidates, fresh, strict=True) if not new],
                openings=check.openings,
            )
            read += len(chunk)


def character_name(character: str) -> str:
    """Say which character it is.

    >>> character_name("’")
    'RIGHT SINGLE QUOTATION MARK'
    """
    return unicodedata.name(character, f"U+{ord(character):04X}")
