"""Phone numbers as people write them: the digits and the form they stand in, before any numbering plan is consulted."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

_PLAIN = re.compile(r"\+?[0-9]+(?: [0-9]+)*\Z", re.ASCII)
_ASCII = re.compile(r"[+0-9 .()-]+\Z", re.ASCII)
LONGEST = 100
"""Characters, invisible ones included. The longest form in use has under 30."""
MOST_DIGITS = 20
"""An international prefix and the fifteen digits of E.164."""

_PLUS = frozenset("+\N{FULLWIDTH PLUS SIGN}\N{SMALL PLUS SIGN}")
_DOTS = frozenset(".\N{FULLWIDTH FULL STOP}\N{MIDDLE DOT}\N{ONE DOT LEADER}")
_MORE_DASHES = frozenset("\N{MINUS SIGN}\N{HYPHEN BULLET}\N{KATAKANA-HIRAGANA PROLONGED SOUND MARK}")
_PARENTHESES = {"\N{FULLWIDTH LEFT PARENTHESIS}": "(", "\N{FULLWIDTH RIGHT PARENTHESIS}": ")", "(": "(", ")": ")"}
_VISIBLE_FORMAT = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Characters of category Cf that are drawn."""
_REVERSES = "\N{RIGHT-TO-LEFT OVERRIDE}"
"""Shows the digits after it in reverse: the person sees another number than the one that would be dialled."""
_INVISIBLE_MARK = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f]")
_EXPONENT = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+\Z", re.ASCII)
_EXTENSION = re.compile(r"[0-9) ][ ,;]*(?P<mark>ext(?:ension|n)?|x|#|доб)[ .:=]*[0-9]+#?\Z", re.IGNORECASE)
_BEGINNING = re.compile(r"[( ]*\+?[( ]*[0-9]", re.ASCII)
_GROUPS = re.compile(r"[^()]*(?:\([^()]*[0-9][^()]*\)[^()]*)*\Z", re.ASCII)
_LABEL = re.compile(r"[0-9][^(]*\((?:[^0-9()]*[0-9]){1,4}[^0-9()]*\)\Z", re.ASCII)
"""A few digits in parentheses at the end."""
_ZERO = re.compile(r"\( *0 *\)")
_LAST_GROUP = re.compile(r"[0-9] *-+ *([0-9]{1,4})\Z", re.ASCII)
_TEL = re.compile(r"tel: *", re.IGNORECASE)


class Form(StrEnum):
    """How a number was written, where that is not the canonical form, +61491570006."""

    SPACED = "spaced"
    INVISIBLE = "invisible_characters"
    OTHER_DIGITS = "other_digits"
    TRUNK_ZERO = "trunk_zero"
    PREFIX = "international_prefix"
    NATIONAL = "national"
    NO_ZERO = "national_without_zero"
    NO_PLUS = "without_plus"

    @property
    def words(self) -> str:
        """Return the form in words, to follow a count.

        >>> Form.NATIONAL.words
        'in national form'
        """
        return _WORDS[self]


_WORDS = {
    Form.SPACED: "with spaces or punctuation",
    Form.INVISIBLE: "with invisible characters",
    Form.OTHER_DIGITS: "in digits of another script",
    Form.TRUNK_ZERO: "with a 0 after the country code",
    Form.PREFIX: "with 00 or another international prefix",
    Form.NATIONAL: "in national form",
    Form.NO_ZERO: "in national form without its leading 0",
    Form.NO_PLUS: "without the +",
}


class Unreadable(ValueError):
    """A text that is no phone number: ``fault`` is the same for all such texts, ``detail`` says where."""

    def __init__(self, fault: str, detail: str = "") -> None:
        self.fault = fault
        self.detail = detail
        super().__init__(f"{fault}: {detail}" if detail else fault)


class WrittenNumber(NamedTuple):
    """The ASCII digits of a text, and the meaning of the characters around them."""

    digits: str
    international: bool
    """A plus stands before the digits."""
    zero: int | None = None
    """The place in ``digits`` of a zero in parentheses, as in ``+44 (0)7400 123456``."""
    shorter: str | None = None
    """The digits before the last dash, if those after it may be an extension or the end of a range."""
    form: Form | None = None


def read_written(text: str) -> WrittenNumber:
    """Read the digits of one phone number; no character is guessed, completed or ignored unless it is invisible.

    :raises Unreadable: the text holds anything but one number.

    >>> read_written("+61 (0)491-570-006").digits, read_written("tel:0491.570.006").digits
    ('610491570006', '0491570006')
    """
    if len(text) <= LONGEST and _PLAIN.match(text):
        digits = text.replace(" ", "")
        if digits[0] != "+" and len(digits) <= MOST_DIGITS:
            return WrittenNumber(digits, False)
        if digits[1:2] != "0" and len(digits) <= MOST_DIGITS:
            return WrittenNumber(digits[1:], True, form=Form.SPACED if " " in text else None)
    stripped = text.strip()
    if len(stripped) > LONGEST:
        raise Unreadable(f"has more than {LONGEST} characters; give one number")
    if _ASCII.match(stripped):
        return _written(stripped, Form.SPACED)
    return _written(*_normal(stripped, before=len(text) - len(text.lstrip())))


def character(one: str) -> str:
    """Name a character so that a reader can distinguish it from those that look like it.

    >>> character("/"), character("\\u3164")
    ("'/'", 'U+3164 HANGUL FILLER')
    """
    code = f"U+{ord(one):04X} {unicodedata.name(one, '')}".strip()
    if one.isascii() and one.isprintable():
        return f"'{one}'" if one != "'" else "an apostrophe"
    shown = one.isprintable() and unicodedata.category(one)[0] in "LNPS" and "FILLER" not in code
    return f"'{one}' ({code})" if shown else code


