"""Rules for text that come from Unicode: blank text, composed form, line ends."""

from __future__ import annotations

import re
import unicodedata

_IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's property Default_Ignorable_Code_Point: characters without a visible form."""
_BLANK = re.compile(rf"[\s\u2800{_IGNORABLE}]*\Z")
_EDGES = re.compile(rf"^[\s{_IGNORABLE}]+|[\s{_IGNORABLE}]+\Z")
_HIDDEN = re.compile(f"[{_IGNORABLE}]+")
_ENDS = re.compile(r"\r\n?")


def is_blank(text: str) -> bool:
    """Return whether a text shows nothing: it is empty, or only white space and characters without a visible form.

    >>> is_blank(" \u00a0"), is_blank("\u200b"), is_blank("-")
    (True, True, False)
    """
    return _BLANK.match(text) is not None


def trimmed(text: str) -> str:
    """Remove white space and characters without a visible form from both ends.

    >>> trimmed("\ufeff name\u200b ")
    'name'
    """
    return _EDGES.sub("", text)


def without_hidden(text: str) -> str:
    """Remove characters without a visible form. For comparisons only: joiners matter in Persian, Hindi and emoji."""
    return _HIDDEN.sub("", text)


def composed(text: str) -> str:
    """Return a text in Unicode's composed form (NFC), as a keyboard writes it.

    macOS file names and some exports hold the decomposed form (NFD). It looks the same, but its combining marks are not
    in the GSM alphabet, so an SMS of 160 characters would be sent as UCS-2 in three parts.

    >>> composed("Zoe\u0308") == "Zo\u00eb"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def with_newlines(text: str) -> str:
    r"""Write every line end as one newline; a carriage return costs a character of an SMS and shows nothing.

    >>> with_newlines("one\r\ntwo\rthree")
    'one\ntwo\nthree'
    """
    return _ENDS.sub("\n", text) if "\r" in text else text
