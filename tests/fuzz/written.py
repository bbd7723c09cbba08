"""Numbers and amounts as people write them: each text with its meaning, so that a reader can be held to it.

Built from what arrives in practice: address books, spreadsheets that keep a number as a float, data frames, formatted
cells of several locales, copies from web pages with invisible characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

import phonenumbers
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn


@dataclass(frozen=True, slots=True)
class Number:
    """A text, the region that it is read in, and the mobile that its writer means."""

    text: str
    region: str | None
    meant: str
    plain: bool = field(default=True)
    """Nothing was lost or added, so it must be read."""


PLANS = {
    "AU": ("61", "0", ("4########",)),
    "NZ": ("64", "0", ("21#######", "27#######", "21########")),
    "GB": ("44", "0", ("7400######", "7911######", "7700900###")),
    "US": ("1", "", ("20255501##", "41555501##")),
    "DE": ("49", "0", ("1511#######", "171#######")),
    "AT": ("43", "0", ("664#######", "664######", "6601######")),
    "FI": ("358", "0", ("40#######", "50######")),
    "FR": ("33", "0", ("612######", "7811#####")),
    "IN": ("91", "0", ("98########", "91########")),
    "IT": ("39", "", ("347#######", "393#######")),
    "NO": ("47", "", ("41######", "91######")),
    "SG": ("65", "", ("81######", "91######")),
}
"""Country code, trunk prefix and forms of mobiles."""
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u202a\u202c\u202d\u2066\u2069\u061c\u180e\ufe0f"
SPACES = " \u00a0\u2007\u2009\u202f\u3000\t"
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d"
ZEROS = "0\u0660\u06f0\u0966\u09e6\u0e50\uff10\U0001d7ce"
"""The zero of each of some scripts; the nine digits after it follow."""


@st.composite
def mobiles(draw: DrawFn) -> tuple[str, str, str, str]:
    """Return a region, its country code, its trunk prefix and a mobile's national digits."""
    region = draw(st.sampled_from(sorted(PLANS)))
    code, trunk, forms = PLANS[region]
    form = draw(st.sampled_from(forms))
    digits = "".join(str(draw(st.integers(0, 9))) if one == "#" else one for one in form)
    assume(digits.startswith("7700900") or phonenumbers.is_valid_number(phonenumbers.parse(f"+{code}{digits}")))
    return region, code, trunk, digits


@st.composite
def numbers(draw: DrawFn) -> Number:
    """Return a number in a form of which every person and every program reads the same number."""
    region, code, trunk, national = draw(mobiles())
    spaced = _spaced(draw, national)
    forms: list[tuple[str, str | None]] = [
        (f"+{code}{spaced}", draw(st.sampled_from([None, region, "AU"]))),
        (f"+{code} {spaced}", None),
        (f"(+{code}) {spaced}", None),
        (f"00{code} {spaced}", region),
        (f"{trunk}{spaced}", region),
        (f"tel:+{code}-{spaced}", None),
        (f"'+{code}{spaced}", None),
    ]
    if trunk:
        forms += [
            (f"+{code} ({trunk}){spaced}", None),
            (f"({trunk}{national[:2]}) {_spaced(draw, national[2:])}", region),
        ]
    text, read_in = draw(st.sampled_from(forms))
    return Number(_disguised(draw, text), read_in, f"+{code}{national}")


@st.composite
def damaged_numbers(draw: DrawFn) -> Number:
    """Return a number to which a spreadsheet, a form or a habit has added or from which it took something."""
    region, code, trunk, national = draw(mobiles())
    written = draw(st.sampled_from([f"+{code}{national}", f"{code}{national}", f"{trunk}{national}", national]))
    whole, other = int(code + national), draw(mobiles())[3]
    text: str = draw(
        st.sampled_from(
            [
                f"{written}.0",
                f"{written}.00",
                f"{written},0",
                f"{written}E0",
                repr(float(written)).replace("e", "E"),
                f"{float(written):.6g}",
                f"{float(written):.5E}",
                f"{whole:.3E}".replace(".", ","),
                f"{whole:,}.0",
                f"{whole:,}",
                f"{national:0>12}.0",
                f"{written}/{other}",
                f"{written};{other}",
                f"{written}, {other}",
                f"{written} or {other}",
                f"{written} {other}",
                f"{written}/{national[-2:]}",
                f"{written}-{draw(st.integers(0, 99))}",
                f"{written} x{draw(st.integers(0, 999))}",
                f"{written} ext. {draw(st.integers(0, 999))}",
                f"{written}#",
                f"{written}?",
                f"{written[:-3]}XXX",
                f"{written[:-3]}***",
                f"{written[:-2]}O{written[-1]}",
                f"{written}\n{trunk}{other}",
                f"-{written}",
                f"${written}",
                f"{national[:3]}.{national[3:]}",
                f"{written}+",
                f"++{written}",
                f"({written}",
                f"{written} ({draw(st.integers(0, 99))})",
                f"\u202e{written[::-1]}",
            ]
        )
    )
    return Number(text, draw(st.sampled_from([region, None, region])), f"+{code}{national}", plain=False)