def _normal(text: str, *, before: int) -> tuple[str, Form]:
    """Return the text in the characters ``+0-9 -.()``, and the kind of change that this took.

    :param before: characters that were stripped from the beginning, for the places in errors.
    """
    kept: list[tuple[int, str]] = []
    form = Form.SPACED
    for place, one in enumerate(text, start=before + 1):
        plain = _plain(one)
        if plain is None:
            form = Form.INVISIBLE
            continue
        if plain != one and plain.isdigit() and form is Form.SPACED:
            form = Form.OTHER_DIGITS
        kept.append((place, plain))
    line = "".join(plain for _, plain in kept)
    start = len(line) - len(line.lstrip())
    if line.startswith("'", start):  # a spreadsheet's mark for "this cell is text"
        start += 1
    named = _TEL.match(line, start)
    start = named.end() if named else start
    start += len(line[start:]) - len(line[start:].lstrip())
    end = len(line.rstrip())
    _require_known(line[start:end], [place for place, _ in kept[start:end]])
    return line[start:end], form


def _plain(one: str) -> str | None:
    """Return the plain form of a character; None for an invisible one."""
    if one.isascii():
        return " " if one == "\t" else one
    if one.isdecimal():
        return str(unicodedata.decimal(one))
    if one in _PLUS:
        return "+"
    if one in _DOTS:
        return "."
    category = unicodedata.category(one)
    if category == "Pd" or one in _MORE_DASHES:
        return "-"
    if category == "Zs":
        return " "
    if (category == "Cf" and one not in _VISIBLE_FORMAT and one != _REVERSES) or _INVISIBLE_MARK.match(one):
        return None
    return _PARENTHESES.get(one, one)


def _require_known(line: str, places: list[int]) -> None:
    if not line:
        raise Unreadable("is empty; give a number such as +61491570006")
    if _EXPONENT.match(line):
        mark = "e" if "e" in line else "E"
        raise Unreadable(
            f"has an exponent ('{mark}'): a spreadsheet shortened the number and lost digits; "
            "format the column as text and export it again",
            f"character {places[line.index(mark)]}",
        )
    extension = _EXTENSION.search(line)
    if extension is not None:
        raise Unreadable(
            f"has an extension ('{extension['mark']}'), and a mobile has none; give a mobile number",
            f"character {places[extension.start('mark')]}",
        )
    for place, one in zip(places, line, strict=True):
        if one not in "+0123456789 -.()":
            raise Unreadable(_unknown(one), f"character {place}")


def _unknown(one: str) -> str:
    if one == _REVERSES:
        return f"has {character(one)}, which shows the digits in reverse; remove it and check the number"
    if one in "/,;|&":
        return f"has {character(one)}; give one number, without it"
    if one in "\r\n\u2028\u2029":
        return "has a line break; give one number, on one line"
    if one.isalpha():
        return f"has the letter {character(one)}; give the digits of one number"
    return f"has {character(one)}, which belongs to no number; remove it"


def _written(line: str, form: Form | None) -> WrittenNumber:
    digits = "".join(filter(str.isdigit, line))
    if not digits:
        raise Unreadable("has no digit; give a number such as +61491570006")
    international = "+" in line
    if line.count("+") > 1 or (international and not line.lstrip("( ").startswith("+")):
        raise Unreadable("has a '+' after its beginning; give one number")
    if not _BEGINNING.match(line):
        raise Unreadable(f"begins with '{line[0]}'; begin with + or a digit")
    if len(digits) > MOST_DIGITS:
        raise Unreadable(f"has more than {MOST_DIGITS} digits; give one number")
    if international and digits.startswith("0"):
        raise Unreadable("has a 0 after the '+'; after the plus comes the country code, as in +61491570006")
    if line[-1] not in "0123456789)":
        raise Unreadable(f"ends in '{line[-1]}'; end with the last digit")
    if "(" in line or ")" in line:
        _check_parentheses(line)
    if "." in line:
        _check_dots(line, international=international)
    zero = _ZERO.search(line)
    before = "" if zero is None else "".join(filter(str.isdigit, line[: zero.start()]))
    return WrittenNumber(
        digits=digits,
        international=international,
        zero=None if zero is None or not before else len(before),
        shorter=_shorter(line, digits) if "-" in line else None,
        form=form,
    )


def _check_parentheses(line: str) -> None:
    if not _GROUPS.match(line):
        raise Unreadable("has a parenthesis without its other half, or nothing between; remove it")
    if _LABEL.search(line):
        raise Unreadable("ends in parentheses, which may hold a second number; give one number")


def _check_dots(line: str, *, international: bool) -> None:
    """Refuse a dot that may be a decimal point: the digits after it are then no part of the number."""
    head, _, tail = line.rpartition(".")
    after = "".join(filter(str.isdigit, tail))
    several = "." in head
    beginning = line.lstrip("( ")
    anchored = international or (beginning.startswith("0") and not beginning.startswith("0."))
    if several:
        decimal = len(after) < 2 or (not anchored and len(after) < 3)
    else:
        separated = any(one in line for one in " -(")
        decimal = len(after) < 3 or not after.strip("0") or not (anchored or separated)
    if decimal:
        raise Unreadable(
            "has a '.' that may be a decimal point, as spreadsheets add one; "
            "format the column as text and export it again",
            f"the number ends in '.{after}'" if not after.strip("0") and len(after) < 4 else "",
        )


def _shorter(line: str, digits: str) -> str | None:
    """Return the digits before the last dash if it is the only one or a single digit follows it."""
    last = _LAST_GROUP.search(line)
    if last is None or (len(last[1]) > 1 and line.count("-") > 1):
        return None
    return digits[: -len(last[1])]
