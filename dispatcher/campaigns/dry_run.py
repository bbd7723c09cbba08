"""What a campaign would be, before anything is sent or even written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dispatcher.campaigns.check import NEVER_OPEN, Invalid, Sending
from dispatcher.campaigns.intake import Loading
from dispatcher.campaigns.source import Source
from dispatcher.campaigns.survey import Group, Page, Tally, survey
from dispatcher.campaigns.warnings import text_warnings, window_warnings
from dispatcher.domain.budget import to_minor
from dispatcher.domain.campaign import DEFAULT_LIFE, Terms
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.forecast import finish_at
from dispatcher.domain.message import Channel
from dispatcher.domain.mobiles import calling_code
from dispatcher.domain.opening import first_opening
from dispatcher.domain.rate import Rate
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.segments import Encoding
from dispatcher.domain.written_number import Form
from dispatcher.ledger import CampaignBooks

SHOWN_INVALID = 10
SHOWN_CULPRITS = 20
_NATIONAL = (Form.NATIONAL, Form.NO_ZERO, Form.NO_PLUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long the burst takes at a rate."""

    per_second: float
    takes: timedelta
    """Of sending alone, the nights between left out."""
    finishes_at: datetime | None
    """With the send window; None: more than a year away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message as its recipient would get it."""

    line: int
    recipient: Recipient
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOpening:
    """When the send window first opens for some of the recipients."""

    recipients: int
    zones: tuple[str, ...]
    """Those that their numbers may be in; empty if the window names its own."""
    left_out: tuple[str, ...]
    """Zones that they may be in too, but in which it may be another time than the window says."""
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """The report. Nothing was written for it."""

    source: str
    read_as: str
    rows: int
    recipients: int
    invalid: int
    reasons: dict[str, Group]
    first_invalid: tuple[Invalid, ...]
    duplicates: Group
    opted_out: int
    rewritten: dict[Form, int]
    """Recipients whose number is written in another form than the canonical one, by that form."""
    calling_code: str | None
    """Of the region, which national numbers get."""
    parts: int
    """SMS parts of all messages."""
    by_encoding: dict[Encoding, tuple[int, int]]
    """Messages and parts."""
    by_parts: dict[int, int]
    """Messages by how many parts they take."""
    culprits: tuple[tuple[str, int], ...]
    """Characters that force UCS-2, and in how many messages they stand."""
    placeholders: tuple[tuple[str, str, int], ...]
    """Cells that say "no value" in some program's words, by column and text, and how many messages hold each."""
    composed: int
    """Messages whose text was put into Unicode's composed form (NFC)."""
    money: dict[str, Decimal]
    terms: Mapping[str, str]
    """Amount and budget as they were read, with their currency."""
    starts_at: datetime
    openings: tuple[WindowOpening, ...]
    """When the send window first opens, for each group of zones; none without a window."""
    never_open: int
    """Rows that are invalid since the window does not open for their number before the messages expire."""
    now: Speed | None
    """At the present effective rate; None if Redis cannot tell it."""
    configured: Speed
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the channel allows."""

    configured: Rate
    effective: float | None
    """Messages per second; None if Redis cannot tell it."""


def dry_run(
    source: Source,
    terms: Terms,
    books: CampaignBooks,
    rates: Rates,
    *,
    now: datetime,
    normalize: bool = True,
    on_progress: Callable[[Loading], None] = lambda _: None,
    on_invalid: Callable[[Sequence[Invalid]], None] = lambda _: None,
) -> DryRun:
    """Go through a file as the intake would, and say what came of it."""
    tally = Tally()
    starts_at = terms.starts_at or now
    expires_at = terms.expires_at or starts_at + DEFAULT_LIFE
    sending = Sending(starts_at=starts_at, expires_at=expires_at, normalize=normalize)
    first: list[Invalid] = []
    opted_out = 0
    for page in survey(source, terms, sending, size=books.page_size):
        left_out = books.opted_out_among(terms.channel, [entry.recipient for entry in page.entries])
        opted_out += len(left_out)
        tally.add(_without(page, left_out))
        first += page.invalid[: SHOWN_INVALID - len(first)]
        on_invalid(page.invalid)
        on_progress(Loading(rows=page.after, of=source.count, recipients=tally.recipients))
    if tally.rows == 0:
        raise InvalidCampaign("file", "has no row")
    report = DryRun(
        source=source.name,
        read_as=source.read_as,
        rows=tally.rows,
        recipients=tally.recipients,
        invalid=tally.invalid,
        reasons=dict(sorted(tally.reasons.items(), key=lambda item: -item[1].count)),
        first_invalid=tuple(first),
        duplicates=tally.duplicates,
        opted_out=opted_out,
        rewritten=dict(tally.rewritten.most_common()),
        calling_code=None if terms.region is None else calling_code(terms.region),
        parts=tally.all_parts,
        by_encoding=_by_encoding(tally),
        by_parts=_by_parts(tally),
        culprits=tuple(tally.culprits.most_common(SHOWN_CULPRITS)),
        placeholders=tuple((column, cell, count) for (column, cell), count in tally.placeholders.most_common()),
        composed=tally.composed,
        money=tally.money,
        terms=money_terms(terms),
        starts_at=starts_at,
        openings=tuple(_openings(tally, terms, sending)),
        never_open=sum(group.count for reason, group in tally.reasons.items() if NEVER_OPEN in reason),
        now=None if rates.effective is None else _speed(tally, terms, rates.effective, starts_at),
        configured=_speed(tally, terms, rates.configured.per_second, starts_at),
        samples=tuple(
            Sample(
                line=each.line,
                recipient=Recipient(each.recipient),
                text=each.body if each.body is not None else _gift_in_words(each.gift),
            )
            for each in tally.samples
        ),
        warnings=(),
    )
    warnings = (*_warnings(report, terms), *text_warnings(source, terms, tally), *window_warnings(terms, tally))
    return replace(report, warnings=warnings)


def _openings(tally: Tally, terms: Terms, sending: Sending) -> Iterator[WindowOpening]:
    """Yield the openings of those who get a message, the largest group first."""
    window = terms.window
    if window is None:
        return
    for zones, count in tally.zones.most_common():
        opening = tally.openings.get(zones) or first_opening(
            window, (), start=sending.starts_at, end=sending.expires_at
        )
        if opening is not None:
            yield WindowOpening(
                recipients=count,
                zones=opening.zones,
                left_out=opening.left_out,
                opens_at=opening.opens_at,
                closes_at=opening.closes_at,
            )


def rewritten(report: DryRun) -> list[str]:
    """Say how many numbers were written in which form, and what national ones became."""
    return forms_in_words(report.rewritten, report.calling_code)


def forms_in_words(forms: Mapping[Form, int], code: str | None) -> list[str]:
    """Say how many numbers were written in which form, and what national ones became with their country's code."""
    became = f" → +{code}…" if code else ""
    return [f"{rows:,} {form.words}{became if form in _NATIONAL else ''}" for form, rows in forms.items()]


