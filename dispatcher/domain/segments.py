"""How many SMS parts a text takes (3GPP TS 23.038 and 23.040): GSM-7 where every character allows it, else UCS-2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM7 = re.compile(f"[{re.escape(''.join(sorted(_BASIC | _EXTENDED)))}]*\\Z")
_TWO_SEPTETS = re.compile(f"[{re.escape(''.join(sorted(_EXTENDED)))}]")

MAX_PARTS = 10
"""More than this is refused: carriers drop or reorder very long messages."""


class Encoding(StrEnum):
    """The alphabet that a text needs."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """What a text costs: its alphabet, its parts, its length in that alphabet's units, and who forced UCS-2."""

    encoding: Encoding
    parts: int
    units: int
    culprits: str


def segments(text: str) -> Segments:
    r"""Count the parts of a text.

    A single part holds 160 septets or 70 UTF-16 units; each part of several 153 or 67. An extended GSM-7 character
    takes two septets and a character beyond the basic plane two units; neither is split between parts.

    >>> segments("Your code is 123456").parts
    1
    >>> segments("Grüße 😀").encoding, segments("Grüße 😀").culprits
    (<Encoding.UCS2: 'UCS-2'>, '😀')
    """
    if _GSM7.match(text):
        double = _TWO_SEPTETS.findall(text)
        units = len(text) + len(double)
        if units <= 160 or not double:
            return _even(units, Encoding.GSM7, single=160, several=153)
        widths = [2 if c in _EXTENDED else 1 for c in text]
        return _uneven(widths, Encoding.GSM7, several=153, culprits="")
    culprits = "".join(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENDED))
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units <= 70 or units == len(text):
        return _even(units, Encoding.UCS2, single=70, several=67, culprits=culprits)
    widths = [2 if ord(c) > 0xFFFF else 1 for c in text]
    return _uneven(widths, Encoding.UCS2, several=67, culprits=culprits)


def _even(units: int, encoding: Encoding, *, single: int, several: int, culprits: str = "") -> Segments:
    """Count parts where no character can be split between two."""
    parts = 1 if units <= single else -(-units // several)
    return Segments(encoding=encoding, parts=parts, units=units, culprits=culprits)


def _uneven(widths: list[int], encoding: Encoding, *, several: int, culprits: str) -> Segments:
    """Count parts of a text with characters of two units, none of which may be split."""
    parts, room = 1, several
    for width in widths:
        if width > room:
            parts, room = parts + 1, several
        room -= width
    return Segments(encoding=encoding, parts=parts, units=sum(widths), culprits=culprits)
