"""Phone numbers: the one reader of recipients, and the mask that hides a number."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.mobiles import calling_code, certain_mobile, dials_zero, is_calling_code, is_certain_mobile
from dispatcher.domain.written_number import Form, Unreadable, WrittenNumber, read_written

E164 = re.compile(r"\+[1-9]\d{6,14}\Z", re.ASCII)
"""The international form (ITU-T E.164): a plus, no leading zero, fifteen digits at the most."""

FICTION = (("+447700900", 13), ("+3363998", 12), ("+3532091", 13))
"""Beginning and length of the ranges that regulators keep for fiction and that libphonenumber therefore calls unused.

Ofcom: 07700 900000-900999; ARCEP: 06 39 98 XX XX; ComReg: 020 91X XXXX. The Australian (ACMA), American (NANPA
555-0100..0199), Swedish (PTS) and German (BNetzA) ranges count as ordinary mobiles there.
"""
_SHOWN = 40
"""Characters of a refused text that an error masks."""

_MAYBE_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


class Recipient(str):
    """A valid E.164 number that masks itself in ``repr``, and so in tracebacks and debuggers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Recipient({self.masked!r})"

    @property
    def masked(self) -> str:
        """The number with all but its ends hidden.

        >>> Recipient("+61491570006").masked
        '+61•••••••06'
        """
        return str(self) if self == REDACTED else mask(self)


REDACTED = Recipient("redacted")
"""Stands where a number was; no number is written so."""


def mask(number: str) -> str:
    """Hide the middle of a number, keeping its length; all of what is too short for one.

    >>> mask("+61491570006")
    '+61•••••••06'
    >>> mask("12")
    '••'
    """
    return f"{number[:3]}{'•' * (len(number) - 5)}{number[-2:]}" if len(number) > 7 else "•" * len(number)


class Read(NamedTuple):
    """A number, and how it was written if not in canonical form."""

    recipient: Recipient
    form: Form | None


def parse_recipient(number: str, *, region: str | None = None) -> Recipient:
    """Return the number in E.164.

    Every text has one reading or none: a text that may mean two numbers is refused, and no character is ignored but
    spaces, punctuation between digits and invisible characters.

    :param number: international form, however it is spaced; with ``region`` (ISO 3166, e.g. ``AU``) national form and
        ``00`` too.
    :raises InvalidMessage: not a valid number, or one that cannot be a mobile.

    >>> str(parse_recipient("0491 570 006", region="AU"))
    '+61491570006'
    """
    return read_recipient(number, region=region).recipient


def read_recipient(number: object, *, region: str | None = None) -> Read:
    """Return the number of ``parse_recipient`` with the form in which it was written."""
    if not isinstance(number, str):
        kind = "missing" if number is None else f"of type {type(number).__name__}"
        raise InvalidMessage("recipient", f"is {kind}; give the number as text, such as '+61491570006'")
    if E164.match(number) and is_certain_mobile(number):
        return Read(Recipient(number), None)
    if not number.strip():
        raise InvalidMessage("recipient", "is empty; give an E.164 number such as +61491570006")
    try:
        return _read(read_written(number), region)
    except Unreadable as wrong:
        shown = number.strip()[:_SHOWN]
        raise InvalidMessage("recipient", f"{mask(shown)!r} {wrong.fault}", detail=wrong.detail) from None


def _read(written: WrittenNumber, region: str | None) -> Read:
    found = _resolved(written.digits, written, region)
    if written.shorter is not None:
        try:
            _resolved(written.shorter, written, region)
        except Unreadable:
            pass
        else:
            raise Unreadable("has digits after a dash, which may be an extension or a second number; give one number")
    return found


def _resolved(digits: str, written: WrittenNumber, region: str | None) -> Read:
    """Find the number that digits stand for.

    :param digits: those of ``written``, or the first of them.
    """
    zero = written.zero
    if zero is not None:
        before = digits[:zero]
        if not is_calling_code(before if written.international else before.removeprefix("00")):
            raise Unreadable("has a 0 in parentheses that does not follow a country code; write it as +61491570006")
        digits = digits[:zero] + digits[zero + 1 :]
    if written.international:
        number = f"+{digits}"
        recipient = _mobile(_parsed(number, None)) if not is_certain_mobile(number) else number
        rewritten = Form.TRUNK_ZERO if zero is not None or recipient != number else written.form
        return Read(Recipient(recipient), rewritten)
    if region is None:
        why = "it begins with 00 instead of +" if digits.startswith("00") else "it has no + (spreadsheets remove it)"
        raise Unreadable(f"is not E.164: {why}; write it as +61491570006, or set the region for national numbers")
    region = region.strip().upper()
    certain = certain_mobile(digits, region)
    if certain is not None:
        form = Form.NATIONAL if digits[0] == "0" else _national_form(digits, certain, region)
        return Read(Recipient(certain), form)
    return _only_reading(digits, region)


def _only_reading(digits: str, region: str) -> Read:
    """Return the mobile that digits mean in a region, if they cannot mean another number as well."""
    code = calling_code(region)
    if code is None:
        raise Unreadable(f"is in national form, but the region {region!r} is no country (ISO 3166), such as AU")
    national = _parsed(digits, region)
    readings = {_e164(national): national}
    if digits.startswith("00"):
        other = "+" + digits[2:]
    elif digits.startswith(code):
        other = "+" + digits
    else:
        other = ""
    if E164.match(other):
        with suppress(Unreadable):
            parsed = _parsed(other, None)
            readings[_e164(parsed)] = parsed
    used = [number for number, parsed in readings.items() if number.startswith("+") and _in_use(number, parsed)]
    if len(used) > 1:
        raise Unreadable("can be read as two numbers; begin it with + and the country code")
    recipient = _mobile(readings[used[0]] if used else national)
    return Read(Recipient(recipient), _national_form(digits, recipient, region))


def _national_form(digits: str, recipient: str, region: str) -> Form:
    code = calling_code(region) or ""
    if recipient == f"+{digits}":
        return Form.NO_PLUS
    if digits.startswith("00") or not recipient.startswith(f"+{code}"):
        return Form.PREFIX
    if recipient == f"+{code}{digits}" and dials_zero(region) and not digits.startswith("0"):
        return Form.NO_ZERO
    return Form.NATIONAL


def _parsed(digits: str, region: str | None) -> phonenumbers.PhoneNumber:
    try:
        return phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException as error:
        raise Unreadable(f"is not a phone number ({error.args[0]})") from None


def _e164(parsed: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _in_use(number: str, parsed: phonenumbers.PhoneNumber) -> bool:
    return _is_fiction(number) or phonenumbers.is_valid_number(parsed)


def _is_fiction(number: str) -> bool:
    return any(number.startswith(beginning) and len(number) == length for beginning, length in FICTION)


def _mobile(parsed: phonenumbers.PhoneNumber) -> str:
    number = _e164(parsed)
    if _is_fiction(number):
        return number
    if not phonenumbers.is_valid_number(parsed):
        raise Unreadable("is not a number in use in its country; check the digits")
    if phonenumbers.number_type(parsed) not in _MAYBE_MOBILE:
        raise Unreadable("cannot be a mobile number; give a mobile number")
    return number
