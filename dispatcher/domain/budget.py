"""Budgets: how much money a campaign's gifts may cost, in all and on one day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from dispatcher.domain.money import EXACT, MINOR_UNITS, NotAnAmount, read_amount

_PART = re.compile(r"([^\s/;]+)\s*(/\s*day(?!\w))?", re.IGNORECASE)
_GROUPS_OF_THREE = re.compile(r"(?<![\d.,'/])\d{1,3}(?:\s+\d{3})+(?!\d)")
"""A space between caps, or between thousands."""
_FORM = "write it as 12345.00, as 500.00/day or as 12345.00 500.00/day"
_SHOWN = 40
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
        written = " ".join(caps)
        return ", ".join(caps) if _GROUPS_OF_THREE.search(written) else written


def parse_budget(text: Decimal | str, currency: str) -> Budget:
    """Read a budget: ``12345.00``, ``500/day`` or ``12345.00 500/day``. A ``Decimal`` is a cap in all.

    :raises ValueError: with a sentence that shows the form.

    >>> parse_budget("12345 500.50/day", "AUD")
    Budget(currency='AUD', total=1234500, daily=50050)
    """
    if isinstance(text, Decimal):
        return Budget(currency=currency, total=to_minor(text, currency), daily=None)
    if _GROUPS_OF_THREE.search(text):
        raise ValueError(f"{text!r} has a space that may separate thousands or two caps; {_FORM}")
    caps: dict[bool, int] = {}
    rest = text.strip()
    while rest:
        part = _PART.match(rest)
        if part is None or bool(part[2]) in caps:
            raise ValueError(f"{text!r} is not a budget; {_FORM}")
        amount, rest = part[1], rest[part.end() :]
        if rest and not part[2]:  # "12345.00, 500.00/day"
            amount = amount.removesuffix(",")
        try:
            caps[bool(part[2])] = to_minor(amount, currency)
        except NotAnAmount as wrong:
            which = "it" if amount == text.strip() else repr(amount[:_SHOWN])
            raise ValueError(f"{text.strip()[:_SHOWN]!r} is not a budget: {which} {wrong}") from None
        rest = rest.lstrip(" ,;\t\n")
    if not caps:
        raise ValueError(f"is empty; {_FORM}")
    budget = Budget(currency=currency, total=caps.get(False), daily=caps.get(True))
    if budget.total is not None and budget.daily is not None and budget.daily > budget.total:
        raise ValueError(f"{text!r} allows more on one day than in all: read as {budget}")
    return budget


def to_minor(amount: Decimal | str, currency: str) -> int:
    """Return an amount in the currency's smallest unit.

    :raises ValueError: it is zero, has more decimals than the currency, or is absurdly large.

    >>> to_minor("12.50", "AUD"), to_minor("500", "JPY")
    (1250, 500)
    """
    value = amount if isinstance(amount, Decimal) else read_amount(amount, currency)
    if not value.is_finite():
        raise ValueError(f"{str(amount)[:_SHOWN]!r} is not a number, for example 12345.00")
    numerator, denominator = value.as_integer_ratio()  # exact, where decimal arithmetic rounds to 28 digits
    unit: int = 10 ** MINOR_UNITS[currency]
    minor, over = divmod(numerator * unit, denominator)
    if over:
        raise ValueError(f"{amount} has more decimals than {currency}, which has {MINOR_UNITS[currency]}")
    if not 0 < minor <= _MOST:
        problem = "must be greater than 0" if minor <= 0 else "is above any budget"
        raise ValueError(f"{str(amount)[:_SHOWN]!r} {problem}, for example 12345.00")
    return minor


def in_units(minor: int, currency: str) -> str:
    """Write an amount of the smallest unit as people do.

    >>> in_units(1234500, "AUD"), in_units(500, "JPY")
    ('12345.00', '500')
    """
    return str(Decimal(minor).scaleb(-MINOR_UNITS[currency], context=EXACT))
