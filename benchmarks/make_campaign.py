"""Write a file of recipients as a marketer would have it: mostly right, some invalid, some twice.

    python benchmarks/make_campaign.py million.csv --rows 1000000

The same seed gives the same file. The numbers are Australian mobiles; nobody is ever sent anything from here.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

NAMES = (
    "Ann",
    "Bob",
    "Chloe",
    "Dinesh",
    "Eve",
    "Farid",
    "Grace",
    "Hiro",
    "Ines",
    "Jack",
    "Kiri",
    "Liam",
    "Maya",
    "Noah",
)
OTHER_NAMES = ("Zoë", "Łukasz", "陽子", "Chloë", "João", "O’Brien")
"""With characters that GSM-7 lacks."""
FORMULAS = ("=SUM(A1)", "@SUM(A1)", "-2+3")
"""What a spreadsheet would run."""
INVALID = ("12", "not a number", "+61280000000", "", "+6141", "+99912345678")


def rows(
    count: int, *, invalid: float, duplicates: float, seed: int, made: Counter[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield recipient, first name and code; invalid and doubled rows are spread over all of them, and counted."""
    dice = random.Random(seed)
    numbers = 0
    for place in range(count):
        fancy = dice.random()
        name = dice.choice(FORMULAS if fancy < 0.0005 else OTHER_NAMES if fancy < 0.0205 else NAMES)
        roll = dice.random()
        if roll < invalid:
            number = dice.choice(INVALID)
            made["invalid"] += 1
        elif roll < invalid + duplicates and numbers > 100:
            number = mobile(dice.randrange(numbers))
            made["duplicates"] += 1
        else:
            number, numbers = mobile(numbers), numbers + 1
        yield number, name, f"{place:07X}"


def mobile(place: int) -> str:
    """Return the mobile at a place, in an order that looks like none: neighbours in a file are not so in an index."""
    return f"+614{10_000_000 + place * 7_654_321 % 9_999_991:08d}"


def main() -> None:
    """Write the file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--invalid", type=float, default=0.01, help="share of rows")
    parser.add_argument("--duplicates", type=float, default=0.01, help="share of rows")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if not 1 <= given.rows <= 9_999_991:
        parser.error("--rows goes from 1 to 9,999,991: there are no more distinct numbers")
    made: Counter[str] = Counter()
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recipient", "first_name", "code"])
        shares = {"invalid": given.invalid, "duplicates": given.duplicates}
        writer.writerows(rows(given.rows, **shares, seed=given.seed, made=made))
    distinct = given.rows - made.total()
    counts = f"{distinct:,} distinct mobiles, {made['invalid']:,} invalid, {made['duplicates']:,} duplicates"
    print(f"{given.rows:,} rows ({counts}) in {given.out}, {given.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
