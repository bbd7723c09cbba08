"""Campaigns: what one is made of, and the checks before anything is loaded."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypedDict, TypeVar

from dispatcher.domain.budget import Budget, parse_budget
from dispatcher.domain.errors import InvalidCampaign, InvalidMessage
from dispatcher.domain.message import FARTHEST, UNKEPT, Channel
from dispatcher.domain.money import parse_amount, parse_currency
from dispatcher.domain.opening import first_opening
from dispatcher.domain.rate import Rate, parse_rate
from dispatcher.domain.segments import MAX_PARTS
from dispatcher.domain.template import Template, field_name, parse_template
from dispatcher.domain.texts import with_newlines
from dispatcher.domain.window import SendWindow, parse_window
from dispatcher.domain.words import at

DEFAULT_LIFE = timedelta(days=30)
"""How long after its start (or, without one, its making) a campaign's messages wait at the most."""
RECIPIENT = "recipient"
GIFT_FIELDS = ("sku", "amount", "currency", "note")

_T = TypeVar("_T")
_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftTerms:
    """What every gift of a campaign has in common; None: each row says it."""

    sku: str | None
    amount: str | None
    currency: str | None
    note: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A checked campaign, before its recipients."""

    name: str
    channel: Channel
    template: Template | None = field(repr=False)
    """The text of an SMS; the note of a gift."""
    template_text: str | None = field(repr=False)
    gift: GiftTerms | None
    starts_at: datetime | None
    expires_at: datetime | None
    window: SendWindow | None
    rate: Rate | None
    budget: Budget | None
    region: str | None
    columns: Mapping[str, str]
    """Field by column, for columns whose name says something else."""
    max_parts: int = MAX_PARTS
    """SMS parts that a text may take."""


class Wanted(TypedDict, total=False):
    """What a campaign may be asked to be. Every part may be left out."""

    channel: str
    """``sms`` (if left out) or ``gift``."""
    template: str | None
    """The text, with ``{field}`` or ``{field|stand-in}`` for columns; for gifts their note."""
    starts_at: datetime | None
    """Aware, to come, kept within two seconds; without it the campaign is a draft that waits for ``start``."""
    expires_at: datetime | None
    """Aware; nothing of it is sent afterwards. 30 days after its start if left out."""
    window: str | None
    """``09:00-20:00``, ``Mon-Fri 09:00-17:00 Australia/Sydney except holidays AU-NSW``; without a zone in the
    recipient's own."""
    rate: str | None
    """Its own ceiling, ``50/s``; it never exceeds the channel's."""
    budget: Decimal | str | None
    """For gifts: ``12345.00``, ``500/day`` or both, in ``currency``."""
    sku: str | None
    """For gifts; left out if there is a column ``sku``. Likewise ``amount`` and ``currency``."""
    amount: Decimal | str | None
    currency: str | None
    region: str | None
    """Country (ISO 3166) for numbers in national form."""
    columns: Mapping[str, str] | None
    """Field by column, for columns whose name says something else: ``{"Mobile": "recipient"}``."""


def check_campaign(name: str, wanted: Wanted, *, now: datetime, region: str | None = None) -> Terms:
    """Check everything about a campaign but its recipients.

    :param now: aware UTC.
    :param region: for numbers in national form, if the campaign names none.
    :raises InvalidCampaign: the first part that is wrong, and what would be right.
    """
    _refuse_unknown(wanted)
    kind = _channel(wanted.get("channel", "sms"))
    text = _template(wanted.get("template"), kind)
    if kind is Channel.SMS:
        _refuse_gift_parts(wanted)
    currency, budget = wanted.get("currency"), wanted.get("budget")
    gift = _gift(wanted.get("sku"), wanted.get("amount"), currency, text) if kind is Channel.GIFT else None
    if budget is not None and currency is None:
        raise InvalidCampaign("budget", "needs the currency that it is in; give --currency, e.g. AUD")
    starts_at, expires_at = wanted.get("starts_at"), wanted.get("expires_at")
    _moment("starts_at", starts_at, now)
    _moment("expires_at", expires_at, now)
    if expires_at is not None and expires_at <= (starts_at or now):
        raise InvalidCampaign("expires_at", f"{expires_at:%Y-%m-%d %H:%M %Z} is not after its start")
    window = _read("window", wanted.get("window"), parse_window)
    if window is not None and window.zone is not None:
        _check_opens(window, starts_at or now, expires_at)
    return Terms(
        name=_name(name),
        channel=kind,
        template=text,
        template_text=None if text is None else with_newlines(wanted.get("template") or ""),
        gift=gift,
        starts_at=starts_at,
        expires_at=expires_at,
        window=window,
        rate=_read("rate", wanted.get("rate"), parse_rate),
        budget=_read("budget", budget, partial(parse_budget, currency=currency or "")),
        region=_region(wanted.get("region") or region),
        columns=_columns(wanted.get("columns") or {}),
    )