def _spaced(draw: DrawFn, digits: str) -> str:
    """Put spaces, dashes or dots between groups of digits."""
    if draw(st.booleans()):
        return digits
    apart: str = draw(st.sampled_from([*SPACES, " ", " ", *DASHES, "."]))
    sizes = draw(st.sampled_from([(3, 3, 4), (2, 2, 2, 2, 2), (3, 2, 2, 3), (4, 3, 3)]))
    groups: list[str] = []
    start = 0
    for size in sizes:
        groups.append(digits[start : start + size])
        start += size
    groups[-1] += digits[start:]
    groups = [group for group in groups if group]
    if len(groups[-1]) < 2:
        groups[-2:] = ["".join(groups[-2:])]
    if apart not in SPACES and len(groups) == 2 and len(groups[1]) < 5:  # one dash or dot alone may mean other things
        apart = " "
    return apart.join(groups)


def _disguised(draw: DrawFn, text: str) -> str:
    """Add invisible characters, or write the digits in another script."""
    match draw(st.integers(0, 3)):
        case 0:
            zero = ord(draw(st.sampled_from(ZEROS)))
            return re.sub("[0-9]", lambda digit: chr(zero + int(digit[0])), text)
        case 1:
            for _ in range(draw(st.integers(1, 3))):
                place = draw(st.integers(0, len(text)))
                if not text.startswith("tel") or place > 4 or place == 0:
                    text = text[:place] + draw(st.sampled_from(INVISIBLE)) + text[place:]
            return text
        case 2:
            before, after = st.sampled_from(SPACES), st.sampled_from([" ", "\n", "\u200b", "\u202c"])
            return f"{draw(before)}{text}{draw(after)}"
        case _:
            return text


@dataclass(frozen=True, slots=True)
class Amount:
    """A text, its currency, and the amount that its writer means."""

    text: str
    currency: str
    meant: Decimal
    plain: bool
    """Digits and one decimal point, thousands apart or not, so it must be read."""


@st.composite
def amounts(draw: DrawFn) -> Amount:
    """Return an amount as one of several locales, spreadsheets or programs writes it."""
    currency, decimals = draw(st.sampled_from([("EUR", 2), ("AUD", 2), ("JPY", 0)]))
    whole = draw(st.sampled_from([1000, 1500, 12_345, 1_000_000]) | st.integers(0, 999_999))
    part = draw(st.integers(0, 99)) if decimals and whole < 1_000_000 else 0
    meant = Decimal(max(1, whole * 10**decimals + part)).scaleb(-decimals)
    rounded = max(Decimal(1), meant.quantize(Decimal(1)))
    english, short = f"{meant:,}", f"{meant.normalize():f}"
    plain = draw(st.sampled_from([f"{meant}", short, english if "." in english else f"{meant}"]))
    if draw(st.booleans()):
        return Amount(draw(st.sampled_from(["{}", " {}", "{}\n", "\t{} "])).format(plain), currency, meant, plain=True)
    if draw(st.integers(0, 4)) == 0:
        text = draw(st.sampled_from([f"{rounded:,}", f"{rounded:,}".replace(",", ".")]))
        return Amount(text, currency, rounded, plain=False)
    swapped = english.translate(str.maketrans(",.", ".,"))
    text = draw(
        st.sampled_from(
            [
                swapped,
                short.replace(".", ","),
                english.replace(",", " "),
                english.replace(",", "\u00a0").replace(".", ","),
                english.replace(",", "\u202f").replace(".", ","),
                english.replace(",", "_"),
                f"{meant:E}",
                f"{float(meant):e}",
                f"${english}",
                f"{swapped} €",
                f"{currency} {english}",
                f"{english} {currency}",
                f"({english})",
                f"-{meant}",
                f"{meant}-",
                f"+{meant}",
                f"{meant:.4f}",
                f"{meant}.",
                f"0{meant}",
                f"{meant}%",
                f"{short},-",
                _indian(meant),
            ]
        )
    )
    return Amount(text, currency, meant, plain=False)


def _indian(amount: Decimal) -> str:
    """Group digits in lakhs and crores: 12,34,567.00."""
    whole, _, decimals = f"{amount:.2f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    pairs: list[str] = []
    while head:
        head, pair = head[:-2], head[-2:]
        pairs.insert(0, pair)
    return f"{','.join([*pairs, tail])}.{decimals}"
