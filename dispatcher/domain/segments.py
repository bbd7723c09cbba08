"""How many SMS parts a text takes (3GPP TS 23.038 and 23.040): GSM-7 where every character allows it, else UCS-2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")

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
    culprits = "".join(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENDED))
    if culprits:
        widths = [2 if ord(c) > 0xFFFF else 1 for c in text]
        return _count(widths, Encoding.UCS2, single=70, several=67, culprits=culprits)
    widths = [2 if c in _EXTENDED else 1 for c in text]
    return _count(widths, Encoding.GSM7, single=160, several=153, culprits="")


def _count(widths: list[int], encoding: Encoding, *, single: int, several: int, culprits: str) -> Segments:
    units = sum(widths)
    parts, room = 1, several
    if units > single:
        for width in widths:
            if width > room:
                parts, room = parts + 1, several
            room -= width
    return Segments(encoding=encoding, parts=parts, units=units, culprits=culprits)