def money_terms(terms: Terms) -> dict[str, str]:
    """Return the amount and the budget of a campaign as they were read, with their currency."""
    found = {}
    if terms.gift is not None and terms.gift.amount is not None:
        found["amount"] = f"{terms.gift.currency} {terms.gift.amount}"
    if terms.budget is not None:
        found["budget"] = f"{terms.budget.currency} {terms.budget}"
    return found


def _gift_in_words(gift: str | None) -> str:
    said = json.loads(gift or "{}")
    note = f": {said['note']}" if said.get("note") else ""
    return f"{said.get('sku')}, {said.get('currency')} {said.get('amount')}{note}"


def _without(page: Page, left_out: frozenset[str]) -> Page:
    if not left_out:
        return page
    return replace(page, entries=[entry for entry in page.entries if entry.recipient not in left_out])


def _speed(tally: Tally, terms: Terms, channel_rate: float, start: datetime) -> Speed:
    per_second = min(channel_rate, terms.rate.per_second) if terms.rate is not None else channel_rate
    return Speed(
        per_second=per_second,
        takes=timedelta(seconds=tally.recipients / per_second),
        finishes_at=finish_at(tally.zones, per_second=per_second, window=terms.window, start=start),
    )


def _by_encoding(tally: Tally) -> dict[Encoding, tuple[int, int]]:
    found: dict[Encoding, tuple[int, int]] = {}
    for (encoding, parts), count in tally.parts.items():
        messages, all_parts = found.get(encoding, (0, 0))
        found[encoding] = (messages + count, all_parts + parts * count)
    return found


def _by_parts(tally: Tally) -> dict[int, int]:
    found: dict[int, int] = {}
    for (_, parts), count in sorted(tally.parts.items(), key=lambda item: item[0][1]):
        found[parts] = found.get(parts, 0) + count
    return found


def _warnings(report: DryRun, terms: Terms) -> list[str]:
    warnings = []
    expires_at = terms.expires_at or report.starts_at + DEFAULT_LIFE
    slowest = report.now or report.configured
    if report.recipients == 0:
        warnings.append("nobody would get a message")
    if slowest.finishes_at is None or slowest.finishes_at > expires_at:
        warnings.append(f"at the present rate it would not be over when it expires, {expires_at:%Y-%m-%d %H:%M} UTC")
    if report.rows and report.invalid / report.rows > 0.1:
        warnings.append(f"{report.invalid / report.rows:.0%} of the rows are invalid: is it the right file?")
    budget = terms.budget
    if terms.channel is Channel.GIFT and budget is not None and budget.total is not None:
        needed = report.money.get(budget.currency, Decimal(0))
        if needed and to_minor(needed, budget.currency) > budget.total:
            warnings.append(f"the budget does not cover it: {budget.currency} {needed} for all of them")
    return warnings
