"""Amounts of money: exact decimals, no more of them than the currency has.

The one reader of amounts, whether of gifts, budgets or searches.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_EVEN, Context, Decimal

from dispatcher.domain.errors import InvalidMessage

_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP "
    "CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES "
    "KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK "
    "NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB "
    "TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG"
)
MINOR_UNITS: dict[str, int] = (
    dict.fromkeys(_TWO_DECIMALS.split(), 2)
    | dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0)
    | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)
)
"""Decimals of each currency in use (ISO 4217, list one)."""

_WRITTEN = re.compile(
    r"(?P<whole>\d+|\d{1,3}(?P<mark>[,'\N{RIGHT SINGLE QUOTATION MARK}])\d{3}(?:(?P=mark)\d{3})*(?=\.\d))"
    r"(?:\.(?P<decimals>\d+))?\Z",
    re.ASCII,
)
"""Digits and one decimal point; thousands apart only where a decimal point shows which mark is which."""
_EXPONENT = re.compile(r"\d+(?:\.\d*)?[eE][+-]?\d{1,2}\Z", re.ASCII)
_APART = re.compile("[\\s_'\N{RIGHT SINGLE QUOTATION MARK}]")
_AROUND = re.compile(r"\A[^\d.,]+|[^\d.,]+\Z", re.ASCII)
_LONGEST = 60
_MOST_DECIMALS = max(MINOR_UNITS.values())

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[])
"""For amounts, since an application may compute with few digits, or with traps: its context is every thread's own."""
MAX_AMOUNT = Decimal("1000000")
"""A single gift above this is taken for a slip of the keyboard."""


def parse_currency(code: str) -> str:
    """Return the currency's code, or say what is wrong with it.

    :raises InvalidMessage: not the code of a currency in use (ISO 4217).
    """
    if not isinstance(code, str) or code not in MINOR_UNITS:
        raise InvalidMessage("currency", f"{code!r} is not a currency in use; give an ISO 4217 code such as AUD")
    return code


class NotAnAmount(ValueError):
    """A text that is no amount: ``fault`` is the same for all such texts, ``detail`` gives the form that is right."""

    def __init__(self, fault: str, detail: str) -> None:
        self.fault = fault
        self.detail = detail
        super().__init__(f"{fault}: {detail}")


def read_amount(text: str, currency: str | None) -> Decimal:
    """Return the amount of a text, never rounded and never guessed.

    :param currency: limits the decimals as written: ``1.000`` is no amount in EUR. None: those of any currency.
    :raises NotAnAmount: names the fault and the right form.

    >>> read_amount("1,234.50", "AUD"), read_amount("500", "JPY")
    (Decimal('1234.50'), Decimal('500'))
    """
    written = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text.strip()[: _LONGEST + 1])
    if not written:
        raise NotAnAmount("is empty", _example(currency))
    if len(written) > _LONGEST:
        raise NotAnAmount("is too long for an amount", _example(currency))
    found = _WRITTEN.match(written)
    if found is None:
        raise NotAnAmount(_fault(written), _right(written, currency))
    whole, decimals = re.sub(r"\D", "", found["whole"]), found["decimals"] or ""
    if whole.startswith("0") and whole != "0":
        raise NotAnAmount("begins with a 0", _right(written, currency))
    most = _MOST_DECIMALS if currency is None else MINOR_UNITS[currency]
    if len(decimals) > most:
        having = f"{currency}, which has {most}" if currency else "any currency has"
        raise NotAnAmount(f"has more decimals than {having}", _right(written, currency))
    return Decimal(f"{whole}.{decimals}" if decimals else whole)


