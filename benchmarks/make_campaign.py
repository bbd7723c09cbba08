"""Write a file of recipients as a marketer would have it: mostly right, some invalid, some twice.

    python benchmarks/make_campaign.py million.csv --rows 1000000

The same seed gives the same file. The numbers are Australian mobiles; nobody is ever sent anything from here.
"""

from __future__ import annotations

import argparse
import csv
import random
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
OTHER_NAMES = ("Zoë", "Łukasz", "陽子", "Renée", "José", "=SUM(A1)", "O’Brien")
"""With characters that GSM-7 lacks, and one that a spreadsheet would run."""
INVALID = ("12", "not a number", "+61280000000", "", "+6141", "+99912345678")


def rows(count: int, *, invalid: float, duplicates: float, seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield recipient, first name and code; invalid and doubled rows are spread over all of them."""
    dice = random.Random(seed)
    numbers = 0
    for place in range(count):
        name = dice.choice(OTHER_NAMES if dice.random() < 0.02 else NAMES)
        roll = dice.random()
        if roll < invalid:
            number = dice.choice(INVALID)
        elif roll < invalid + duplicates and numbers > 100:
            number = mobile(dice.randrange(numbers))
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
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recipient", "first_name", "code"])
        writer.writerows(rows(given.rows, invalid=given.invalid, duplicates=given.duplicates, seed=given.seed))
    print(f"{given.rows:,} rows in {given.out}, {given.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
