"""Phone numbers: what may receive a message, and how one is shown without being told."""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import PhoneNumberType

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.mobiles import certain_mobile, is_certain_mobile

E164 = re.compile(r"\+[1-9]\d{6,14}\Z", re.ASCII)
"""The international form (ITU-T E.164): a plus, no leading zero, fifteen digits at the most."""

FICTION = ("+447700900",)
"""Ranges that a regulator keeps for fiction and libphonenumber therefore calls unused (Ofcom: 07700 900000-900999).

The Australian (ACMA) and American (NANPA 555-0100..0199) ones count as ordinary mobiles there.
"""

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


def parse_recipient(number: str, *, region: str | None = None) -> Recipient:
    """Return the number in E.164, or say in one sentence what is wrong with it.

    :param number: international form; with ``region`` (ISO 3166, e.g. ``AU``) national form too.
    :raises InvalidMessage: not a valid number, or one that cannot be a mobile.

    >>> str(parse_recipient("0491 570 006", region="AU"))
    '+61491570006'
    """
    if not isinstance(number, str) or not number.strip():
        raise InvalidMessage("recipient", "is empty; give an E.164 number such as +61491570006")
    text = number.strip()
    canonical = E164.match(text) is not None
    if canonical and is_certain_mobile(text):
        return Recipient(text)
    if region is None and not canonical:
        why = f"{mask(text)!r} is not E.164; write it as +61491570006 (plus, country, number)"
        raise InvalidMessage("recipient", why)
    if canonical and text.startswith(FICTION) and len(text) == len("+447700900000"):
        return Recipient(text)
    national = None if region is None else certain_mobile(text, region)
    if national is not None:
        return Recipient(national)
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise InvalidMessage("recipient", f"{mask(text)!r} is not a phone number ({error.args[0]})") from None
    if not phonenumbers.is_valid_number(parsed):
        raise InvalidMessage("recipient", f"{mask(text)!r} is not a number in use in its country; check the digits")
    if phonenumbers.number_type(parsed) not in _MAYBE_MOBILE:
        raise InvalidMessage("recipient", f"{mask(text)!r} cannot be a mobile number; give a mobile's number")
    return Recipient(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
