"""What the bodies of the two sends must hold: strict, so that a client which drifts is found out.

Each check takes the raw JSON and returns what it asks to be sent, or raises the `Refusal` that names the field.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispatcher.sandbox.refusal import invalid_request

CONTENT_FIELDS = ("message", "sku", "amount", "currency", "note")
LONGEST_MESSAGE = 1600
LONGEST_SKU = 64
LONGEST_NOTE = 500
RECIPIENT_PATTERN = r"\+[1-9][0-9]{6,14}"
AMOUNT_PATTERN = r"(?=[0.]*[1-9])[0-9]{1,12}(\.[0-9]{1,3})?"
CURRENCY_PATTERN = r"[A-Z]{3}"

_RECIPIENT = re.compile(RECIPIENT_PATTERN)
_AMOUNT = re.compile(AMOUNT_PATTERN)
_CURRENCY = re.compile(CURRENCY_PATTERN)
_SMS_FIELDS = frozenset({"recipient", "message"})
_GIFT_FIELDS = frozenset({"recipient", "sku", "amount", "currency", "note"})


@dataclass(frozen=True, slots=True)
class Content:
    """What a request asks to be sent, and to whom."""

    recipient: str
    details: Mapping[str, str]


def check_sms(body: bytes) -> Content:
    """The content of `POST /sendSMS`.

    >>> check_sms(b'{"recipient": "+61400000000", "message": "hello"}').recipient
    '+61400000000'
    """
    fields = _fields(body, _SMS_FIELDS)
    recipient = _recipient(fields)
    return Content(recipient, {"message": _text(fields, "message", 1, LONGEST_MESSAGE)})


def check_gift(body: bytes) -> Content:
    """The content of `POST /gifting/send`."""
    fields = _fields(body, _GIFT_FIELDS)
    recipient = _recipient(fields)
    sku = _text(fields, "sku", 1, LONGEST_SKU)
    amount = fields.get("amount")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise invalid_request('amount: must be a decimal string above 0 with at most 3 decimals, such as "25.00"')
    currency = fields.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise invalid_request('currency: must be three capital letters, such as "AUD"')
    note = _text(fields, "note", 0, LONGEST_NOTE) if "note" in fields else ""
    return Content(recipient, {"sku": sku, "amount": amount, "currency": currency, "note": note})


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` is."""
    try:
        fields = json.loads(body.decode(), parse_float=_number)
    except RecursionError:
        raise invalid_request("body: nested too deeply") from None
    except ValueError:
        raise invalid_request("body: must be JSON in UTF-8") from None
    if not isinstance(fields, dict):
        raise invalid_request("body: must be a JSON object")
    return fields


def _number(text: str) -> float:
    """Read `3.0` as 3, as JSON makes no difference between them."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _fields(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    fields = read_object(body)
    if not known.issuperset(fields):
        raise invalid_request(f"{_shown(min(fields.keys() - known))}: not a field of this call")
    return fields


def _recipient(fields: Mapping[str, Any]) -> str:
    recipient = fields.get("recipient")
    if not isinstance(recipient, str) or not _RECIPIENT.fullmatch(recipient):
        raise invalid_request("recipient: must be a phone number in E.164 form, such as +61400000000")
    return recipient


def _text(fields: Mapping[str, Any], name: str, shortest: int, longest: int) -> str:
    text = fields.get(name)
    if not isinstance(text, str) or not shortest <= len(text) <= longest:
        raise invalid_request(f"{name}: must be a string of {shortest} to {longest} characters")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise invalid_request(f"{name}: must not hold half a surrogate pair") from None
    return text


def _shown(name: str) -> str:
    return name[:40].encode("ascii", "backslashreplace").decode()
