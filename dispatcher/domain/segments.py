"""How many SMS parts a text takes (3GPP TS 23.038 and 23.040): GSM-7 where every character allows it, else UCS-2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_IN_BASIC = re.compile(f"[{re.escape(''.join(sorted(_BASIC)))}]*\\Z")
_OUTSIDE = re.compile(f"[^{re.escape(''.join(sorted(_BASIC)))}]+")
_TWO_SEPTETS = re.compile(f"[{re.escape(''.join(sorted(_EXTENDED)))}]")
_TWO_UNITS = re.compile("[\U00010000-\U0010ffff]")

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
    if _IN_BASIC.match(text):
        return _cost(1 if len(text) <= 160 else -(-len(text) // 153), len(text), "")
    outside = "".join(_OUTSIDE.findall(text))
    if _EXTENDED.issuperset(outside):
        return _filled(text, len(text) + len(outside), _TWO_SEPTETS, single=160, several=153, culprits="")
    culprits = "".join(dict.fromkeys(_TWO_SEPTETS.sub("", outside)))
    units = len(text) + len(_TWO_UNITS.findall(outside))
    return _filled(text, units, _TWO_UNITS, single=70, several=67, culprits=culprits)


def _filled(text: str, units: int, wide: re.Pattern[str], *, single: int, several: int, culprits: str) -> Segments:
    """Fill one part after the other; a wide character that would be split leaves a gap of one unit before it."""
    if units <= single:
        return _cost(1, units, culprits)
    gaps = 0
    if units > len(text):
        for wider, character in enumerate(wide.finditer(text)):
            if (character.start() + wider + gaps) % several == several - 1:
                gaps += 1
    return _cost(-(-(units + gaps) // several), units, culprits)


@lru_cache(maxsize=1024)
def _cost(parts: int, units: int, culprits: str) -> Segments:
    """Return the same value for the same cost: making one takes longer than counting a text."""
    return Segments(encoding=Encoding.UCS2 if culprits else Encoding.GSM7, parts=parts, units=units, culprits=culprits)
