"""Which column of the file is what: settled once, before the first row."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.domain.campaign import GIFT_FIELDS, RECIPIENT, Terms
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.message import Channel
from dispatcher.domain.template import Placed, field_name

_PHONE_NUMBER = re.compile(r"\+\d{7,15}|\d{9,}", re.ASCII)
"""Nine digits are what a spreadsheet leaves of 0491 570 006; a date has eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The places, from 0, of what a campaign needs in each row."""

    width: int
    recipient: int
    text: Placed | None
    """The text of an SMS or the note of a gift."""
    gift: Mapping[str, int]
    """Of ``sku``, ``amount``, ``currency`` and ``note``, those that each row says for itself."""
    sent: tuple[tuple[str, int], ...]
    """The columns, by their own names, whose cells recipients get to see."""


def lay_out(columns: Sequence[str], terms: Terms) -> Layout:
    """Find everything that the campaign needs among the columns.

    :raises InvalidCampaign: a column is missing, or two columns are alike; which ones there are.
    """
    named = _Columns.of(columns, terms.columns)
    recipient, text = named.recipient(), _text(terms, named)
    gift = _gift(terms, named) if terms.channel is Channel.GIFT else {}
    sent = {named.place(name) for name in (terms.template.fields if terms.template else ())}
    sent |= {place for name, place in gift.items() if name in ("sku", "note")}
    return Layout(
        width=len(columns),
        recipient=recipient,
        text=text,
        gift=gift,
        sent=tuple((columns[place], place) for place in sorted(sent)),
    )


def places_of(columns: Sequence[str], mapped: Mapping[str, str], *, also: Sequence[str] = ()) -> dict[str, int]:
    """Return the place of the column of the numbers, and of those of other fields that the columns have.

    :param mapped: field by column, for columns whose name says something else.
    :param also: the other fields.
    :raises InvalidCampaign: no column holds the numbers, or several columns are one of these fields.
    """
    named = _Columns.of(columns, mapped)
    places = {RECIPIENT: named.recipient()}
    return places | {name: named.place(name) for name in also if named.has(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns by the field that each fills. Only a field that is used has to be of one column."""

    names: Sequence[str]
    places: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, names: Sequence[str], mapped: Mapping[str, str]) -> _Columns:
        """Sort columns by field. A column that was mapped to a field wins over those that are just called so."""
        chosen = {field: _mapped(names, column) for column, field in mapped.items()}
        taken = {place for places in chosen.values() for place in places}
        by_name: dict[str, list[int]] = {}
        for place, column in enumerate(names):
            name = field_name(column)
            if name and place not in taken and name not in chosen:
                by_name.setdefault(name, []).append(place)
        return cls(names=names, places=by_name | chosen)

    def has(self, name: str) -> bool:
        """Return whether a column fills a field."""
        return name in self.places

    def place(self, name: str) -> int:
        """Return the place of the column that fills a field.

        :raises InvalidCampaign: several columns do.
        """
        places = self.places[name]
        if len(places) > 1:
            alike = _listed([f"{self.names[place]!r} (column {place + 1})" for place in places])
            equal = len({self.names[place] for place in places}) < len(places)
            how = (
                "give them different names"
                if equal
                else f"say which is meant, e.g. --map {self._example(places, name)}"
            )
            every = "both" if len(places) == 2 else "all"
            raise InvalidCampaign("file", f"columns {alike} are {every} {name}; {how}")
        return places[0]

    def recipient(self) -> int:
        """Return the place of the numbers.

        :raises InvalidCampaign: no column holds them, or several do.
        """
        if not self.has(RECIPIENT):
            if any(_is_phone_number(name) for name in self.names):
                raise InvalidCampaign("file", f"has no header; begin it with the columns' names, e.g. {RECIPIENT}")
            first = next((name for name in self.names if name), "Mobile")
            hint = f"say which it is, e.g. --map {first}={RECIPIENT}"
            raise InvalidCampaign("file", f"has no column {RECIPIENT!r}; {self.shown()}: {hint}")
        place = self.place(RECIPIENT)
        if _is_phone_number(self.names[place]):
            raise InvalidCampaign("file", f"has no header; begin it with the columns' names, e.g. {RECIPIENT}")
        return place

    def shown(self) -> str:
        """Say which columns there are."""
        return _these(self.names)

    def _example(self, places: Sequence[int], name: str) -> str:
        return shlex.quote(f"{self.names[places[0]]}={name}")


def _mapped(names: Sequence[str], column: str) -> list[int]:
    """Return the places of the column that a mapping means: by its name, else by the field that it fills."""
    wanted = unicodedata.normalize("NFC", column.strip())
    exact = [place for place, name in enumerate(names) if unicodedata.normalize("NFC", name) == wanted]
    found = exact or [
        place for place, name in enumerate(names) if name and field_name(name) == field_name(column) != ""
    ]
    if not found:
        raise InvalidCampaign("map", f"there is no column {column!r}; {_these(names)}")
    return found


def _is_phone_number(name: str) -> bool:
    return _PHONE_NUMBER.fullmatch(re.sub(r"[ ()./-]", "", name)) is not None


def _text(terms: Terms, columns: _Columns) -> Placed | None:
    if terms.template is None:
        return None
    unknown = [name for name in terms.template.fields if not columns.has(name)]
    if unknown:
        named = ", ".join(f"{{{name}}}" for name in unknown)
        raise InvalidCampaign("template", f"{named} is no column of the file; {columns.shown()}")
    return terms.template.placed({name: columns.place(name) for name in terms.template.fields})


def _gift(terms: Terms, columns: _Columns) -> dict[str, int]:
    gift = terms.gift
    assert gift is not None  # noqa: S101 - a gift campaign has gift terms
    fixed = {"sku": gift.sku, "amount": gift.amount, "currency": gift.currency, "note": terms.template}
    found = {name: columns.place(name) for name in GIFT_FIELDS if fixed[name] is None and columns.has(name)}
    for name in ("sku", "amount", "currency"):
        if fixed[name] is None and name not in found:
            raise InvalidCampaign(name, f"is neither given nor a column; {columns.shown()}: give --{name}")
    return found


def _these(columns: Sequence[str]) -> str:
    named = [name for name in columns if name]
    if not named:
        return "the file names none"
    return f"the file has {', '.join(named[:12])}{', …' if len(named) > 12 else ''}"


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
