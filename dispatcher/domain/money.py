"""Amounts of money: exact decimals, no more of them than the currency has."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

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

MAX_AMOUNT = Decimal("1000000")
"""A single gift above this is taken for a slip of the keyboard."""


def parse_currency(code: str) -> str:
    """Return the currency's code, or say what is wrong with it.

    :raises InvalidMessage: not the code of a currency in use (ISO 4217).
    """
    if not isinstance(code, str) or code not in MINOR_UNITS:
        raise InvalidMessage("currency", f"{code!r} is not a currency in use; give an ISO 4217 code such as AUD")
    return code


def parse_amount(amount: Decimal | str, currency: str) -> Decimal:
    """Return the amount with exactly the decimals of its currency.

    :param amount: a ``Decimal`` or its text; never a ``float``, which cannot hold money exactly.
    :raises InvalidMessage: not a positive finite decimal, too many decimals, or absurdly large.

    >>> parse_amount("25", "AUD"), parse_amount("500", "JPY")
    (Decimal('25.00'), Decimal('500'))
    """
    if not isinstance(amount, Decimal | str):
        raise InvalidMessage("amount", f"is a {type(amount).__name__}; give a Decimal or its text, e.g. '25.00'")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise InvalidMessage("amount", f"{amount!r} is not a decimal number; write it as 25.00") from None
    if not value.is_finite() or value <= 0:
        raise InvalidMessage("amount", f"{str(amount)!r} is not more than zero")
    if value > MAX_AMOUNT:
        raise InvalidMessage("amount", f"{str(amount)!r} is above {MAX_AMOUNT}, the most that one gift may be")
    decimals = MINOR_UNITS[currency]
    exact = value.quantize(Decimal(1).scaleb(-decimals))
    if exact != value:
        raise InvalidMessage("amount", f"{str(amount)!r} has more decimals than {currency}, which has {decimals}")
    return exact
