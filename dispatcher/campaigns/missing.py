"""Missing values: how Python and its libraries say that there is none, and the texts in which programs write it."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral, Real
from typing import Self

PLACEHOLDERS = frozenset(
    (
        "null (null) <null> [null] nil none <none> (none) undefined nan -nan +nan nat na <na> n/a #n/a n.a. #n/a! \\n "
        "inf -inf infinity #ref! #value! #name? #div/0! #num! #null! #spill! #calc! #field! #getting_data #error! "
        "#blocked! #unknown! #busy! #nv #bezug! #wert! #nom? #valeur! err:502 err:504 err:508 err:522 true false "
        "unknown (blank) (empty) - -- \u2013 \u2014 ? 1900-01-00 0000-00-00"
    ).split()
) | {"[object object]"}
"""What databases, spreadsheets and languages write where a value is missing or a formula failed, in lower case.

Some are names of people too (Null, Nan, Na), so they are never dropped: a dry run counts them.
"""
_NAMES_OF_NONE = frozenset({"NAType", "NaTType", "MaskedConstant"})
"""Types of pandas and numpy whose values stand for a missing one, by name: neither is imported here."""


class DecimalText(str):
    """The text of a Decimal, which stays a number: ``Decimal("25.0000")`` is an amount, the text "25.0000" is not."""

    number: Decimal

    def __new__(cls, number: Decimal) -> Self:
        """Write a finite number without an exponent."""
        text = super().__new__(cls, f"{number:f}")
        text.number = number
        return text


def is_placeholder(text: str) -> bool:
    """Return whether a text is a way to write that there is no value.

    >>> [is_placeholder(text) for text in ("NULL", " #N/A ", "#####", "Nathan", "")]
    [True, True, True, False, False]
    """
    bare = text.strip().lower()
    return bare in PLACEHOLDERS or (bare[:2] == "##" and not bare.strip("#"))


def is_missing(value: object) -> bool:
    """Return whether a Python value says that there is none: None, a NaN of any kind, pandas' NA and NaT.

    >>> is_missing(None), is_missing(float("nan")), is_missing(Decimal("sNaN")), is_missing(0), is_missing("")
    (True, True, True, False, False)
    """
    if value is None or type(value).__name__ in _NAMES_OF_NONE:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    try:
        return bool(value != value)  # noqa: PLR0124 - only a NaN differs from itself
    except Exception:
        return False  # a value that cannot be compared, such as an array


def cell_text(value: object) -> str:
    """Return a Python value as the text of a cell.

    A missing value is empty. A whole float has no decimals, since a column of numbers with a gap is one of floats; no
    number has an exponent. A date is written 2026-11-24, a moment 2026-11-24 09:05:00+00:00, and one without a zone at
    midnight as a date, since pandas has no other. Everything else is written as ``str`` does: True, for a boolean.

    >>> [cell_text(value) for value in (None, 1200.0, 0.5, 1e-07, Decimal("1.20"), Decimal("1E+3"), True, 7)]
    ['', '1200', '0.5', '0.0000001', '1.20', '1000', 'True', '7']
    """
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if isinstance(value, Decimal):
        return DecimalText(value) if value.is_finite() else str(value)
    if isinstance(value, Real) and not isinstance(value, Integral):
        return _number(value)
    if isinstance(value, datetime):
        bare = value.tzinfo is None and value.time() == time()
        return value.date().isoformat() if bare else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return str(value)


def _number(value: Real) -> str:
    try:
        as_float = float(value)
    except (OverflowError, ValueError):
        return str(value)
    if as_float.is_integer():
        return str(int(as_float))
    text = str(value)
    return f"{Decimal(text):f}" if "e" in text else text
