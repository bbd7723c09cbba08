"""Rates as people write them: ``50/s``, ``600/m``, ``50/s burst 10``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|m|h)(?:\s+burst\s+(\d+))?\s*\Z")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 100
_MOST = 1_000_000
"""A second; and at once. More is a slip of the keyboard."""
_LEAST = 1 / 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A ceiling: messages per second, and how many may go at once after a pause."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError("a rate is more than zero and its burst at least one")

    def at_the_permit(self) -> Rate:
        """Return what permits are given out at, so that the rate holds where the API counts: when requests arrive.

        A permit and its request are a commit and a hop apart, now shorter and now longer, so permits spread over one
        second may arrive in a little less. Two hundredths of the rate and half of the burst are kept for that.

        >>> parse_rate("50/s burst 5").at_the_permit()
        Rate(per_second=49.0, burst=3)
        """
        return Rate(per_second=self.per_second * 0.98, burst=(self.burst + 1) // 2)

    def __str__(self) -> str:
        """Return the text that ``parse_rate`` reads back; the ledger keeps it.

        >>> str(parse_rate("1000000/s burst 5")), str(parse_rate("0.1/h"))
        ('1000000/s burst 5', '0.000027777778/s burst 1')
        """
        text = f"{self.per_second:g}"
        if "e" in text:
            text = f"{self.per_second:.12f}".rstrip("0").rstrip(".")
        return f"{text}/s burst {self.burst}"


def parse_rate(text: str) -> Rate:
    """Read a rate. Without ``burst N`` a tenth of a second's worth may go at once, at least one.

    :raises ValueError: with a sentence that shows the form.

    >>> parse_rate("600/m"), parse_rate("50/s burst 10")
    (Rate(per_second=10.0, burst=1), Rate(per_second=50.0, burst=10))
    """
    match = _FORM.match(text[:_LONGEST])
    if match is None or len(text) > _LONGEST or float(match[1]) == 0 or match[3] == "0":
        raise ValueError(f"{text[:_LONGEST]!r} is not a rate; write it as 50/s, 600/m or 50/s burst 10")
    per_second = float(match[1]) / _SECONDS[match[2]]
    burst = int(match[3]) if match[3] else max(1, int(per_second / 10))
    if not _LEAST <= per_second <= _MOST or burst > _MOST:
        raise ValueError(
            f"{text!r} is not a rate that anybody means: from one a day to a million a second, "
            "and at most a million at once"
        )
    return Rate(per_second=per_second, burst=burst)