def parse_amount(amount: Decimal | str, currency: str) -> Decimal:
    """Return the amount with exactly the decimals of its currency.

    :param amount: its text, or a ``Decimal``, which is a number and no text: ``Decimal("1E+2")`` is 100 and
        ``Decimal("25.0000")``, as a database's NUMERIC(12, 4) gives it, is 25. Never a ``float``, which cannot hold
        money exactly, nor an ``int``, which elsewhere counts cents.
    :raises InvalidMessage: not a positive finite decimal, too many decimals, or absurdly large.

    >>> parse_amount("25", "AUD"), parse_amount("500", "JPY")
    (Decimal('25.00'), Decimal('500'))
    """
    if not isinstance(amount, Decimal | str):
        raise InvalidMessage(
            "amount", f"is of type {type(amount).__name__}; give a Decimal or its text, e.g. Decimal('25.00')"
        )
    said = repr(str(amount)[:_LONGEST])
    try:
        value = amount if isinstance(amount, Decimal) else read_amount(amount, currency)
    except NotAnAmount as wrong:
        raise InvalidMessage("amount", f"{said} {wrong.fault}", detail=wrong.detail) from None
    if not value.is_finite() or value <= 0:
        raise InvalidMessage("amount", f"{said} is not more than zero")
    if value > MAX_AMOUNT:
        raise InvalidMessage("amount", f"{said} is above {MAX_AMOUNT}, the most that one gift may be")
    decimals = MINOR_UNITS[currency]
    exact = value.quantize(Decimal(1).scaleb(-decimals, context=EXACT), context=EXACT)
    if exact != value:
        raise InvalidMessage("amount", f"{said} has more decimals than {currency}, which has {decimals}")
    return exact


def _fault(written: str) -> str:
    """Say what keeps a text from being an amount."""
    if not re.search(r"\d", written):
        return "has no digit"
    if written.startswith("-"):
        return "is not more than zero"
    if _EXPONENT.match(written):
        return "has an exponent"
    odd = [one for one in written if one not in ".," and not (one.isascii() and one.isdigit())]
    if odd:
        return "has letters" if any(map(str.isalpha, odd)) else _odd(odd[0])
    if written[0] in ".,":
        return f"begins with '{written[0]}'"
    if written[-1] in ".,":
        return f"ends in '{written[-1]}'"
    if "," not in written:
        return "has several decimal points"
    if "." in written:
        return "has a comma where no thousands separator stands"
    if written.count(",") > 1:
        return "has several commas and no decimal point"
    thousands = re.search(r",\d{3}\Z", written)
    return "has a comma that may separate thousands or decimals" if thousands else "has a decimal comma"


def _odd(one: str) -> str:
    if one == "_":
        return "has an underscore"
    if one in "+-":
        return f"has a sign ('{one}')"
    if one.isspace():
        return "has a space"
    if unicodedata.category(one) == "Sc":
        return f"has a currency sign ({one!r})"
    return f"has {one!r}" if one.isprintable() else f"has U+{ord(one):04X} {unicodedata.name(one, '')}".rstrip()


def _right(written: str, currency: str | None) -> str:
    """Say which form would be right: that of the amounts that may be meant, if any is plausible."""
    unit = Decimal(1).scaleb(-(2 if currency is None else MINOR_UNITS[currency]))
    meant = [each.quantize(unit) for each in _meant(written) if 0 < each <= MAX_AMOUNT and each % unit == 0]
    return f"write {' or '.join(map(str, meant))}" if meant and written[0] != "-" else _example(currency)


def _meant(written: str) -> list[Decimal]:
    """Return the amounts that a person may mean, whichever mark stands for the decimal point."""
    if _EXPONENT.match(written):
        return [Decimal(written)]
    digits = _APART.sub("", _AROUND.sub("", written))
    if not re.fullmatch(r"[\d.,]*\d[\d.,]*", digits, re.ASCII):
        return []
    marks, groups = re.findall("[.,]", digits), re.split("[.,]", digits)
    meant = []
    if _grouped(groups) and len(set(marks)) <= 1:
        meant.append(Decimal("".join(groups)))
    if marks and marks.count(marks[-1]) == 1 and (len(groups) == 2 or _grouped(groups[:-1])):
        meant.append(Decimal(f"{''.join(groups[:-1]) or 0}.{groups[-1] or 0}"))
    return meant


def _grouped(groups: list[str]) -> bool:
    """Say whether groups of digits may be a whole number with its thousands apart."""
    first, *others = groups
    return not others or (0 < len(first) <= 3 and not first.startswith("0") and all(len(each) == 3 for each in others))


def _example(currency: str | None) -> str:
    return f"write it as {Decimal(25).quantize(Decimal(1).scaleb(-(2 if currency is None else MINOR_UNITS[currency])))}"
