"""The demo's recipients file: who gets what. All numbers are ones that regulators keep for fiction."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dispatcher.domain.message import Gift, Sms
from dispatcher.embedded.trouble import StackTrouble

_INSTALLED = Path(__file__).parents[2] / "examples" / "recipients.csv"
_CHECKOUT = Path(__file__).parents[3] / "examples" / "recipients.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What the demo sends."""

    sms: tuple[Sms, ...]
    gifts: tuple[Gift, ...]


def own_file() -> Path:
    """Return where the file that comes with the project is: in the checkout, or inside the installed package."""
    return _INSTALLED if _INSTALLED.exists() else _CHECKOUT


def read_burst(path: Path, *, sms: int, gifts: int) -> Burst:
    """Read the first so many SMS and gifts of a file.

    :raises StackTrouble: the file cannot be read, or has fewer.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        burst = Burst(
            sms=tuple(islice((_sms(row) for row in rows if row["channel"] == "sms"), sms)),
            gifts=tuple(islice((_gift(row) for row in rows if row["channel"] == "gift"), gifts)),
        )
    except OSError as error:
        raise StackTrouble(f"{path}: cannot be read ({error.strerror}); name a file with --recipients") from None
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise StackTrouble(f"{path}: is no recipients file ({error}); examples/README.md shows its columns") from None
    if (len(burst.sms), len(burst.gifts)) != (sms, gifts):
        raise StackTrouble(
            f"{path}: has {len(burst.sms)} SMS and {len(burst.gifts)} gifts, {sms} and {gifts} were asked for"
        )
    return burst


def _sms(row: dict[str, str]) -> Sms:
    return Sms(recipient=row["recipient"], body=row["text"], idempotency_key=row["key"])


def _gift(row: dict[str, str]) -> Gift:
    return Gift(
        recipient=row["recipient"],
        sku=row["sku"],
        amount=row["amount"],
        currency=row["currency"],
        idempotency_key=row["key"],
        note=row["text"],
    )
