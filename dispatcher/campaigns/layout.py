"""Which column of the file is what: settled once, before the first row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.domain.campaign import GIFT_FIELDS, RECIPIENT, Terms
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.message import Channel
from dispatcher.domain.template import Placed, field_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The places, from 0, of what a campaign needs in each row."""

    width: int
    recipient: int
    text: Placed | None
    """The text of an SMS or the note of a gift."""
    gift: Mapping[str, int]
    """Of ``sku``, ``amount``, ``currency`` and ``note``, those that each row says for itself."""


def lay_out(columns: Sequence[str], terms: Terms) -> Layout:
    """Find everything that the campaign needs among the columns.

    :raises InvalidCampaign: a column is missing, and which there are.
    """
    places = _places(columns, terms.columns)
    return Layout(
        width=len(columns),
        recipient=_recipient(columns, places),
        text=_text(terms, places, columns),
        gift=_gift(terms, places, columns) if terms.channel is Channel.GIFT else {},
    )


def places_of(columns: Sequence[str], mapped: Mapping[str, str]) -> dict[str, int]:
    """Return the place of each field, that of the numbers among them.

    :param mapped: field by column, for columns whose name says something else.
    :raises InvalidCampaign: no column holds the numbers.
    """
    places = _places(columns, mapped)
    _recipient(columns, places)
    return places


def _places(columns: Sequence[str], mapped: Mapping[str, str]) -> dict[str, int]:
    """Return the place of each field. A column that was mapped to a field wins over one that is just called so."""
    for column in mapped:
        if column not in columns:
            raise InvalidCampaign("map", f"there is no column {column!r}; {_these(columns)}")
    places = {mapped[column]: place for place, column in enumerate(columns) if column in mapped}
    by_name: dict[str, int] = {}
    for place, column in enumerate(columns):
        name = field_name(column)
        if column in mapped or name in places:
            continue
        if name in by_name:
            raise InvalidCampaign("file", f"columns {columns[by_name[name]]!r} and {column!r} are both {name}; map one")
        by_name[name] = place
    return by_name | places


def _recipient(columns: Sequence[str], places: Mapping[str, int]) -> int:
    if RECIPIENT not in places:
        hint = f"say which it is, e.g. --map {columns[0]}=recipient"
        raise InvalidCampaign("file", f"has no column {RECIPIENT!r}; {_these(columns)}: {hint}")
    return places[RECIPIENT]


def _text(terms: Terms, places: Mapping[str, int], columns: Sequence[str]) -> Placed | None:
    if terms.template is None:
        return None
    unknown = [name for name in terms.template.fields if name not in places]
    if unknown:
        named = ", ".join(f"{{{name}}}" for name in unknown)
        raise InvalidCampaign("template", f"{named} is no column of the file; {_these(columns)}")
    return terms.template.placed(places)


def _gift(terms: Terms, places: Mapping[str, int], columns: Sequence[str]) -> dict[str, int]:
    gift = terms.gift
    assert gift is not None  # noqa: S101 - a gift campaign has gift terms
    fixed = {"sku": gift.sku, "amount": gift.amount, "currency": gift.currency, "note": terms.template}
    found = {name: places[name] for name in GIFT_FIELDS if fixed[name] is None and name in places}
    for name in ("sku", "amount", "currency"):
        if fixed[name] is None and name not in found:
            raise InvalidCampaign(name, f"is neither given nor a column; {_these(columns)}: give --{name}")
    return found


def _these(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:12])
    return f"the file has {shown}{', …' if len(columns) > 12 else ''}"
