"""Budgets: how much money a campaign's gifts may cost, in all and on one day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from dispatcher.domain.money import MINOR_UNITS

_PART = re.compile(r"(\d[\d_,']*(?:\.\d+)?)\s*(/\s*day)?", re.ASCII | re.IGNORECASE)
_MOST = 10**15
"""In the smallest unit; more than this is a slip of the keyboard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A cap in all, a cap for each day, or both; in the currency's smallest unit, so that sums are exact."""

    currency: str
    total: int | None
    daily: int | None

    def __str__(self) -> str:
        """Return the text that ``parse_budget`` reads back."""
        caps = [] if self.total is None else [in_units(self.total, self.currency)]
        if self.daily is not None:
            caps.append(f"{in_units(self.daily, self.currency)}/day")
        return " ".join(caps)


def parse_budget(text: str, currency: str) -> Budget:
    """Read a budget: ``12345.00``, ``500/day`` or ``12345.00 500/day``.

    :raises ValueError: with a sentence that shows the form.

    >>> parse_budget("12345 500.50/day", "AUD")
    Budget(currency='AUD', total=1234500, daily=50050)
    """
    caps: dict[bool, int] = {}
    rest = text.strip()
    while rest:
        part = _PART.match(rest)
        if part is None or bool(part[2]) in caps:
            raise ValueError(f"{text!r} is not a budget; write it as 12345.00, as 500/day or as 12345.00 500/day")
        caps[bool(part[2])] = to_minor(part[1], currency)
        rest = rest[part.end() :].lstrip(" ,;")
    if not caps:
        raise ValueError("is empty; write it as 12345.00, as 500/day or as 12345.00 500/day")
    return Budget(currency=currency, total=caps.get(False), daily=caps.get(True))


def to_minor(amount: Decimal | str, currency: str) -> int:
    """Return an amount in the currency's smallest unit.

    :raises ValueError: it is zero, has more decimals than the currency, or is absurdly large.

    >>> to_minor("12.50", "AUD"), to_minor("500", "JPY")
    (1250, 500)
    """
    try:
        value = Decimal(re.sub("[_,']", "", amount) if isinstance(amount, str) else amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount; write it as 12345.00") from None
    numerator, denominator = value.as_integer_ratio()  # exact, where decimal arithmetic rounds to 28 digits
    unit: int = 10 ** MINOR_UNITS[currency]
    minor, over = divmod(numerator * unit, denominator)
    if over:
        raise ValueError(f"{amount} has more decimals than {currency}, which has {MINOR_UNITS[currency]}")
    if not 0 < minor <= _MOST:
        raise ValueError(f"{amount} is not an amount above zero that anybody means; write it as 12345.00")
    return minor


def in_units(minor: int, currency: str) -> str:
    """Write an amount of the smallest unit as people do.

    >>> in_units(1234500, "AUD"), in_units(500, "JPY")
    ('12345.00', '500')
    """
    return str(Decimal(minor).scaleb(-MINOR_UNITS[currency]))