def _refuse_unknown(wanted: Wanted) -> None:
    """Refuse what names no part: a misspelt ``budget`` would be a campaign without one."""
    for part in wanted:
        if part not in Wanted.__annotations__:
            near = difflib.get_close_matches(part, Wanted.__annotations__, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(Wanted.__annotations__)}"
            raise InvalidCampaign(part, f"is no part of a campaign; {hint}")


def _check_opens(window: SendWindow, start: datetime, expires_at: datetime | None) -> None:
    """Refuse a window in one zone that does not open while the campaign sends; others differ from number to number."""
    end = expires_at or start + DEFAULT_LIFE
    if first_opening(window, (), start=start, end=end) is None:
        raise InvalidCampaign(
            "window", f"{window} is never open before the messages expire, {at(end)}; give other days"
        )


def _refuse_gift_parts(wanted: Wanted) -> None:
    parts = {part: wanted.get(part) for part in ("sku", "amount", "currency", "budget")}
    for part, value in parts.items():
        if value is not None:
            raise InvalidCampaign(part, "is for gifts; an SMS has none")


def _channel(channel: str) -> Channel:
    try:
        return Channel(channel)
    except ValueError:
        raise InvalidCampaign("channel", f"{channel!r} is not one of sms, gift") from None


def _name(name: str) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}", name) or not name.strip():
        raise InvalidCampaign("name", "is not 1 to 200 printable characters; give it a name, e.g. 'Spring 2027'")
    return name.strip()


def _template(text: str | None, channel: Channel) -> Template | None:
    if text is None or not text.strip():
        if channel is Channel.SMS:
            raise InvalidCampaign("template", "is empty; give the text of the SMS, e.g. 'Hi {first_name}, …'")
        return None
    _check_kept("template", text)
    return _read("template", with_newlines(text), parse_template)


def _check_kept(name: str, text: str) -> None:
    if UNKEPT.search(text):
        raise InvalidCampaign(name, "holds a NUL or half a surrogate pair, which nothing keeps; remove it")


def _gift(sku: str | None, amount: Decimal | str | None, currency: str | None, note: Template | None) -> GiftTerms:
    try:
        if currency is not None:
            parse_currency(currency)
        if amount is not None:
            if currency is None:
                raise InvalidCampaign("currency", "is missing; an amount needs one, e.g. AUD")
            amount = str(parse_amount(amount, currency))
    except InvalidMessage as wrong:
        raise InvalidCampaign(wrong.field, wrong.problem) from None
    if sku is not None and not re.fullmatch(r"[\x21-\x7e]{1,64}", sku):
        raise InvalidCampaign("sku", "is not 1 to 64 printable ASCII characters without spaces; see the catalogue")
    return GiftTerms(sku=sku, amount=amount, currency=currency, note=note)


def _moment(name: str, moment: datetime | None, now: datetime) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidCampaign(name, f"{moment} has no time zone; give an aware datetime")
    if moment <= now:
        raise InvalidCampaign(name, f"{moment:%Y-%m-%d %H:%M:%S %Z} is past; give a moment to come")
    if moment > now + FARTHEST:
        raise InvalidCampaign(name, f"{moment:%Y-%m-%d} is more than ten years away; check the year")


def _read(name: str, given: _Given | None, parse: Callable[[_Given], _T]) -> _T | None:
    try:
        return None if given is None else parse(given)
    except ValueError as wrong:
        raise InvalidCampaign(name, str(wrong)) from None


def _region(region: str | None) -> str | None:
    import phonenumbers

    if region is None or not region.strip():
        return None
    code = region.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidCampaign("region", f"{region!r} is not a country's code (ISO 3166), such as AU")
    return code


def _columns(columns: Mapping[str, str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for column, wanted in columns.items():
        _check_kept("map", column + wanted)
        name = field_name(wanted)
        if not name:
            raise InvalidCampaign("map", f"{column}={wanted} names no field; write column=field, e.g. phone=recipient")
        if name in fields.values():
            raise InvalidCampaign("map", f"two columns are to be {name}; only one can")
        fields[column.strip()] = name
    return fields
